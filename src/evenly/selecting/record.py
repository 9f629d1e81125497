"""Writing a selection: the kept rows, and the folder that records them."""

from __future__ import annotations

import platform
import time
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import numpy as np

from evenly.controls import options_of
from evenly.controls.choice import MAXMIN, Choice
from evenly.files import new_files
from evenly.folder.excluded import EXCLUDED_FILE, write_excluded
from evenly.folder.manifest import Manifest, Options, write_manifest
from evenly.folder.measures import MEASURES_FILE, write_measures
from evenly.folder.order import ORDER_FILE, write_order
from evenly.folder.place import check_folder, selection_folder
from evenly.folder.view import VIEW_FILE, write_view
from evenly.records import OutputRecord
from evenly.report.page import write_report
from evenly.rows.writing import write_rows
from evenly.selecting.request import Made, SelectRequest, Stopwatch
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
    rows = made.pool.rows
    check_folder(selection_folder(request.out))
    with new_files(make_folders=True) as new:
        folder = new.folder(selection_folder(request.out))
        order_sha256 = write_order(made.selection, rows.ids, parts, folder / ORDER_FILE)
        files = {
            VIEW_FILE: write_view(rows, made.pool.points.vectors, folder / VIEW_FILE),
            MEASURES_FILE: write_measures(measures, folder),
        }
        if made.excluded is not None:
            files[EXCLUDED_FILE] = write_excluded(made.excluded, folder)
        outputs = write_rows(rows, made.selection.sorted_rows(), request.out, new)
        watch.seconds["write"] = round(time.perf_counter() - started, 3)
        manifest = write_manifest(_manifest(request, made, order_sha256, files, outputs, watch), folder)
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
    selection, pool, choice = made.selection, made.pool, request.choice
    return Manifest(
        evenly=version("evenly"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=pool.rows.sources,
        outputs=outputs,
        encoder=pool.encoder,
        text=request.pool.text,
        part=request.pool.part,
        metric=selection.metric,
        keep=choice.budget.text,
        asked=selection.asked,
        kept=len(selection),
        pool_rows=selection.pool_rows,
        start=int(selection.rows[0]),
        start_rule=_start_rule(choice, made),
        seed=choice.seed,
        allow_copies=choice.allow_copies,
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


def _start_rule(choice: Choice, made: Made) -> str:
    if "anchors" in made.findings or "given" in made.findings:
        return "given"
    if not choice.picks_farthest:
        return "strategy"
    if isinstance(choice.start, int):
        return "row"
    return "nearest-mean" if choice.start is None else "random"


def _options(request: SelectRequest, made: Made) -> Options:
    choice, controls = request.choice, options_of(request.choice.controls)
    return Options(
        split=request.pool.split,
        keep_left_out=controls.pop("keep", None) is None,  # keep has a place of its own
        controls=controls,
        given=made.findings.get("given", 0),
        strategy=choice.strategy if choice.strategy != MAXMIN else None,
        refine=choice.refine,
    )
