"""Writing a selection: the kept rows, and the folder that records them."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evenly.controls import options_of
from evenly.controls.choice import MAXMIN
from evenly.controls.findings import excluded_table
from evenly.controls.prepared import Prepared
from evenly.files import new_files
from evenly.folder.excluded import EXCLUDED_FILE, write_excluded
from evenly.folder.manifest import MEASURES_FILE, Manifest, Options, write_manifest, write_measures
from evenly.folder.order import ORDER_FILE, write_order
from evenly.folder.place import check_out, inputs_among, selection_folder
from evenly.folder.selection import SelectionFolder
from evenly.folder.view import VIEW_FILE, write_view
from evenly.report.page import write_report
from evenly.request import PICKED
from evenly.rows.rows import Rows
from evenly.rows.writing import check_output, write_rows
from evenly.selecting.config import CONFIG_FILE, write_config
from evenly.selecting.file_order import rows_to_write
from evenly.selecting.request import SelectRequest, Stopwatch
from evenly.types import Float32Array, Int64Array, Selection

LIBRARIES = ("numpy", "torch", "transformers", "datasets", "pyarrow")


def check_writing(
    request: SelectRequest, rows: Rows, goes_on_from: SelectionFolder | None = None
) -> list[Path]:
    """Refuses to write where a source or something else lies, before long work is done.

    Args:
        request: what is asked for.
        rows: the pool.
        goes_on_from: a selection that must stay as it is.

    Returns:
        Kept rows of an older run in the output folder that this one does not write again; they go with it.

    Raises:
        InputError: says what is in the way, or why the rows cannot be written there.
    """
    values = [request.pool.encoder, *request.choice.options.values()]
    values += [str(source.path) for source in rows.opened if source.path is not None]
    values += [] if goes_on_from is None else [str(goes_on_from.path)]
    targets = check_output(rows, request.out)
    return check_out(request.out, targets, inputs_among(values), overwrite=request.overwrite)


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of a selection: its measures, the (N,) parts that prove the certificate, and the (N, 2) places of
    the pool's rows on the map."""

    measures: dict[str, Any]
    parts: Int64Array
    places: Float32Array


def write_record(
    request: SelectRequest,
    prepared: Prepared,
    selection: Selection,
    found: Found,
    watch: Stopwatch,
    older: Sequence[Path] = (),
) -> Manifest:
    """Fills the folder and writes the kept rows under temporary names, then puts both in their places.

    The record goes first: a run that is killed in between leaves no kept file that nothing tells of.
    """
    started = time.perf_counter()
    rows = prepared.pool.rows
    with new_files(make_folders=True) as new:
        new.instead_of(older)
        folder = new.folder(selection_folder(request.out))
        order_sha256 = write_order(selection, rows.ids, found.parts, folder / ORDER_FILE)
        files = {
            VIEW_FILE: write_view(rows, found.places, folder / VIEW_FILE),
            MEASURES_FILE: write_measures(found.measures, folder),
        }
        if (
            not len(prepared.given) or "must" in prepared.choice.options
        ):  # else it goes on from another selection
            files[CONFIG_FILE] = write_config(request, folder)
        if (excluded := excluded_table(prepared, selection)) is not None:
            files[EXCLUDED_FILE] = write_excluded(excluded, folder)
        left = np.empty(0, dtype=np.int64) if excluded is None else excluded["row"].to_numpy()
        written, appended = rows_to_write(request.order, prepared.choice, selection, left)
        outputs = write_rows(rows, written, request.out, new)
        watch.seconds["write"] = round(time.perf_counter() - started, 3)
        manifest = _manifest(prepared, selection)
        ordered = {"order": request.order if request.order == PICKED else None, "appended": appended}
        manifest = manifest.model_copy(
            update={
                "options": manifest.options.model_copy(update=ordered),
                "outputs": outputs,
                "order_sha256": order_sha256,
                "files": files,
                "seconds": dict(watch.seconds),
            }
        )
        manifest = write_manifest(manifest, folder)
        if request.page:
            write_report(folder)
    return manifest


def _manifest(prepared: Prepared, selection: Selection) -> Manifest:
    """What is known before anything is written."""
    pool, choice = prepared.pool, prepared.choice
    return Manifest(
        evenly=version("evenly"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=pool.rows.sources,
        outputs=[],
        encoder=pool.encoder,
        text=pool.request.text,
        part=pool.request.part,
        metric=selection.metric,
        keep=choice.budget.text,
        asked=selection.asked,
        kept=len(selection),
        pool_rows=selection.pool_rows,
        start=int(selection.rows[0]),
        start_rule=start_rule(prepared),
        seed=choice.seed,
        allow_copies=choice.allow_copies,
        exhausted=selection.exhausted,
        h_min=selection.h_min if np.isfinite(selection.h_min) else None,
        fill=selection.fill,
        order_sha256="",
        vectors_sha256=pool.points.sha256,
        seconds={},
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        options=_options(prepared),
    )


def start_rule(prepared: Prepared) -> str:
    """How the first pick was found."""
    choice = prepared.choice
    if prepared.anchors is not None or len(prepared.given):
        return "given"
    if prepared.sequence is not None:
        return "sequence"
    if not choice.picks_farthest:
        return "strategy"
    if isinstance(choice.start, int):
        return "row"
    return "nearest-mean" if choice.start is None else "random"


def _options(prepared: Prepared) -> Options:
    choice, controls = prepared.choice, options_of(prepared.choice.controls)
    return Options(
        split=prepared.pool.request.split if prepared.pool.rows.has_datasets else None,
        keep_left_out=controls.pop("keep", None) is None,  # keep has a place of its own
        controls=controls,
        given=len(prepared.given),
        strategy=choice.strategy if choice.strategy != MAXMIN else None,
        refine=choice.refine,
        skip_empty=prepared.pool.request.skip_empty,
        strip_shared=prepared.pool.request.strip_shared,
    )
