"""`evenly select`: from training files to the even part of them, with everything needed to check it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa

from evenly import __version__
from evenly.checks import check_metric
from evenly.data.forms import Part
from evenly.data.manifest import (
    MEASURES_FILE,
    ORDER_FILE,
    VIEW_FILE,
    Manifest,
    OutputRecord,
    SourceRecord,
    write_atomically,
    write_manifest,
)
from evenly.data.rows import Rows
from evenly.data.sources import read_rows
from evenly.data.writing import check_output
from evenly.embed import Cache
from evenly.errors import InputError
from evenly.measures.certificate import certificate
from evenly.measures.result import plain
from evenly.pipeline.control_request import ALL, ControlRequest, check_controls
from evenly.pipeline.controls import prepare_controls
from evenly.pipeline.evenness import RANDOM_DRAWS, evenness
from evenly.pipeline.findings import SET_ASIDE_FILE, finding_lines, findings, set_aside_table
from evenly.pipeline.folder import (
    check_folder,
    file_sha256,
    order_table,
    replaced_folder,
    view_table,
    write_table,
)
from evenly.pipeline.outside import OutsideRows
from evenly.pipeline.picking import MAXMIN, Picker, check_strategy
from evenly.pipeline.vectors import PoolVectors, pool_vectors, vectors_sha256
from evenly.report.page import write_report
from evenly.selection.budgets import read_budget
from evenly.selection.greedy import Start
from evenly.selection.mapped import tensor_of
from evenly.selection.orders import selection_of
from evenly.selection.placing import Engine, read_memory
from evenly.types import Float32Array, Int64Array, Metric, Progress, Selection, silent

LIBRARIES = ("numpy", "torch", "transformers", "datasets", "pyarrow")


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    sources: Sequence[str]
    keep: str | None
    out: str
    text: str | None = None
    part: Part = "all"
    split: str | None = None
    metric: str = "cosine"
    start: Start = None
    seed: int = 0
    encoder: str = "minilm"
    long: Literal["cut", "mean"] = "cut"
    allow_copies: bool = False
    use_cache: bool = True
    device: str | None = None
    trust_remote_code: bool = False
    random_draws: int = RANDOM_DRAWS
    controls: ControlRequest = field(default_factory=ControlRequest)
    strategy: str = MAXMIN
    refine: bool = False
    memory: str | None = None
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None


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


@dataclass
class Stopwatch:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(time.perf_counter() - started, 3)


def selection_folder(out: str) -> Path:
    """Where the record of a selection goes: kept.jsonl and kept/ both have theirs in kept.evenly/."""
    path = Path(out)
    name = path.name
    for suffix in (".gz", ".xz", ".zst", *(() if path.is_dir() or out.endswith("/") else (path.suffix,))):
        name = name.removesuffix(suffix) if suffix and name != suffix else name
    stem = Path(name).stem if Path(name).suffix in (".jsonl", ".json", ".csv", ".parquet", ".arrow") else name
    return path.with_name(f"{stem}.evenly")


def select_sources(
    request: SelectRequest,
    *,
    stdin: BinaryIO | None = None,
    given: Int64Array | None = None,
    given_sources: Sequence[SourceRecord] = (),
    progress: Progress = silent,
) -> SelectOutcome:
    """Reads, embeds, selects, measures and writes.

    Args:
        request: what is asked for.
        stdin: standard input, for the source "-".
        given: rows that stay kept, in their order, where a saved selection is extended.
        given_sources: what the first sources must be for ``given`` to name their rows.
        progress: called as each stage goes on.

    Raises:
        InputError: something cannot be used. Nothing is written then; vectors and picks stay in the cache.
    """
    watch = Stopwatch()
    metric = check_metric(request.metric)
    check_controls(request.controls, request.keep, request.start, request.allow_copies)
    check_strategy(request.strategy, request.controls, request.keep, request.start, request.refine)
    with watch.time("read"):
        rows = read_rows(
            list(request.sources),
            text=request.text,
            part=request.part,
            split=request.split,
            stdin=stdin,
            progress=progress,
        )
        _check_same_sources(rows, given_sources)
        check_output(rows, request.out)
        check_folder(selection_folder(request.out))
        read_budget(request.keep or ALL).count(len(rows))
    cache = Cache.open() if request.use_cache else None
    engine = engine_of(request)
    with watch.time("embed"):
        found = embed_rows(request, rows, cache, progress, engine)
    with watch.time("select"):
        made = make_selection(request, rows, found, metric, cache, progress, given)
    with watch.time("measure"):
        measures = evenness(
            made.vectors, made.selection, draws=request.random_draws, seed=request.seed, progress=progress
        )
        measures["controls"] = made.findings
        proof = certificate(made.vectors, made.selection.rows, metric=metric, progress=progress)
        measures["certificate"] = proof.to_dict()
    manifest = _write(request, rows, found, made, measures, proof.parts, watch)
    notes = _notes(rows, found, manifest) + finding_lines(made.findings, manifest.kept)
    return SelectOutcome(
        manifest, selection_folder(request.out), measures, notes, _closest_texts(rows, measures)
    )


def _check_same_sources(rows: Rows, expected: Sequence[SourceRecord]) -> None:
    for was, found in zip(expected, rows.sources, strict=False):
        if was.sha256 != found.sha256:
            raise InputError(f"{found.name} was changed since the saved selection was made; select again")


def engine_of(request: SelectRequest) -> Engine:
    """Where selection works, as the request says.

    Raises:
        InputError: a size that is none, or a cluster address without the engine for it.
    """
    if request.ray_address and request.engine != "ray":
        raise InputError("--ray-address is for --engine ray; add it, or leave the address out")
    memory = read_memory(request.memory) if request.memory else None
    return Engine(Cache.open().scratch, memory, request.engine == "ray", request.ray_address)


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
        room=lambda dimension: engine.room(len(rows), dimension, metric) if engine else None,
        progress=progress,
    )


@dataclass(frozen=True, eq=False)
class Made:
    """A selection with what it was made on.

    Attributes:
        selection: the order.
        vectors: (N, d) float32, the rows it was made on.
        hashed: their hash.
        findings: what the controls did.
        set_aside: the table of rows set aside, or None.
    """

    selection: Selection
    vectors: Float32Array
    hashed: str
    findings: dict[str, Any]
    set_aside: pa.Table | None


def make_selection(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    metric: Metric,
    cache: Cache | None,
    progress: Progress = silent,
    given: Int64Array | None = None,
) -> Made:
    """Applies the controls and picks.

    Args:
        request: checked.
        rows: the pool.
        found: its vectors.
        metric: of all distances.
        cache: where orders and vectors are kept.
        progress: called with the stage "select".
        given: rows of a saved selection that is extended, in its order.
    """
    engine = engine_of(request)
    vectors = engine.prepare(found.vectors, metric)
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
    )
    selection = picker.pick(prepared, progress)
    facts = findings(request.controls, prepared, selection, rows, picker)
    if given is not None:
        facts["fill_of_given"] = selection_of(tensor, given, metric).fill
    table = set_aside_table(prepared.set_aside, selection, rows, request.controls.dedup)
    return Made(selection, vectors, hashed, facts, table)


def _write(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    made: Made,
    measures: dict[str, Any],
    parts: Int64Array,
    watch: Stopwatch,
) -> Manifest:
    """Fills the folder under a temporary name, writes the kept rows, then puts the folder in its place.

    The disk is most likely to fill, and the user to press Ctrl-C, before anything has its own name.
    """
    started = time.perf_counter()
    order, view = order_table(made.selection, rows.ids, parts), view_table(rows, made.vectors)
    with replaced_folder(selection_folder(request.out)) as folder:
        order_sha256 = write_table(order, folder / ORDER_FILE)
        write_atomically(folder / MEASURES_FILE, json.dumps(measures, indent=1, allow_nan=False) + "\n")
        files = {
            VIEW_FILE: write_table(view, folder / VIEW_FILE),
            MEASURES_FILE: file_sha256(folder / MEASURES_FILE),
        }
        if made.set_aside is not None:
            files[SET_ASIDE_FILE] = write_table(made.set_aside, folder / SET_ASIDE_FILE)
        outputs: list[OutputRecord] = rows.write(made.selection.sorted_rows(), request.out)
        watch.seconds["write"] = round(time.perf_counter() - started, 3)
        manifest = _manifest(request, rows, found, made, order_sha256, files, outputs, watch)
        write_manifest(manifest, folder)
        write_report(folder)
    return manifest


def _manifest(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    made: Made,
    order_sha256: str,
    files: dict[str, str],
    outputs: list[OutputRecord],
    watch: Stopwatch,
) -> Manifest:
    selection = made.selection
    return Manifest(
        evenly=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=rows.sources,
        outputs=outputs,
        encoder=found.record,
        text=request.text,
        part=request.part,
        metric=selection.metric,
        keep=request.keep or ALL,
        asked=selection.asked,
        kept=len(selection),
        pool_rows=selection.pool_rows,
        start=int(selection.rows[0]),
        start_rule=_start_rule(request, made),
        seed=request.seed,
        allow_copies=request.allow_copies,
        exhausted=selection.exhausted,
        h_min=selection.h_min if np.isfinite(selection.h_min) else None,
        fill=selection.fill,
        order_sha256=order_sha256,
        vectors_sha256=made.hashed,
        seconds=dict(watch.seconds),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        options=_options(request, made),
        files=files,
    )


def _start_rule(request: SelectRequest, made: Made) -> str:
    if "anchors" in made.findings or "given" in made.findings:
        return "given"
    if request.strategy != MAXMIN or request.refine:
        return "strategy"
    if isinstance(request.start, int):
        return "row"
    return "nearest-mean" if request.start is None else "random"


def _options(request: SelectRequest, made: Made) -> dict[str, Any]:
    """What the manifest records beyond its own fields, where it was used."""
    options: dict[str, Any] = {
        "split": request.split,
        "controls": request.controls.asked(),
        "given": made.findings.get("given"),
        "strategy": request.strategy if request.strategy != MAXMIN else None,
        "refine": request.refine,
        "keep_left_out": request.keep is None,
    }
    return {name: value for name, value in options.items() if value}


def _notes(rows: Rows, found: PoolVectors, manifest: Manifest) -> list[str]:
    notes = [f"{source.name}: {source.rows:,} rows, {source.form}" for source in rows.sources]
    if found.note:
        notes.append(found.note)
    if manifest.exhausted:
        distinct = manifest.kept
        if manifest.allow_copies:
            notes.append(
                f"asked {manifest.asked:,}: distinct rows ran out, the rest are exact copies (radius 0)"
            )
        else:
            notes.append(f"asked {manifest.asked:,}, only {distinct:,} distinct rows, kept {distinct:,}")
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
