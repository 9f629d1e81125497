"""From a request to a recorded selection: open, constrain, pick, measure, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evenly.controls.choice import Choice
from evenly.controls.control import used
from evenly.controls.findings import finding_lines, findings
from evenly.controls.prepared import Prepared, prepare
from evenly.engine.orders import selection_of
from evenly.folder.manifest import Manifest
from evenly.folder.place import selection_folder
from evenly.folder.selection import SelectionFolder
from evenly.measures.evenness import measured
from evenly.measures.result import plain
from evenly.opened import OpenedPool, open_pool, read_pool
from evenly.rows.copies import SameText
from evenly.rows.rows import Rows
from evenly.selecting.file_order import order_lines
from evenly.selecting.mapping import map_of
from evenly.selecting.picking import pick, refined
from evenly.selecting.record import Found, check_writing, write_record
from evenly.selecting.request import SelectRequest, Stopwatch
from evenly.types import Int64Array, Progress, Selection, silent
from evenly.words import counted


@dataclass(frozen=True, eq=False)
class Recorded:
    """A selection on disk, with what it was made on.

    Attributes:
        prepared: the pool and what was asked of it.
        selection: the order.
        manifest: as written.
        folder: the selection folder.
        measures: as written to measures.json.
        removed: kept rows of an older run in the output folder that were not written again.
    """

    prepared: Prepared
    selection: Selection
    manifest: Manifest
    folder: Path
    measures: dict[str, Any]
    removed: Sequence[Path] = ()

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "folder": str(self.folder),
            "manifest": self.manifest.model_dump(),
            "measures": self.measures,
            "notes": self.notes(),
            "kept_ids": [self.prepared.pool.rows.ids[row] for row in self.selection.rows.tolist()],
            "removed": [str(path) for path in self.removed],
            "left_out": self.prepared.pool.rows.left_out,
            "closest_pairs": {name: plain(pair) for name, pair in self.closest_pairs().items()},
        }

    def closest_pairs(self) -> dict[str, tuple[float, str, str]]:
        """The closest pair of ``pool`` and ``kept`` rows: its distance and readable texts."""
        found = {}
        for name in ("pool", "kept"):
            if pairs := self.measures[name]["closest_pairs"]:
                ends = (self.prepared.pool.rows.pair(pairs[0][end]) for end in ("row", "other"))
                found[name] = (pairs[0]["distance"], *("\n".join(filter(None, pair)) for pair in ends))
        return found

    def read_notes(self) -> list[str]:
        """Lines on what was read: rows without text, shared text, what was embedded, what was reused."""
        pool = self.prepared.pool
        notes = left_out_lines(pool.rows.left_out)
        notes += pool.rows.shared_lines()
        if beside := pool.rows.passed_over:
            names = ", ".join(Path(name).name for name in beside[:SHOWN_NUMBERS])
            notes.append(f"passed over {counted(len(beside), 'file')} that hold no rows: {names}")
        same = pool.rows.same_text
        if len(same.rows):
            notes.append(_same_text_line(same))
        if pool.note:
            notes.append(pool.note)
        if pool.note and pool.rows.media:
            notes.append(
                f"warning: the vectors do not see the images, sounds or films of {counted(pool.rows.media, 'row')}; "
                "vectors that do can be given as `encoder=vectors:FILE.npy`"
            )
        if reused := min(self.prepared.reused, self.manifest.kept):
            notes.append(f"{reused:,} of {self.manifest.kept:,} picks from an earlier run")
        if len(untold := np.setdiff1d(pool.hidden, same.rows)):
            notes.append(_untold_line(untold))
        return notes

    def dropped(self) -> tuple[int, int, int]:
        """The rows at distance 0 of a kept one: exact copies of kept rows, other rows with the text of a kept row,
        and rows of other texts, which the encoder cannot tell from a kept one."""
        selection, same = self.selection, self.prepared.pool.rows.same_text
        zero = selection.dropped() & self.prepared.eligible() & (selection.keeper_distance == 0)
        copies = zero & np.isin(same.first, same.first[selection.rows])
        texts = zero & ~copies & np.isin(same.text, same.text[selection.rows])
        counts = int(zero.sum()), int(copies.sum()), int(texts.sum())
        return counts[1], counts[2], counts[0] - counts[1] - counts[2]

    def found_notes(self, details: bool = True) -> list[str]:
        """Lines on what was found: what the controls did, exhausted copies, warnings; lengths as a detail."""
        choice = self.prepared.choice
        short = self.manifest.exhausted and "keep" in choice.options
        notes = [_exhausted(self.manifest, choice, self._kept_hidden())] if short else []
        notes += finding_lines(choice.controls, self.measures["controls"], details)
        return notes + order_lines(self.manifest, choice)

    def _kept_hidden(self) -> str:
        """Which rows at distance 0 of another were kept, in words; empty where none was."""
        pool = self.prepared.pool
        kept = np.intersect1d(self.selection.rows[self.selection.radii == 0], pool.hidden)
        twins = len(np.intersect1d(kept, pool.rows.same_text.rows))
        said = {
            "the text of another and differ in other fields": twins,
            "another text but the vector of another": len(kept) - twins,
        }
        return " and ".join(f"{count:,} have {what}" for what, count in said.items() if count)

    def notes(self) -> list[str]:
        """All lines that a person should read."""
        sources = [f"{source.name}: {source.rows:,} rows, {source.form}" for source in self.manifest.sources]
        return sources + self.read_notes() + self.found_notes()


SHOWN_NUMBERS = 10


def left_out_lines(left_out: Mapping[str, Sequence[int]]) -> list[str]:
    """Which rows of which source have no text, for people."""
    return [
        f"{name}: left out {counted(len(numbers), 'row')} without text: {some_numbers(numbers)}"
        for name, numbers in left_out.items()
    ]


def some_numbers(numbers: Sequence[int]) -> str:
    """The first of some numbers, and how many more there are."""
    shown = ", ".join(f"{number:,}" for number in numbers[:SHOWN_NUMBERS])
    more = len(numbers) - SHOWN_NUMBERS
    return f"{shown} and {more:,} more" if more > 0 else shown


def _same_text_line(found: SameText) -> str:
    rows, fields = len(found.rows), ", ".join(found.fields)
    numbers = some_numbers([row + 1 for row in found.rows.tolist()])
    copies = f"; {found.copies:,} more are exact copies" if found.copies else ""
    have = (
        "have the text of an earlier row and differ"
        if rows > 1
        else "has the text of an earlier row and differs"
    )
    return f"{counted(rows, 'row')} {have} in {fields}: {numbers}{copies}; such rows are kept last"


def _untold_line(rows: Int64Array) -> str:
    numbers = some_numbers([row + 1 for row in rows.tolist()])
    have = "has" if len(rows) == 1 else "have"
    return (
        f"{counted(len(rows), 'row')} {have} another text but the vector of an earlier row, for the encoder cannot "
        f"tell them apart: {numbers}; such rows are kept last"
    )


def _exhausted(manifest: Manifest, choice: Choice, hidden: str) -> str:
    """Why no further row was picked.

    Args:
        manifest: of the selection.
        choice: what was asked for.
        hidden: which rows were kept that have the vector of another, in words.
    """
    asked, kept = f"{manifest.asked:,}", f"{manifest.kept:,}"
    if hidden and not manifest.allow_copies:
        return f"asked {asked}: distinct vectors ran out; of the {kept} kept rows {hidden} (radius 0)"
    if manifest.allow_copies:
        return f"asked {asked}: distinct rows ran out, the rest are exact copies (radius 0)"
    if choice.budget.unit == "distance":
        return f"asked {manifest.keep}: no further row lies that far from those kept, kept {kept}"
    if manifest.options.controls or choice.budget.unit != "rows":
        return f"asked {manifest.keep}: no further row is distinct and meets the controls, kept {kept}"
    return f"asked {asked}, only {kept} distinct rows, kept {kept}"


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
    request.check()
    given = saved.picks if saved else None
    with watch.time("read"):
        rows = read_pool(request.pool, fields=request.choice.fields, stdin=stdin, progress=progress)
        if saved:
            saved.check_sources(rows)
        older = check_writing(request, rows, None if request.overwrite else saved)
        request.choice.check_rows(len(rows))
    before_long_work(rows)
    with ExitStack() as opened:
        with watch.time("embed"):
            pool = opened.enter_context(open_pool(request.pool, rows, progress=progress))
        with watch.time("select"), pool.points.reusing():
            prepared, selection, found = choose(request.choice, pool, given, progress)
    return record(request, prepared, selection, found, watch, older=older, progress=progress)


def choose(
    choice: Choice, pool: OpenedPool, given: Int64Array | None = None, progress: Progress = silent
) -> tuple[Prepared, Selection, dict[str, Any]]:
    """The rows that are asked for, from one order; and what was found on the way.

    Args:
        choice: passed its check.
        pool: the pool.
        given: rows kept first, of a selection that is extended.
        progress: called as picks are made.
    """
    prepared = prepare(choice, pool, given)
    greedy = pick(prepared, progress=progress)
    selection = refined(prepared, greedy, progress) if choice.refine else greedy
    found = findings(prepared, selection)
    if choice.refine:
        found["refine"] = {"greedy_h_min": greedy.h_min, "h_min": selection.h_min}
    if given is not None:
        found["fill_of_given"] = selection_of(pool.points, given).fill
    return prepared, selection, found


def record(
    request: SelectRequest,
    prepared: Prepared,
    selection: Selection,
    found: dict[str, Any],
    watch: Stopwatch,
    *,
    older: Sequence[Path] = (),
    progress: Progress = silent,
) -> Recorded:
    """Measures a selection and writes its rows and its folder, and removes ``older`` files of the output folder."""
    choice = prepared.choice
    restricted_by = used(choice.controls, "restricting")
    if len(prepared.given) and "must" not in restricted_by:
        restricted_by = ("rows kept before", *restricted_by)
    with watch.time("measure"):
        measures, proof = measured(
            prepared.pool.points,
            selection,
            draws=request.random_draws,
            seed=choice.seed,
            restricted_by=restricted_by,
            progress=progress,
        )
        measures["controls"] = found
    with watch.time("map"):
        pool_map = map_of(prepared.pool.points, request.map, prepared.pool.cache, progress)
        measures["map"] = pool_map.to_dict()
    written = Found(measures, proof.parts, pool_map.places)
    manifest = write_record(request, prepared, selection, written, watch, older)
    return Recorded(prepared, selection, manifest, selection_folder(request.out), measures, older)
