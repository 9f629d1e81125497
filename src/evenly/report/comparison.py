"""The page of a comparison: verdict, curves and tables in one HTML file, made from the saved results alone.

The curves are drawn as SVG when the page is written, so it needs no script at all.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from markupsafe import Markup

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.report.comparison_tables import (
    answer_rows,
    arm_rows,
    curve_rows,
    look_rows,
    source_rows,
    threshold_rows,
)
from evenly.report.rendering import WITHOUT_SCRIPTS, rendered
from evenly.types import Float64Array

PAGE_FILE = "report.html"
CURVES_FILE = "curves.parquet"
PARTS = {
    "own": "loss on its own rows",
    "random-test": "loss on the random test",
    "even-test": "loss on the even test",
}
AXES = {
    "steps": "steps",
    "tokens": "tokens trained on",
    "seconds": "seconds of training",
    "total": "seconds with embedding and selecting",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8b5a2b")
"""Okabe and Ito's palette, for colour-blind readers; arms are also named at the ends of their lines."""
Point = dict[str, Any]
"""A row of ``curves.parquet``: variant, arm, seed, part, an abscissa for each of `AXES`, and loss."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 250, 48, 74, 10, 34
GRID = 60


@dataclass(frozen=True, eq=False)
class Band:
    """The curves of an arm over its seeds on a common grid.

    Attributes:
        arm: its name.
        x: (GRID,) abscissae that all seeds cover.
        mean, low, high: (GRID,) mean, lowest and highest loss over seeds.
    """

    arm: str
    x: Float64Array
    mean: Float64Array
    low: Float64Array
    high: Float64Array


def write_comparison_page(folder: Path) -> Path:
    """Writes ``folder/report.html`` from ``comparison.json`` and ``curves.parquet``.

    Raises:
        InputError: the folder holds no finished comparison.
    """
    try:
        result = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
        points = pq.read_table(folder / CURVES_FILE).to_pylist()
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is not there; finish the comparison first") from None
    variants = [
        {
            "name": variant["variant"],
            "charts": [
                {"title": title, "charts": [_chart(_of(points, variant, part), part, axis) for axis in AXES]}
                for part, title in PARTS.items()
            ],
            "tables": [
                (title, rows)
                for title, rows in (
                    ("Arms", arm_rows(variant)),
                    ("Random test by source, at equal steps", source_rows(variant)),
                    ("Random test: three looks at what is equal", look_rows(variant)),
                    ("Even test: three looks at what is equal", look_rows(variant, "even_test")),
                    ("Main questions", answer_rows(variant, main=True)),
                )
                if rows
            ],
            "folded": [
                ("Every question", answer_rows(variant)),
                ("When each arm got where", threshold_rows(variant)),
            ],
            "failed": variant["failed"],
        }
        for variant in result["variants"]
    ]
    styles = ["page.css", "comparison.css"]
    page = rendered(
        "comparison.html",
        policy=WITHOUT_SCRIPTS,
        styles=styles,
        result=result,
        variants=variants,
        curve=curve_rows(result["variants"]),
    )
    write_atomically(folder / PAGE_FILE, page)
    return folder / PAGE_FILE


def _of(points: list[Point], variant: dict[str, Any], part: str) -> dict[str, list[list[Point]]]:
    """The curves of a part by arm, one list of points per seed."""
    found: dict[str, dict[int, list[Point]]] = {}
    for point in points:
        if (point["variant"], point["part"]) == (variant["variant"], part):
            found.setdefault(point["arm"], {}).setdefault(point["seed"], []).append(point)
    return {arm: list(seeds.values()) for arm, seeds in sorted(found.items())}


def band(arm: str, curves: list[list[Point]], axis: str) -> Band:
    """Mean and range over the seeds of one arm, on straight lines between measures, nowhere beyond them."""
    lines = [([point[axis] for point in curve], [point["loss"] for point in curve]) for curve in curves]
    first = max(x[0] for x, _ in lines)
    last = min(x[-1] for x, _ in lines)
    grid = np.linspace(first, last, GRID)
    losses = np.stack([np.interp(grid, x, loss) for x, loss in lines])
    return Band(arm, grid, losses.mean(axis=0), losses.min(axis=0), losses.max(axis=0))


def _chart(curves: dict[str, list[list[Point]]], part: str, axis: str) -> Markup:
    bands = [band(arm, seeds, axis) for arm, seeds in curves.items()]
    colours = {arm: COLOURS[number % len(COLOURS)] for number, arm in enumerate(curves)}
    right = max(float(each.x[-1]) for each in bands)
    low = min(float(each.low.min()) for each in bands)
    # The first measure towers over the rest; the scale starts where the curves have come apart.
    high = max(float(each.high[GRID // 12]) for each in bands)
    span = max(high - low, 1e-12)

    def across(x: Float64Array) -> Float64Array:
        return LEFT + x / right * (WIDTH - LEFT - RIGHT)

    def down(y: Float64Array) -> Float64Array:
        return TOP + np.clip((high - y) / span, 0.0, 1.0) * (HEIGHT - TOP - BOTTOM)

    pieces = [_axes(low, high, right, AXES[axis])]
    labels = _spread_labels([float(down(each.mean[-1:])[0]) for each in bands])
    for each, label in zip(bands, labels, strict=True):
        x, colour = across(each.x), colours[each.arm]
        edge = _points(np.concatenate([x, x[::-1]]), down(np.concatenate([each.high, each.low[::-1]])))
        pieces.append(f'<polygon points="{edge}" fill="{colour}" fill-opacity="0.15"/>')
        line = _points(x, down(each.mean))
        pieces.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        name = Markup.escape(each.arm)
        pieces.append(f'<text x="{x[-1] + 4:.0f}" y="{label + 4:.0f}" fill="{colour}">{name}</text>')
    title = Markup.escape(f"{PARTS[part]} against {AXES[axis]}")
    # Every text put into the markup above is a number, a constant of this module, or escaped.
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(pieces)}</svg>'
    )


def _axes(low: float, high: float, right: float, name: str) -> str:
    bottom, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    pieces = [f'<path d="M{LEFT} {TOP}V{bottom}H{end}" fill="none" class="axis"/>']
    for share in (0.0, 0.5, 1.0):
        y = TOP + share * (bottom - TOP)
        value = high - share * (high - low)
        pieces.append(f'<text x="{LEFT - 5}" y="{y + 4:.0f}" text-anchor="end">{value:.3g}</text>')
        x = LEFT + share * (end - LEFT)
        pieces.append(
            f'<text x="{x:.0f}" y="{bottom + 14}" text-anchor="middle">{_short(share * right)}</text>'
        )
    pieces.append(f'<text x="{(LEFT + end) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{name}</text>')
    return "".join(pieces)


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _points(x: Float64Array, y: Float64Array) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _spread_labels(heights: list[float], gap: float = 12.0) -> list[float]:
    """Moves labels down where they would lie on each other."""
    placed = list(heights)
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    for above, below in itertools.pairwise(order):
        placed[below] = max(placed[below], placed[above] + gap)
    return placed
