"""measures.json: how even the kept rows are, beside the pool and beside random sets of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenly.engine.blocks import steady_torch
from evenly.engine.knee import knee
from evenly.engine.points import Points
from evenly.measures.certificate import Certificate, certificate
from evenly.measures.exact import MOST_PAIRS, evenness_of
from evenly.measures.random_sets import SAMPLED_ROWS, Draws, random_sets, sample_of
from evenly.measures.result import Evenness, plain
from evenly.measures.sets import RowSet
from evenly.measures.sizes import by_size
from evenly.types import Float64Array, Int64Array, Progress, Selection, silent

RANDOM_DRAWS = 5
"""Their medians are reported, and each draw costs a search of its own."""

CLOSEST_PAIRS = 10
"""Of pool and kept rows; part of what measures.json holds."""

_BINS = 60
"""Of each histogram; part of what measures.json holds."""


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
    found["by_size"] = by_size(points, selection.rows, seed)
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
        What JSON holds: ``pool`` and ``kept``, each with h_min, mean_nearest, fill, mesh_ratio, closest_pairs and a
        histogram ``nearest``; ``random`` with draws, h_min, mean_nearest and fill (median and values) and ``nearest``;
        ``knee``, the size at which h_min(k) bends, where the order holds every distinct row; ``sampled_rows``, of
        each set at most, where they are sampled.
    """
    chosen, pool = RowSet.of(points, selection.rows), RowSet.of(points)
    sampled = len(points) ** 2 > MOST_PAIRS
    subsets = Draws(chosen, progress, seed=seed if sampled else None)
    kept_sample = _sample_with_closest(selection, seed) if sampled else None
    pool_sample = sample_of(len(points), seed, 0) if sampled else None
    kept = evenness_of(chosen, selection.fill, sample=kept_sample, progress=progress)
    whole = evenness_of(pool, 0.0, sample=pool_sample, found=subsets.lists, progress=progress)
    drawn = random_sets(chosen, draws, seed, subsets)
    edges = _edges([kept.nearest_distance, whole.nearest_distance], selection.fill)
    found: dict[str, Any] = {"kept": _saved(chosen, kept, edges), "pool": _saved(pool, whole, edges)}
    if sampled:
        found["sampled_rows"] = SAMPLED_ROWS
    # Of a part of the order the knee would say how much was kept, and nothing of the pool.
    whole_order = selection.exhausted or len(selection) == len(points)
    falling = bool((np.diff(selection.radii) <= 0).all())
    found["knee"] = knee(selection.radii) if whole_order and falling else None
    if drawn:
        medians = {
            name: {"median": float(np.median(values)), "values": values}
            for name, values in drawn.values.items()
        }
        found["random"] = {"draws": drawn.draws, **medians, "nearest": _histogram(drawn.nearest, edges)}
    return found


def _sample_with_closest(selection: Selection, seed: int) -> Int64Array:
    """Places of sampled rows among the kept rows, ascending; the row whose radius is h_min is one of them."""
    rows = selection.sorted_rows()
    closest = int(np.searchsorted(rows, selection.rows[selection.radii.argmin()]))
    at = sample_of(len(rows), seed, 1)
    return np.union1d(at[at != closest][: SAMPLED_ROWS - 1], closest)


def _edges(distances: list[Float64Array], fill: float) -> Float64Array:
    """Bins that hold the nearest distances of pool and kept rows."""
    nearest = np.concatenate(distances)
    highest = max(float(nearest[np.isfinite(nearest)].max(initial=0.0)), fill)
    return np.linspace(0.0, highest if highest > 0 else 1.0, _BINS + 1)


def _histogram(distance: Float64Array, edges: Float64Array) -> dict[str, Any]:
    finite = distance[np.isfinite(distance)]
    return {"edges": edges.tolist(), "counts": np.histogram(finite, edges)[0].tolist()}


def _saved(chosen: RowSet, even: Evenness, edges: Float64Array) -> dict[str, Any]:
    """What measures.json holds of a set."""
    return {
        "rows": len(chosen.rows),
        "h_min": plain(even.h_min),
        "mean_nearest": even.mean_nearest,
        "fill": even.fill,
        "mesh_ratio": plain(even.mesh_ratio),
        "copies": even.copies,
        "closest_pairs": [plain(pair) for pair in even.closest[:CLOSEST_PAIRS]],
        "nearest": _histogram(even.nearest_distance, edges),
    }
