"""measures.json: how even the kept rows are, beside the pool and beside random sets of the same size."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenly.measures import measure
from evenly.measures.result import Exact, Measures, plain
from evenly.selection.knee import knee
from evenly.types import Float32Array, Float64Array, Metric, Progress, Selection, silent

RANDOM_DRAWS = 5
CLOSEST_PAIRS = 10
_BINS = 60


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
    metric: Metric = selection.metric
    kept = measure(
        vectors,
        selection.rows,
        metric=metric,
        random_draws=draws,
        seed=seed,
        diversity=False,
        progress=progress,
    )
    pool = measure(vectors, metric=metric, random_draws=0, seed=seed, diversity=False, progress=progress)
    highest = max(_highest(kept.exact), _highest(pool.exact), selection.fill)
    edges = np.linspace(0.0, highest if highest > 0 else 1.0, _BINS + 1)
    found: dict[str, Any] = {
        "knee": knee(np.minimum.accumulate(selection.radii)),
        "pool": _set(pool, edges),
        "kept": _set(kept, edges),
    }
    if kept.random is not None:
        standings = kept.random.standings
        nearest = kept.random.nearest
        share = np.interp(edges, nearest.values, nearest.levels, left=0.0, right=1.0)
        found["random"] = {
            "draws": kept.random.draws,
            **{
                name: {
                    "median": float(np.median(standings[name].random)),
                    "values": list(standings[name].random),
                }
                for name in ("h_min", "fill")
            },
            "nearest": {"edges": edges.tolist(), "counts": (np.diff(share) * kept.rows).round(1).tolist()},
        }
    return found


def _highest(exact: Exact) -> float:
    finite = exact.nearest_distance[np.isfinite(exact.nearest_distance)]
    return float(finite.max(initial=0.0))


def _set(measured: Measures, edges: Float64Array) -> dict[str, Any]:
    exact = measured.exact
    finite = exact.nearest_distance[np.isfinite(exact.nearest_distance)]
    return {
        "rows": measured.rows,
        "h_min": plain(exact.h_min),
        "fill": exact.fill,
        "mesh_ratio": plain(exact.mesh_ratio),
        "copies": exact.copies,
        "closest_pairs": [plain(pair) for pair in exact.closest[:CLOSEST_PAIRS]],
        "nearest": {"edges": edges.tolist(), "counts": np.histogram(finite, edges)[0].tolist()},
    }
