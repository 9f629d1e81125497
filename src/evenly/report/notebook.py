"""The figures of the page for notebooks, drawn with matplotlib from a selection in memory."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.errors import InputError, MissingExtraError
from evenly.report.drawing import COLOURS, INK, frame, house_style, panels
from evenly.types import Float64Array, Int64Array, Selection, VectorsLike, metric_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evenly.measures.sets import RowSet

KEPT, DROPPED, RANDOM = COLOURS[0], COLOURS[6], INK
BINS = 60


def plot(selection: Selection, vectors: VectorsLike = None) -> Figure:
    """Draws h_min(k) and how well the pool is covered; with the vectors also the map and nearest neighbours.

    Args:
        selection: what `evenly.select` returned.
        vectors: (N, d) numbers it was selected from. Cost with them: the nearest neighbours of the whole
            pool, seconds for 50,000 rows.

    Returns:
        A matplotlib figure of two panels, or of four with vectors.

    Raises:
        InputError: the vectors have another number of rows than the pool.
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("plot", "report")
    pool = None if vectors is None else _pool(selection, vectors)
    with house_style():
        figure, axes = panels(2, 1 if pool is None else 2, width=5.5, height=3.8)
        if pool is not None:
            _draw_map(axes[0], selection, pool)
            _draw_nearest(axes[1], selection, pool)
        _draw_curve(axes[-2], selection)
        _draw_cover(axes[-1], selection)
    figure._repr_png_ = lambda: _png(figure)  # type: ignore[attr-defined]  # what a notebook asks a result for
    return figure


def _png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _pool(selection: Selection, vectors: VectorsLike) -> RowSet:
    from evenly.measures.sets import RowSet

    pool = RowSet.of_vectors(vectors, selection.metric)
    if len(pool.points) != selection.pool_rows:
        raise InputError(
            f"vectors hold {len(pool.points)} rows, the selection was made from {selection.pool_rows}; "
            "give the vectors it was made from"
        )
    return pool


def _draw_map(axes: Axes, selection: Selection, pool: RowSet) -> None:
    rows = pool.points.tensor.double()
    rows = rows - rows.mean(0)
    # The eigenvectors of the d x d scatter matrix are the principal axes, the largest last.
    principal = np.linalg.eigh((rows.T @ rows).numpy())[1][:, ::-1][:, :2]
    places = rows.numpy() @ principal
    if places.shape[1] == 1:  # rows of one number lie on a line
        places = np.column_stack([places, np.zeros(len(places))])
    kept = np.zeros(len(places), dtype=bool)
    kept[selection.rows] = True
    size = float(np.clip(20_000 / len(places), 1.5, 20.0))
    for shown, colour, label in ((~kept, DROPPED, "dropped"), (kept, KEPT, "kept")):
        x, y = places[shown].T
        axes.scatter(x, y, s=size, c=colour, label=label, linewidths=0, alpha=0.8, rasterized=True)
    axes.set(xticks=[], yticks=[], aspect="equal")
    frame(axes, "The pool: first two principal components", "", legend={"markerscale": 3 / np.sqrt(size)})


def _draw_curve(axes: Axes, selection: Selection) -> None:
    finite = np.isfinite(selection.radii)
    sizes = np.flatnonzero(finite) + 1
    axes.plot(sizes, selection.radii[finite], color=KEPT)
    if len(sizes):
        last = f"{len(selection):,} rows: {selection.h_min:.3g}"
        axes.plot(sizes[-1], selection.h_min, "o", color=KEPT, label=last)
        axes.legend()
    frame(axes, "Smallest distance at every size", "rows kept, k", f"h_min(k) ({selection.metric})")
    axes.set_ylim(0, None)


def _draw_cover(axes: Axes, selection: Selection) -> None:
    dropped = np.setdiff1d(np.arange(selection.pool_rows), selection.rows)
    axes.hist(selection.keeper_distance[dropped], bins=BINS, color=DROPPED)
    distance = f"distance ({selection.metric}); the largest is fill, {selection.fill:.3g}"
    frame(axes, "Dropped rows: distance to their keeper", distance, "rows")


def _draw_nearest(axes: Axes, selection: Selection, pool: RowSet) -> None:
    some = np.random.default_rng(0).choice(selection.pool_rows, size=len(selection), replace=False)
    drawn: list[tuple[str, Int64Array, dict[str, Any]]] = [
        ("pool", pool.rows, {"color": DROPPED}),
        ("a random set", np.sort(some), {"color": RANDOM, "histtype": "step", "linestyle": "--"}),
        ("kept", selection.sorted_rows(), {"color": KEPT, "alpha": 0.5}),
    ]
    found = [(label, _nearest_distances(pool, rows), style) for label, rows, style in drawn]
    highest = max((distance.max() for _, distance, _ in found if len(distance)), default=1.0)
    for label, distance, style in found:
        if len(distance):
            shares = np.full(len(distance), 1 / len(distance))
            within = (0, float(highest) or 1.0)
            axes.hist(distance, bins=BINS, range=within, weights=shares, label=label, **style)
    distance_words = f"distance ({selection.metric})"
    frame(axes, "Distance to the nearest other row", distance_words, "share of rows", legend="best")


def _nearest_distances(pool: RowSet, rows: Int64Array) -> Float64Array:
    """The distance of each row of a set to the nearest other one; none for a single row."""
    from dataclasses import replace

    from evenly.measures.exact import nearest_within

    squared = nearest_within(replace(pool, rows=rows))[1]
    return metric_distance(squared[np.isfinite(squared)], pool.points.metric)
