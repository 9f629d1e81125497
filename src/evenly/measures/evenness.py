"""measures.json: how even the kept rows are, beside the pool and beside random sets of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenly.engine.knee import knee
from evenly.engine.neighbours import Neighbours
from evenly.engine.points import Points
from evenly.engine.tiles import steady_torch
from evenly.measures.certificate import Certificate, certificate
from evenly.measures.exact import MOST_PAIRS, closest_pairs, nearest_within
from evenly.measures.random_sets import SAMPLED_ROWS, Draws, random_subsets, sample_of
from evenly.measures.result import plain
from evenly.measures.sets import RowSet
from evenly.types import Float64Array, Int64Array, Progress, Selection, metric_distance, silent

RANDOM_DRAWS = 5
CLOSEST_PAIRS = 10
_BINS = 60


CERTIFICATE_ROWS, CERTIFICATE_ROUNDS = 10_000, 20
"""Up to so many rows the certificate is tightened in rounds; beyond, that would cost more than the selection."""


def measured(
    points: Points,
    selection: Selection,
    *,
    draws: int = RANDOM_DRAWS,
    seed: int = 0,
    restricted_by: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[dict[str, Any], Certificate]:
    """All that measures.json holds but what the controls did, and the certificate with its proof.

    Args:
        points, selection, draws, seed: as for `evenness`.
        restricted_by: what kept rows from being picked freely.
    """
    found = evenness(points, selection, draws=draws, seed=seed, progress=progress)
    proof = certificate(
        points,
        selection.rows,
        rounds=CERTIFICATE_ROUNDS if selection.pool_rows <= CERTIFICATE_ROWS else 0,
        keeper=selection.keeper,
        h_min=selection.h_min,
        restricted_by=restricted_by,
        progress=progress,
    )
    found["certificate"] = proof.to_dict()
    return found, proof


@steady_torch()
def evenness(
    points: Points,
    selection: Selection,
    *,
    draws: int = RANDOM_DRAWS,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measures the kept rows, random sets of their size, and the pool.

    In pools of more than `MOST_PAIRS` pairs, nearest neighbours are those of sampled rows, each exact: `SAMPLED_ROWS`
    of the kept rows, of each random set and of the pool. That makes h_min of pool and random sets too large and fill
    of random sets too small, if anything. The kept rows' fill stays exact, and without anchors their h_min: the row
    of the least radius is in the sample.

    Args:
        points: the pool that the order was made on.
        selection: what was kept.
        draws: random sets to compare with.
        seed: of the draws.

    Returns:
        What JSON holds: ``pool`` and ``kept``, each with h_min, fill, mesh_ratio, closest_pairs and a
        histogram ``nearest``; ``random`` with draws, h_min and fill (median and values) and ``nearest``;
        ``knee``, the size at which h_min(k) bends; ``sampled_rows``, of each set at most, where they are sampled.
    """
    chosen, pool = RowSet.of(points, selection.rows), RowSet.of(points)
    sampled = len(points) ** 2 > MOST_PAIRS
    subsets = Draws(chosen, len(selection) / selection.pool_rows, progress, seed=seed if sampled else None)
    kept_at, pool_at = None, None
    if sampled:
        kept_at, pool_at = _sample_with_closest(selection, seed), sample_of(len(points), seed, 0)
    nearest = {
        "kept": _nearest(chosen, kept_at, progress),
        "pool": _nearest(pool, pool_at, progress, subsets.lists),
    }
    drawn = []
    if len(selection) > 1 and not chosen.is_pool:
        drawn = [subsets.nearest(rows) for rows in random_subsets(chosen, draws, seed)]
    edges = _edges([part.squared for part in nearest.values()], selection)
    fill = {"kept": selection.fill, "pool": 0.0}
    found: dict[str, Any] = {name: _set(part, fill[name], edges) for name, part in nearest.items()}
    if sampled:
        found["sampled_rows"] = SAMPLED_ROWS
    found["knee"] = knee(selection.radii) if (np.diff(selection.radii) <= 0).all() else None
    if drawn:
        found["random"] = _random(drawn, edges)
    return found


def _random(drawn: list[tuple[Float64Array, float]], edges: Float64Array) -> dict[str, Any]:
    values = {
        "h_min": [float(distance.min()) for distance, _ in drawn],
        "fill": [filled for _, filled in drawn],
    }
    medians = {
        name: {"median": float(np.median(of_draws)), "values": of_draws} for name, of_draws in values.items()
    }
    return {"draws": len(drawn), **medians, "nearest": _histogram(drawn[0][0], edges)}


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Some rows of a set, (m,) int64 pool row numbers, their nearest other row in it and the square to that."""

    within: RowSet
    rows: Int64Array
    other: Int64Array
    squared: Float64Array


def _nearest(
    chosen: RowSet, at: Int64Array | None, progress: Progress, found: Neighbours | None = None
) -> _Nearest:
    rows = chosen.rows if at is None else chosen.rows[at]
    return _Nearest(chosen, rows, *nearest_within(chosen, progress, at=at, found=found))


def _sample_with_closest(selection: Selection, seed: int) -> Int64Array:
    """Places of sampled rows among the kept rows, ascending; the row whose radius is h_min is one of them."""
    rows = selection.sorted_rows()
    closest = int(np.searchsorted(rows, selection.rows[selection.radii.argmin()]))
    at = sample_of(len(rows), seed, 1)
    return np.union1d(at[at != closest][: SAMPLED_ROWS - 1], closest)


def _edges(squared: list[Float64Array], selection: Selection) -> Float64Array:
    """Bins that hold the nearest distances of pool and kept rows."""
    distances = metric_distance(np.concatenate(squared), selection.metric)
    highest = max(float(distances[np.isfinite(distances)].max(initial=0.0)), selection.fill)
    return np.linspace(0.0, highest if highest > 0 else 1.0, _BINS + 1)


def _histogram(distance: Float64Array, edges: Float64Array) -> dict[str, Any]:
    finite = distance[np.isfinite(distance)]
    return {"edges": edges.tolist(), "counts": np.histogram(finite, edges)[0].tolist()}


def _set(nearest: _Nearest, fill: float, edges: Float64Array) -> dict[str, Any]:
    chosen = nearest.within
    distance = metric_distance(nearest.squared, chosen.points.metric)
    h_min = float(distance.min())
    pairs = closest_pairs(nearest.rows, nearest.other, distance) if len(chosen.rows) > 1 else ()
    return {
        "rows": len(chosen.rows),
        "h_min": plain(h_min),
        "fill": fill,
        "mesh_ratio": plain(fill / h_min if h_min > 0 else float("inf")),
        "copies": len(chosen.rows) - len(np.unique(chosen.points.first_equal[chosen.rows])),
        "closest_pairs": [plain(pair) for pair in pairs[:CLOSEST_PAIRS]],
        "nearest": _histogram(distance, edges),
    }
