"""Writing a selection: the kept rows, and the folder that records them."""

from __future__ import annotations

import json
import platform
import time
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import numpy as np

from evenly.engine.budgets import ALL
from evenly.files import file_sha256, new_files, write_atomically, write_table
from evenly.folder.manifest import (
    MEASURES_FILE,
    ORDER_FILE,
    SET_ASIDE_FILE,
    VIEW_FILE,
    Manifest,
    write_manifest,
)
from evenly.folder.writing import check_folder, write_order, write_view
from evenly.records import OutputRecord
from evenly.report.page import write_report
from evenly.rows.writing import write_rows
from evenly.selecting.picking import MAXMIN
from evenly.selecting.request import Made, SelectRequest, Stopwatch, selection_folder
from evenly.types import Int64Array

LIBRARIES = ("numpy", "torch", "transformers", "datasets", "pyarrow")


def write_record(
    request: SelectRequest,
    made: Made,
    measures: dict[str, Any],
    parts: Int64Array,
    watch: Stopwatch,
) -> Manifest:
    """Fills the folder and writes the kept rows under temporary names, then puts both in their places.

    The record goes first: a run that is killed in between leaves no kept file that nothing tells of.
    """
    started = time.perf_counter()
    rows, points = made.pool.rows, made.pool.points
    check_folder(selection_folder(request.out))
    with new_files(make_folders=True) as new:
        folder = new.folder(selection_folder(request.out))
        order_sha256 = write_order(made.selection, rows.ids, parts, folder / ORDER_FILE)
        write_atomically(folder / MEASURES_FILE, json.dumps(measures, indent=1, allow_nan=False) + "\n")
        files = {
            VIEW_FILE: write_view(rows, points.vectors, folder / VIEW_FILE),
            MEASURES_FILE: file_sha256(folder / MEASURES_FILE),
        }
        if made.set_aside is not None:
            files[SET_ASIDE_FILE] = write_table(folder / SET_ASIDE_FILE, made.set_aside)
        outputs = write_rows(rows, made.selection.sorted_rows(), request.out, new)
        watch.seconds["write"] = round(time.perf_counter() - started, 3)
        manifest = _manifest(request, made, order_sha256, files, outputs, watch)
        write_manifest(manifest, folder)
        write_report(folder)
    return manifest


def _manifest(
    request: SelectRequest,
    made: Made,
    order_sha256: str,
    files: dict[str, str],
    outputs: list[OutputRecord],
    watch: Stopwatch,
) -> Manifest:
    selection, pool = made.selection, made.pool
    return Manifest(
        evenly=version("evenly"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=pool.rows.sources,
        outputs=outputs,
        encoder=pool.encoder,
        text=request.pool.text,
        part=request.pool.part,
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
        vectors_sha256=pool.points.sha256,
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
        "split": request.pool.split,
        "controls": request.controls.asked(),
        "given": made.findings.get("given"),
        "strategy": request.strategy if request.strategy != MAXMIN else None,
        "refine": request.refine,
        "keep_left_out": request.keep is None,
    }
    return {name: value for name, value in options.items() if value}
