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
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from evenly.data.manifest import write_atomically
from evenly.errors import InputError
from evenly.report.comparison_tables import answer_rows, arm_rows, threshold_rows
from evenly.types import Float64Array

PAGE_FILE = "report.html"
PARTS = {
    "own": "loss on a sample of its own rows",
    "random-test": "loss on the random test",
    "even-test": "loss on the even test",
}
AXES = {
    "step": "steps",
    "tokens": "tokens trained on",
    "seconds": "seconds of training",
    "total": "seconds with embedding and selecting",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8b5a2b")
"""Okabe and Ito's palette, for colour-blind readers; arms are also named at the ends of their lines."""
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
    """Writes ``folder/report.html`` from ``comparison.json`` and the curves of the runs.

    Raises:
        InputError: the folder holds no finished comparison.
    """
    try:
        result = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no comparison.json; finish the comparison first") from None
    curves = _read_curves(folder)
    variants = [
        {
            "name": variant["variant"],
            "charts": [
                {"title": title, "charts": [_chart(curves, variant["variant"], part, axis) for axis in AXES]}
                for part, title in PARTS.items()
            ],
            "tables": [
                ("Arms", arm_rows(variant)),
                ("Questions", answer_rows(variant)),
                ("When each arm got where", threshold_rows(variant)),
            ],
            "failed": variant["failed"],
        }
        for variant in result["variants"]
    ]
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = template.from_string(_TEMPLATE).render(result=result, variants=variants, policy=_POLICY)
    write_atomically(folder / PAGE_FILE, page)
    return folder / PAGE_FILE


def _read_curves(folder: Path) -> list[dict[str, Any]]:
    """Record and curve of every run that finished."""
    found = []
    for path in sorted(folder.glob("runs/*/run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "done":
            found.append({**record, "curve": pq.read_table(path.parent / "curve.parquet")})
    return found


def band(runs: list[dict[str, Any]], part: str, axis: str) -> Band:
    """Mean and range over the seeds of one arm, on straight lines between measures, nowhere beyond them."""
    lines = []
    for run in runs:
        table = run["curve"].filter(pc.field("part") == part)
        x = table["seconds" if axis == "total" else axis].to_numpy().astype(np.float64)
        lines.append((x + (run["cost_seconds"] if axis == "total" else 0.0), table["loss"].to_numpy()))
    first = max(float(x[0]) for x, _ in lines)
    last = min(float(x[-1]) for x, _ in lines)
    grid = np.linspace(first, last, GRID)
    losses = np.stack([np.interp(grid, x, loss) for x, loss in lines])
    return Band(runs[0]["arm"], grid, losses.mean(axis=0), losses.min(axis=0), losses.max(axis=0))


def _chart(curves: list[dict[str, Any]], variant: str, part: str, axis: str) -> Markup:
    chosen = [run for run in curves if run["variant"] == variant]
    arms = list(dict.fromkeys(run["arm"] for run in chosen))
    bands = [band([run for run in chosen if run["arm"] == arm], part, axis) for arm in arms]
    colours = {arm: COLOURS[number % len(COLOURS)] for number, arm in enumerate(sorted(arms))}
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


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>evenly compare: did it pay?</title>
<style>
:root { --ink: #1d2126; --quiet: #667; --paper: #fff; --rule: #dde; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --quiet: #99a; --paper: #16181c; --rule: #334; }
} body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1100px;
  margin: 2rem auto; padding: 0 1rem; }
p { max-width: 70ch; }
.quiet { color: var(--quiet); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text:not([fill]) { fill: var(--quiet); }
svg text[fill] { font-weight: 600; }
.axis { stroke: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.2rem 0.7rem; border-bottom: 1px solid var(--rule); white-space: nowrap;
} th:first-child, td:first-child { text-align: left; }
</style>
</head>
<body>
<p class="quiet">evenly compare · {{ result.request.sources | join(", ") }}</p>
<h1>Did it pay?</h1>
{% for paragraph in result.verdict %}<p>{{ paragraph }}</p>
{% endfor %}
<p class="quiet">Model: {{ result.model }}, {{ "{:,}".format(result.parameters) }} parameters, identity
{{ result.model_identity[:16] }}. Loss {{ result.request.training.loss }}, optimiser {{
result.request.training.optimizer }}, rate {{ "%.3g" | format(result.rate) }} for all arms. Pool {{
"{:,}".format(result.pool_rows) }} rows; tests {{ result.test_rows.values() | join(" and ") }} rows; {{
result.left_out }} rows lie too near a test row and are in no arm.
evenly {{ result.evenly }}, {{ result.created }}.</p>
{% for variant in variants %}
<h2>{{ variant.name }}</h2>
{% for line in variant.failed %}<p>Not finished: {{ line }}</p>
{% endfor %}
{% for part in variant.charts %}
<h3>{{ part.title | capitalize }}</h3>
<div class="charts">{% for chart in part.charts %}<div>{{ chart }}</div>{% endfor %}</div>
{% endfor %}
<p class="quiet">Lines are means over seeds, bands reach from the lowest to the highest seed. Where a curve
lies above the scale, in its first steps, it is cut off.</p>
{% for title, rows in variant.tables %}
<h3>{{ title }}</h3>
<div class="scroll"><table>
<thead><tr>{% for cell in rows[0] %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% endfor %}
<p class="quiet">* marks the main questions, which are judged together at the 5 % level (Holm). Another
difference is only called where one of them stands. Intervals are those of each question alone.</p>
{% endfor %}
</body>
</html>
"""
