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

from evenly import __version__
from evenly.checks import check_keep, check_metric
from evenly.data.forms import Part
from evenly.data.manifest import (
    MEASURES_FILE,
    ORDER_FILE,
    VIEW_FILE,
    Manifest,
    OutputRecord,
    write_atomically,
    write_manifest,
)
from evenly.data.rows import Rows
from evenly.data.sources import read_rows
from evenly.data.writing import check_output
from evenly.embed import Cache
from evenly.measures.certificate import certificate
from evenly.measures.result import plain
from evenly.pipeline.evenness import RANDOM_DRAWS, evenness
from evenly.pipeline.folder import (
    check_folder,
    file_sha256,
    order_table,
    replaced_folder,
    view_table,
    write_table,
)
from evenly.pipeline.vectors import PoolVectors, pool_vectors, vectors_sha256
from evenly.report.page import write_report
from evenly.selection.greedy import pool_tensor, select_prepared
from evenly.selection.saved_order import SavedOrder
from evenly.types import Int64Array, Metric, Progress, Selection, silent

Start = int | Literal["random"] | None
LIBRARIES = ("numpy", "torch", "transformers", "datasets", "pyarrow")


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    sources: Sequence[str]
    keep: str
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
    request: SelectRequest, *, stdin: BinaryIO | None = None, progress: Progress = silent
) -> SelectOutcome:
    """Reads, embeds, selects, measures and writes.

    Args:
        request: what is asked for.
        stdin: standard input, for the source "-".
        progress: called as each stage goes on.

    Raises:
        InputError: something cannot be used. Nothing is written then; vectors and picks stay in the cache.
    """
    watch = Stopwatch()
    metric = check_metric(request.metric)
    with watch.time("read"):
        rows = read_rows(
            list(request.sources),
            text=request.text,
            part=request.part,
            split=request.split,
            stdin=stdin,
            progress=progress,
        )
        check_output(rows, request.out)
        check_folder(selection_folder(request.out))
        count = check_keep(request.keep, len(rows))
    cache = Cache.open() if request.use_cache else None
    with watch.time("embed"):
        found = pool_vectors(
            rows,
            request.encoder,
            long=request.long,
            cache=cache,
            device=request.device,
            trust_remote_code=request.trust_remote_code,
            progress=progress,
        )
    with watch.time("select"):
        selection, vectors, hashed = _select(request, found, metric, count, cache, progress)
    with watch.time("measure"):
        measures = evenness(
            vectors, selection, draws=request.random_draws, seed=request.seed, progress=progress
        )
        proof = certificate(vectors, selection.rows, metric=metric, progress=progress)
        measures["certificate"] = proof.to_dict()
    manifest = _write(request, rows, found, selection, vectors, hashed, measures, proof.parts, watch)
    folder = selection_folder(request.out)
    return SelectOutcome(
        manifest, folder, measures, _notes(rows, found, manifest), _closest_texts(rows, measures)
    )


def _select(
    request: SelectRequest,
    found: PoolVectors,
    metric: Metric,
    count: int,
    cache: Cache | None,
    progress: Progress,
) -> tuple[Selection, Any, str]:
    """The selection, the rows it was made on, and their hash."""
    prepared = pool_tensor(found.vectors, metric)
    vectors = prepared.numpy()
    hashed = vectors_sha256(vectors)
    saved = None
    if cache is not None:
        saved = SavedOrder(cache.orders, hashed, f"{request.start}", f"{request.seed}")
    selection = select_prepared(
        prepared,
        count,
        metric,
        start=request.start,
        seed=request.seed,
        allow_copies=request.allow_copies,
        saved=saved,
        progress=progress,
    )
    return selection, vectors, hashed


def _write(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    selection: Selection,
    vectors: Any,
    hashed: str,
    measures: dict[str, Any],
    parts: Int64Array,
    watch: Stopwatch,
) -> Manifest:
    """Fills the folder under a temporary name, writes the kept rows, then puts the folder in its place.

    The disk is most likely to fill, and the user to press Ctrl-C, before anything has its own name.
    """
    started = time.perf_counter()
    order, view = order_table(selection, rows.ids, parts), view_table(rows, vectors)
    with replaced_folder(selection_folder(request.out)) as folder:
        order_sha256 = write_table(order, folder / ORDER_FILE)
        write_atomically(folder / MEASURES_FILE, json.dumps(measures, indent=1, allow_nan=False) + "\n")
        files = {
            VIEW_FILE: write_table(view, folder / VIEW_FILE),
            MEASURES_FILE: file_sha256(folder / MEASURES_FILE),
        }
        outputs: list[OutputRecord] = rows.write(selection.sorted_rows(), request.out)
        watch.seconds["write"] = round(time.perf_counter() - started, 3)
        manifest = _manifest(request, rows, found, selection, hashed, order_sha256, files, outputs, watch)
        write_manifest(manifest, folder)
        write_report(folder)
    return manifest


def _manifest(
    request: SelectRequest,
    rows: Rows,
    found: PoolVectors,
    selection: Selection,
    hashed: str,
    order_sha256: str,
    files: dict[str, str],
    outputs: list[OutputRecord],
    watch: Stopwatch,
) -> Manifest:
    rules = {None: "nearest-mean", "random": "random"}
    return Manifest(
        evenly=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=rows.sources,
        outputs=outputs,
        encoder=found.record,
        text=request.text,
        part=request.part,
        metric=selection.metric,
        keep=str(request.keep),
        asked=selection.asked,
        kept=len(selection),
        pool_rows=selection.pool_rows,
        start=int(selection.rows[0]),
        start_rule=rules.get(request.start if not isinstance(request.start, int) else "row", "row"),
        seed=request.seed,
        allow_copies=request.allow_copies,
        exhausted=selection.exhausted,
        h_min=selection.h_min if np.isfinite(selection.h_min) else None,
        fill=selection.fill,
        order_sha256=order_sha256,
        vectors_sha256=hashed,
        seconds=dict(watch.seconds),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        options={"split": request.split} if request.split else {},
        files=files,
    )


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
