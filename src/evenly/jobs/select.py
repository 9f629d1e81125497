"""`evenly select`: from training files to the even part of them, with everything needed to check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from evenly.checks import check_int, check_metric
from evenly.controls.findings import finding_lines, findings, set_aside_table
from evenly.controls.outside import OutsideRows
from evenly.controls.prepare import Prepared, prepare_controls
from evenly.controls.request import ALL, check_controls
from evenly.engine.budgets import read_budget
from evenly.engine.mapped import tensor_of
from evenly.engine.orders import selection_of
from evenly.engine.placing import Engine
from evenly.errors import InputError
from evenly.folder.manifest import Manifest
from evenly.folder.writing import check_folder
from evenly.jobs.picking import MAXMIN, Picker, check_strategy
from evenly.jobs.plan import plan_rows
from evenly.jobs.record import write_record
from evenly.jobs.request import Made, SelectRequest, Stopwatch, selection_folder
from evenly.jobs.where import engine_of
from evenly.measures.evenness import measured
from evenly.measures.result import plain
from evenly.opened import PoolVectors, check_encoder, pool_vectors, prepared_rows, vectors_sha256
from evenly.records import SourceRecord
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.rows.writing import check_output
from evenly.types import Float32Array, Int64Array, Metric, Progress, Selection, silent
from evenly.vectors import Cache


@dataclass(frozen=True, eq=False)
class SelectOutcome:
    """What `evenly select` did.

    Attributes:
        manifest: as written.
        folder: the selection folder.
        measures: as written to measures.json.
        notes: lines a person should read: the forms recognised, long rows, exhausted copies.
        pairs: for pool, kept: the closest pair as readable texts, with its distance.
    """

    manifest: Manifest
    folder: Path
    measures: dict[str, Any]
    notes: list[str]
    pairs: dict[str, tuple[float, str, str]]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "folder": str(self.folder),
            "manifest": self.manifest.model_dump(),
            "measures": self.measures,
            "notes": self.notes,
            "closest_pairs": {name: plain(pair) for name, pair in self.pairs.items()},
        }


LONG_ROWS = 200_000
"""From so many rows on, what a run will need is measured and said before it begins."""


def select_sources(
    request: SelectRequest,
    *,
    stdin: BinaryIO | None = None,
    given: Int64Array | None = None,
    given_sources: Sequence[SourceRecord] = (),
    announce: Callable[[str], None] | None = None,
    progress: Progress = silent,
) -> SelectOutcome:
    """Reads, embeds, selects, measures and writes.

    Args:
        request: what is asked for.
        stdin: standard input, for the source "-".
        given: rows that stay kept, in their order, where a saved selection is extended.
        given_sources: what the first sources must be for ``given`` to name their rows.
        announce: called with the lines of the plan before long work; None measures no plan.
        progress: called as each stage goes on.

    Raises:
        InputError: something cannot be used. Nothing is written then; vectors and picks stay in the cache.
    """
    watch = Stopwatch()
    metric = check_metric(request.metric)
    check_int(request.seed, "--seed", at_least=0)
    check_controls(
        request.controls,
        request.keep,
        request.start,
        request.allow_copies,
        scores_alone=request.strategy != MAXMIN,
    )
    check_strategy(request.strategy, request.controls, request.keep, request.start, request.refine)
    check_encoder(request.encoder)
    with watch.time("read"):
        rows = read_rows(
            list(request.sources),
            text=request.text,
            part=request.part,
            split=request.split,
            stdin=stdin,
            scratch=Cache.open().scratch,
            progress=progress,
        )
        _check_same_sources(rows, given_sources)
        check_output(rows, request.out)
        check_folder(selection_folder(request.out))
        read_budget(request.keep or ALL).count(len(rows))
    cache = Cache.open() if request.use_cache else None
    engine = engine_of(request)
    if announce is not None and len(rows) >= LONG_ROWS:
        for line in plan_rows(request, rows, cache).lines():
            announce(line)
    with ExitStack() as cluster:
        with watch.time("embed"):
            cluster.enter_context(engine.joined())
            found = embed_rows(request, rows, cache, progress, engine)
        with watch.time("select"):
            vectors, prepared, picker = selection_parts(request, rows, found, metric, cache, progress, given)
            selection = picker.pick(prepared, progress)
        with watch.time("measure"):
            made = _described(request, rows, vectors, prepared, picker, selection, given)
    with watch.time("measure"):
        measures, proof = measured(
            made.vectors,
            made.selection,
            draws=request.random_draws,
            seed=request.seed,
            restricted_by=request.controls.restricting(given is not None),
            progress=progress,
        )
        measures["controls"] = made.findings
    manifest = write_record(request, rows, found, made, measures, proof.parts, watch)
    notes = _notes(rows, found, manifest) + finding_lines(made.findings, manifest.kept)
    return SelectOutcome(
        manifest, selection_folder(request.out), measures, notes, _closest_texts(rows, measures)
    )


def _check_same_sources(rows: Rows, expected: Sequence[SourceRecord]) -> None:
    for was, found in zip(expected, rows.sources, strict=False):
        if was.sha256 != found.sha256:
            raise InputError(f"{found.name} was changed since the saved selection was made; select again")


def embed_rows(
    request: SelectRequest,
    rows: Rows,
    cache: Cache | None,
    progress: Progress = silent,
    engine: Engine | None = None,
) -> PoolVectors:
    """The vectors of rows, as the request says they are made, where the engine has room for them."""
    metric = check_metric(request.metric)
    return pool_vectors(
        rows,
        request.encoder,
        long=request.long,
        cache=cache,
        device=request.device,
        trust_remote_code=request.trust_remote_code,
        ray=engine is not None and engine.ray,
        room=lambda dimension: engine.room(len(rows), dimension, metric) if engine else None,
        progress=progress,
    )


def _described(
    request: SelectRequest,
    rows: Rows,
    vectors: Float32Array,
    prepared: Prepared,
    picker: Picker,
    selection: Selection,
    given: Int64Array | None,
) -> Made:
    """A selection with what the controls did and the rows they set aside."""
    facts = findings(request.controls, prepared, selection, rows, picker)
    if given is not None:
        facts["fill_of_given"] = selection_of(picker.vectors, given, picker.metric).fill
    table = set_aside_table(prepared.set_aside, selection, rows, request.controls.dedup)
    return Made(selection, vectors, picker.hashed, facts, table)


def selection_parts(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    metric: Metric,
    cache: Cache | None,
    progress: Progress = silent,
    given: Int64Array | None = None,
) -> tuple[Float32Array, Prepared, Picker]:
    """Prepared vectors of a pool, the controls over it, and what picks.

    Args:
        request: checked.
        rows: the pool.
        found: its vectors.
        metric: of all distances.
        cache: where orders and vectors are kept.
        progress: called as rows of other files are embedded.
        given: rows of a saved selection that is extended, in its order.
    """
    engine = engine_of(request)
    vectors = prepared_rows(found.vectors, metric, engine)
    tensor, hashed = tensor_of(vectors), vectors_sha256(vectors)
    outside = OutsideRows(
        request.encoder,
        found.record.identity,
        tensor.shape[1],
        metric,
        request.text,
        request.part,
        lambda others: embed_rows(request, others, cache, progress),
    )
    prepared = prepare_controls(
        request.controls, request.keep, rows, tensor, metric, outside, request.encoder, given
    )
    picker = Picker(
        tensor,
        hashed,
        metric,
        request.start,
        request.seed,
        request.allow_copies,
        cache,
        lambda: engine.open(vectors, metric),
        request.strategy,
        request.refine,
    )
    return vectors, prepared, picker


def _notes(rows: Rows, found: PoolVectors, manifest: Manifest) -> list[str]:
    notes = [f"{source.name}: {source.rows:,} rows, {source.form}" for source in rows.sources]
    if found.note:
        notes.append(found.note)
    if manifest.exhausted and not manifest.options.get("keep_left_out"):
        asked, kept = f"{manifest.asked:,}", f"{manifest.kept:,}"
        if manifest.allow_copies:
            notes.append(f"asked {asked}: distinct rows ran out, the rest are exact copies (radius 0)")
        elif "controls" in manifest.options or read_budget(manifest.keep).unit != "rows":
            notes.append(
                f"asked {manifest.keep}: no further row is distinct and meets the controls, kept {kept}"
            )
        else:
            notes.append(f"asked {asked}, only {kept} distinct rows, kept {kept}")
    return notes


def _closest_texts(rows: Rows, measures: dict[str, Any]) -> dict[str, tuple[float, str, str]]:
    """The closest pair of pool and kept rows in readable text."""
    found = {}
    for name in ("pool", "kept"):
        pairs = measures[name]["closest_pairs"]
        if pairs:
            first = pairs[0]
            texts = ("\n".join(filter(None, rows.pair(first[end]))) for end in ("row", "other"))
            found[name] = (first["distance"], *texts)
    return found
