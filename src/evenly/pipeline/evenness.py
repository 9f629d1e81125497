"""measures.json: how even the kept rows are, beside the pool and beside random sets of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenly.measures.certificate import Certificate, certificate
from evenly.measures.exact import RowSet, closest_pairs, nearest_within
from evenly.measures.measure import row_set
from evenly.measures.random_sets import Draws, random_subsets
from evenly.measures.result import plain
from evenly.selection.knee import knee
from evenly.selection.tiles import steady_torch
from evenly.types import Float32Array, Float64Array, Int64Array, Progress, Selection, metric_distance, silent

RANDOM_DRAWS = 5
CLOSEST_PAIRS = 10
_BINS = 60


CERTIFICATE_ROWS, CERTIFICATE_ROUNDS = 10_000, 20
"""Up to so many rows the certificate is tightened in rounds; beyond, that would cost more than the selection."""


def measured(
    vectors: Float32Array,
    selection: Selection,
    *,
    draws: int = RANDOM_DRAWS,
    seed: int = 0,
    restricted_by: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[dict[str, Any], Certificate]:
    """All that measures.json holds but what the controls did, and the certificate with its proof.

    Args:
        vectors, selection, draws, seed: as for `evenness`.
        restricted_by: what kept rows from being picked freely.
    """
    found = evenness(vectors, selection, draws=draws, seed=seed, progress=progress)
    proof = certificate(
        vectors,
        selection.rows,
        metric=selection.metric,
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
    vectors: Float32Array,
    selection: Selection,
    *,
    draws: int = RANDOM_DRAWS,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measures the kept rows, random sets of their size, and the pool.

    Args:
        vectors: (N, d) float32, the rows the order was made on.
        selection: what was kept.
        draws: random sets to compare with.
        seed: of the draws.

    Returns:
        What JSON holds: ``pool`` and ``kept``, each with h_min, fill, mesh_ratio, closest_pairs and a
        histogram ``nearest``; ``random`` with draws, h_min and fill (median and values) and ``nearest``;
        ``knee``, the size at which h_min(k) bends.
    """
    of = row_set(vectors, selection.rows, selection.metric)
    pool = RowSet(of.images, np.arange(len(of.pool)), of.first_equal, of.metric)
    subsets = Draws(of, len(selection) / selection.pool_rows, progress)
    nearest = {
        "kept": (of, *nearest_within(of, progress)),
        "pool": (pool, *nearest_within(pool, progress, found=subsets.lists)),
    }
    drawn = []
    if len(selection) > 1 and not of.is_pool:
        drawn = [subsets.nearest(rows) for rows in random_subsets(of, draws, seed)]
    edges = _edges([squared for _, _, squared in nearest.values()], selection)
    fill = {"kept": selection.fill, "pool": 0.0}
    found: dict[str, Any] = {
        name: _set(rows, other, squared, fill[name], edges)
        for name, (rows, other, squared) in nearest.items()
    }
    found["knee"] = knee(selection.radii) if (np.diff(selection.radii) <= 0).all() else None
    if drawn:
        values = {
            "h_min": [float(distance.min()) for distance, _ in drawn],
            "fill": [filled for _, filled in drawn],
        }
        found["random"] = {
            "draws": len(drawn),
            **{
                name: {"median": float(np.median(of_draws)), "values": of_draws}
                for name, of_draws in values.items()
            },
            "nearest": _histogram(drawn[0][0], edges),
        }
    return found


def _edges(squared: list[Float64Array], selection: Selection) -> Float64Array:
    """Bins that hold the nearest distances of pool and kept rows."""
    distances = metric_distance(np.concatenate(squared), selection.metric)
    highest = max(float(distances[np.isfinite(distances)].max(initial=0.0)), selection.fill)
    return np.linspace(0.0, highest if highest > 0 else 1.0, _BINS + 1)


def _histogram(distance: Float64Array, edges: Float64Array) -> dict[str, Any]:
    finite = distance[np.isfinite(distance)]
    return {"edges": edges.tolist(), "counts": np.histogram(finite, edges)[0].tolist()}


def _set(
    of: RowSet, other: Int64Array, squared: Float64Array, fill: float, edges: Float64Array
) -> dict[str, Any]:
    distance = metric_distance(squared, of.metric)
    h_min = float(distance.min())
    pairs = closest_pairs(of.rows, other, distance) if len(of.rows) > 1 else ()
    return {
        "rows": len(of.rows),
        "h_min": plain(h_min),
        "fill": fill,
        "mesh_ratio": plain(fill / h_min if h_min > 0 else float("inf")),
        "copies": len(of.rows) - len(np.unique(of.first_equal[of.rows])),
        "closest_pairs": [plain(pair) for pair in pairs[:CLOSEST_PAIRS]],
        "nearest": _histogram(distance, edges),
    }
