"""The figures of the page for notebooks, drawn with matplotlib from a selection in memory."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.errors import InputError, MissingExtraError
from evenly.types import Float64Array, Int64Array, Selection, VectorsLike, metric_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evenly.measures.exact import RowSet

KEPT, DROPPED, RANDOM = "#0072b2", "#94948e", "#1a1a19"
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
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plot", "report") from None
    if vectors is None:
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        curve, cover = figure.subplots(1, 2)
    else:
        pool = _pool(selection, vectors)
        figure = Figure(figsize=(11, 8.5), layout="constrained")
        (places, nearest), (curve, cover) = figure.subplots(2, 2)
        _draw_map(places, selection, pool)
        _draw_nearest(nearest, selection, pool)
    _draw_curve(curve, selection)
    _draw_cover(cover, selection)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure._repr_png_ = lambda: _png(figure)  # type: ignore[attr-defined]  # what a notebook asks a result for
    return figure


def _png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _pool(selection: Selection, vectors: VectorsLike) -> RowSet:
    from evenly.measures.measure import row_set

    pool = row_set(vectors, None, selection.metric)
    if len(pool.pool) != selection.pool_rows:
        raise InputError(
            f"vectors hold {len(pool.pool)} rows, the selection was made from {selection.pool_rows}; "
            "give the vectors it was made from"
        )
    return pool


def _draw_map(axes: Axes, selection: Selection, pool: RowSet) -> None:
    rows = pool.pool.double()
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
    axes.set(title="The pool: first two principal components", xticks=[], yticks=[], aspect="equal")
    axes.legend(frameon=False, markerscale=3 / np.sqrt(size))


def _draw_curve(axes: Axes, selection: Selection) -> None:
    finite = np.isfinite(selection.radii)
    sizes = np.flatnonzero(finite) + 1
    axes.plot(sizes, selection.radii[finite], color=KEPT)
    if len(sizes):
        axes.plot(
            sizes[-1],
            selection.h_min,
            "o",
            color=KEPT,
            label=f"{len(selection):,} rows: {selection.h_min:.3g}",
        )
        axes.legend(frameon=False)
    axes.set(
        title="Smallest distance at every size",
        xlabel="rows kept, k",
        ylabel=f"h_min(k) ({selection.metric})",
        ylim=(0, None),
    )


def _draw_cover(axes: Axes, selection: Selection) -> None:
    dropped = np.setdiff1d(np.arange(selection.pool_rows), selection.rows)
    axes.hist(selection.keeper_distance[dropped], bins=BINS, color=DROPPED)
    axes.set(
        title="Dropped rows: distance to their keeper",
        xlabel=f"distance ({selection.metric}); the largest is fill, {selection.fill:.3g}",
        ylabel="rows",
    )


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
            axes.hist(
                distance, bins=BINS, range=(0, float(highest) or 1.0), weights=shares, label=label, **style
            )
    axes.set(
        title="Distance to the nearest other row",
        xlabel=f"distance ({selection.metric})",
        ylabel="share of rows",
    )
    axes.legend(frameon=False)


def _nearest_distances(pool: RowSet, rows: Int64Array) -> Float64Array:
    """The distance of each row of a set to the nearest other one; none for a single row."""
    from dataclasses import replace

    from evenly.measures.exact import nearest_within

    squared = nearest_within(replace(pool, rows=rows))[1]
    return metric_distance(squared[np.isfinite(squared)], pool.metric)
