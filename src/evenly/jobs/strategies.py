"""`evenly select --strategy all`: every arm of the same pool and size, and one table that compares them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evenly.controls.choice import ALL_STRATEGIES
from evenly.controls.prepared import prepare
from evenly.errors import InputError, MissingExtraError
from evenly.files import new_files
from evenly.measures.diversity import vendi_score
from evenly.opened import OpenedPool, open_pool, read_pool
from evenly.records import OutputRecord
from evenly.request import PICKED
from evenly.rows.parts import part_places
from evenly.rows.writing import write_rows
from evenly.selecting.picking import pick
from evenly.selecting.request import SelectRequest
from evenly.strategies import STRATEGIES
from evenly.types import Int64Array, Progress, Selection, silent

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
    overlap: dict[str, float] = field(default_factory=dict)


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
    if request.choice.strategy != ALL_STRATEGIES:
        raise InputError(f"every strategy is asked for by strategy all; got {request.choice.strategy}")
    request.check()
    if not request.out.endswith("/") and not Path(request.out).is_dir():
        raise InputError("`strategy=all` writes one arm per strategy: give `out` a folder, e.g. arms/")
    rows = read_pool(request.pool, progress=progress)
    places, older = part_places(request.out, STRATEGIES, rows, RECORD_FILE, overwrite=request.overwrite)
    picks: dict[str, Int64Array] = {}
    arms: dict[str, ArmMeasures] = {}
    missing: dict[str, str] = {}
    with open_pool(request.pool, rows, progress=progress) as pool:
        prepared = prepare(request.choice, pool)
        for name, strategy in STRATEGIES.items():
            if lacking := strategy.lacks_room(pool.points, prepared.count):
                missing[name] = lacking
                continue
            started = time.perf_counter()
            try:
                choice = replace(request.choice, strategy=name, allow_copies=True)
                selection = pick(replace(prepared, choice=choice), use_saved=False, progress=progress)
            except MissingExtraError as error:
                missing[name] = str(error)
                continue
            seconds = time.perf_counter() - started
            picks[name] = selection.rows
            arms[name] = _measured(name, selection, pool, seconds)
    measured = [replace(arm, overlap=_overlap(name, picks)) for name, arm in arms.items()]
    # The record takes its place first: no arm is there that nothing tells of.
    with new_files(make_folders=True) as new, new.open(Path(request.out) / RECORD_FILE) as stream:
        new.instead_of(older)
        written = picks if request.order == PICKED else {name: np.sort(rows) for name, rows in picks.items()}
        outputs = [one for name in picks for one in write_rows(rows, written[name], places[name], new)]
        result = AllStrategies(measured, missing, outputs)
        stream.write(f"{json.dumps(result.to_dict(), indent=1, allow_nan=False)}\n".encode())
    return result


def _measured(name: str, selection: Selection, pool: OpenedPool, seconds: float) -> ArmMeasures:
    return ArmMeasures(
        strategy=name,
        rows=len(selection),
        h_min=selection.h_min if np.isfinite(selection.h_min) else None,
        fill=selection.fill,
        mesh_ratio=selection.mesh_ratio if np.isfinite(selection.mesh_ratio) else None,
        vendi=vendi_score(pool.points.part(selection.rows).tensor),
        mean_length=float(pool.rows.characters[selection.rows].mean()),
        seconds=round(seconds, 2),
    )


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
