"""`evenly select --strategy all`: every arm of the same pool and size, and one table that compares them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenly.checks import check_int, check_metric
from evenly.controls.request import check_controls
from evenly.errors import InputError, MissingExtraError
from evenly.files import one_line_errors, write_atomically
from evenly.jobs.picking import check_strategy
from evenly.jobs.request import SelectRequest
from evenly.jobs.select import embed_rows, selection_parts
from evenly.jobs.split import part_place
from evenly.measures.diversity import vendi_score
from evenly.opened import check_encoder
from evenly.records import OutputRecord
from evenly.rows.sources import read_rows
from evenly.rows.writing import check_output, write_rows
from evenly.strategies import STRATEGIES
from evenly.types import Int64Array, Progress, silent
from evenly.vectors import Cache

RECORD_FILE = "strategies.json"


@dataclass(frozen=True)
class ArmMeasures:
    """One arm of the table.

    Attributes:
        strategy: its name.
        rows: kept.
        h_min, fill, mesh_ratio: as everywhere; the ratio is None where copies were kept.
        vendi: Vendi score of the kept rows.
        mean_length: characters of a kept row.
        seconds: of choosing, embedding not counted.
        overlap: share of its rows that each other arm keeps too.
    """

    strategy: str
    rows: int
    h_min: float | None
    fill: float
    mesh_ratio: float | None
    vendi: float | None
    mean_length: float
    seconds: float
    overlap: dict[str, float]


@dataclass(frozen=True)
class AllStrategies:
    """Every arm, those that could not be made, and the files written."""

    arms: list[ArmMeasures]
    missing: dict[str, str]
    outputs: list[OutputRecord]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` and strategies.json hold it."""
        return asdict(replace(self, outputs=[])) | {"outputs": [one.model_dump() for one in self.outputs]}


def select_all(request: SelectRequest, progress: Progress = silent) -> AllStrategies:
    """Chooses by every strategy over the same vectors and writes each arm's rows.

    Args:
        request: with a folder as ``out``; each arm gets one file in it, or a folder for several sources.
        progress: called as the work goes on.

    Raises:
        InputError: as for one strategy, or ``out`` is no folder.
    """
    metric = check_metric(request.metric)
    check_int(request.seed, "--seed", at_least=0)
    controls = request.controls
    check_controls(controls, request.keep, request.start, request.allow_copies, scores_alone=True)
    check_strategy("all", controls, request.keep, request.start, request.refine)
    if not request.out.endswith("/") and not Path(request.out).is_dir():
        raise InputError("--strategy all writes one arm per strategy: give --out a folder, e.g. arms/")
    check_encoder(request.encoder)
    rows = read_rows(
        list(request.sources), text=request.text, part=request.part, split=request.split, progress=progress
    )
    places = {name: part_place(request.out, name, rows) for name in STRATEGIES}
    with one_line_errors(Path(request.out)):
        Path(request.out).mkdir(parents=True, exist_ok=True)
    for place in places.values():
        check_output(rows, place)
    cache = Cache.open() if request.use_cache else None
    found = embed_rows(request, rows, cache, progress)
    _, prepared, picker = selection_parts(request, rows, found, metric, cache, progress)
    picks: dict[str, Int64Array] = {}
    measured: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    outputs: list[OutputRecord] = []
    for name in STRATEGIES:
        started = time.perf_counter()
        try:
            selection = replace(picker, strategy=name, cache=None, allow_copies=True).pick(prepared, progress)
        except MissingExtraError as error:
            missing[name] = str(error)
            continue
        seconds = time.perf_counter() - started
        picks[name] = selection.rows
        outputs += write_rows(rows, selection.sorted_rows(), places[name])
        kept = picker.vectors[torch.from_numpy(selection.rows)]
        measured[name] = {
            "rows": len(selection),
            "h_min": selection.h_min if np.isfinite(selection.h_min) else None,
            "fill": selection.fill,
            "mesh_ratio": selection.mesh_ratio if np.isfinite(selection.mesh_ratio) else None,
            "vendi": vendi_score(kept),
            "mean_length": float(prepared.lengths[selection.rows].mean()),
            "seconds": round(seconds, 2),
        }
    arms = [
        ArmMeasures(strategy=name, overlap=_overlap(name, picks), **values)
        for name, values in measured.items()
    ]
    result = AllStrategies(arms, missing, outputs)
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"
    write_atomically(Path(request.out) / RECORD_FILE, text)
    return result


def _overlap(name: str, picks: dict[str, Int64Array]) -> dict[str, float]:
    own = picks[name]
    return {
        other: round(len(np.intersect1d(own, rows)) / len(own), 4)
        for other, rows in picks.items()
        if other != name
    }


def arm_rows(result: AllStrategies) -> list[tuple[str, ...]]:
    """The table as text, one tuple per arm, headings first; ``shared`` is the share of rows that maxmin keeps too."""
    headings = (
        "strategy",
        "rows",
        "h_min",
        "fill",
        "mesh ratio",
        "Vendi",
        "characters",
        "in maxmin",
        "seconds",
    )
    lines: list[tuple[str, ...]] = [headings]
    for arm in result.arms:
        shared = 1.0 if arm.strategy == "maxmin" else arm.overlap.get("maxmin", float("nan"))
        lines.append(
            (
                arm.strategy,
                f"{arm.rows:,}",
                "-" if arm.h_min is None else f"{arm.h_min:.4f}",
                f"{arm.fill:.4f}",
                "-" if arm.mesh_ratio is None else f"{arm.mesh_ratio:.3g}",
                "-" if arm.vendi is None else f"{arm.vendi:.1f}",
                f"{arm.mean_length:,.0f}",
                f"{100 * shared:.0f} %",
                f"{arm.seconds:.1f}",
            )
        )
    return lines
