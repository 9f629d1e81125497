"""From a request to a recorded selection: open, constrain, pick, measure, write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from evenly.checks import check_int
from evenly.controls.findings import finding_lines, findings, set_aside_table
from evenly.controls.prepare import Prepared, prepare_controls
from evenly.controls.request import check_controls
from evenly.engine.budgets import ALL, read_budget
from evenly.engine.orders import selection_of
from evenly.folder.manifest import Manifest
from evenly.folder.place import check_folder, selection_folder
from evenly.folder.selection import SelectionFolder
from evenly.measures.evenness import measured
from evenly.measures.result import plain
from evenly.opened import OpenedPool, check_request, open_pool, read_pool
from evenly.rows.rows import Rows
from evenly.rows.writing import check_output
from evenly.selecting.picking import MAXMIN, Picker, check_strategy
from evenly.selecting.record import write_record
from evenly.selecting.request import Made, SelectRequest, Stopwatch
from evenly.types import Int64Array, Progress, Selection, silent


@dataclass(frozen=True, eq=False)
class Recorded:
    """A selection on disk, with what it was made on.

    Attributes:
        manifest: as written.
        folder: the selection folder.
        measures: as written to measures.json.
        made: the selection and its pool.
    """

    manifest: Manifest
    folder: Path
    measures: dict[str, Any]
    made: Made

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "folder": str(self.folder),
            "manifest": self.manifest.model_dump(),
            "measures": self.measures,
            "notes": self.notes(),
            "closest_pairs": {name: plain(pair) for name, pair in self.closest_pairs().items()},
        }

    def closest_pairs(self) -> dict[str, tuple[float, str, str]]:
        """The closest pair of ``pool`` and ``kept`` rows: its distance and readable texts."""
        found = {}
        for name in ("pool", "kept"):
            if pairs := self.measures[name]["closest_pairs"]:
                ends = (self.made.pool.rows.pair(pairs[0][end]) for end in ("row", "other"))
                found[name] = (pairs[0]["distance"], *("\n".join(filter(None, pair)) for pair in ends))
        return found

    def notes(self) -> list[str]:
        """Lines a person should read: the forms recognised, long rows, what the controls did, exhausted copies."""
        manifest, pool = self.manifest, self.made.pool
        notes = [f"{source.name}: {source.rows:,} rows, {source.form}" for source in manifest.sources]
        if pool.note:
            notes.append(pool.note)
        if manifest.exhausted and not manifest.options.keep_left_out:
            notes.append(_exhausted(manifest))
        return notes + finding_lines(self.made.findings, manifest.kept)


def _exhausted(manifest: Manifest) -> str:
    asked, kept = f"{manifest.asked:,}", f"{manifest.kept:,}"
    if manifest.allow_copies:
        return f"asked {asked}: distinct rows ran out, the rest are exact copies (radius 0)"
    if manifest.options.controls or read_budget(manifest.keep).unit != "rows":
        return f"asked {manifest.keep}: no further row is distinct and meets the controls, kept {kept}"
    return f"asked {asked}, only {kept} distinct rows, kept {kept}"


def check_selecting(request: SelectRequest) -> None:
    """Refuses what makes no sense, before anything is read.

    Raises:
        InputError: says which option needs which, or which exclude one another and why.
    """
    check_request(request.pool)
    check_int(request.seed, "seed", at_least=0)
    check_controls(
        request.controls,
        request.keep,
        request.start,
        request.allow_copies,
        scores_alone=request.strategy != MAXMIN,
    )
    check_strategy(request.strategy, request.controls, request.keep, request.start, request.refine)


def run_selection(
    request: SelectRequest,
    *,
    stdin: BinaryIO | None = None,
    saved: SelectionFolder | None = None,
    before_long_work: Callable[[Rows], None] = lambda rows: None,
    progress: Progress = silent,
) -> Recorded:
    """Reads, embeds, selects, measures and writes.

    Args:
        request: what is asked for.
        stdin: standard input, for the source "-".
        saved: what stays kept, where a saved selection is extended.
        before_long_work: called with the rows once they are read.
        progress: called as each stage goes on.

    Raises:
        InputError: something cannot be used. Nothing is written then; vectors and picks stay in the cache.
    """
    watch = Stopwatch()
    check_selecting(request)
    given = saved.picks if saved else None
    with watch.time("read"):
        rows = read_pool(request.pool, stdin=stdin, progress=progress)
        if saved:
            saved.check_sources(rows)
        check_output(rows, request.out)
        check_folder(selection_folder(request.out))
        read_budget(request.keep or ALL).count(len(rows))
    before_long_work(rows)
    with ExitStack() as opened:
        with watch.time("embed"):
            pool = opened.enter_context(open_pool(request.pool, rows, progress=progress))
        with watch.time("select"):
            prepared = prepare_controls(request.controls, request.keep, pool, given)
            picked = picker_of(request, pool).pick(prepared, progress)
            facts = {**found_by_controls(request, prepared, picked.selection, pool, given), **picked.facts}
    table = set_aside_table(prepared.set_aside, picked.selection, rows, request.controls.dedup)
    return record(request, Made(pool, picked.selection, facts, table), given is not None, watch, progress)


def picker_of(request: SelectRequest, pool: OpenedPool) -> Picker:
    """What picks from a pool as a request says."""
    return Picker(
        pool,
        request.start,
        request.seed,
        request.allow_copies,
        strategy=request.strategy,
        refine=request.refine,
    )


def found_by_controls(
    request: SelectRequest,
    prepared: Prepared,
    selection: Selection,
    pool: OpenedPool,
    given: Int64Array | None,
) -> dict[str, Any]:
    """What the controls did; over a selection that is extended, the fill of what was kept before too."""
    facts = findings(request.controls, prepared, selection, pool.rows)
    if given is not None:
        facts["fill_of_given"] = selection_of(pool.points.tensor, given, pool.metric).fill
    return facts


def record(
    request: SelectRequest, made: Made, extended: bool, watch: Stopwatch, progress: Progress = silent
) -> Recorded:
    """Measures a selection and writes its rows and its folder."""
    with watch.time("measure"):
        measures, proof = measured(
            made.pool.points.vectors,
            made.selection,
            draws=request.random_draws,
            seed=request.seed,
            restricted_by=request.controls.restricting(extended),
            progress=progress,
        )
        measures["controls"] = made.findings
    manifest = write_record(request, made, measures, proof.parts, watch)
    return Recorded(manifest, selection_folder(request.out), measures, made)
