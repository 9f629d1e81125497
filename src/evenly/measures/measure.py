"""The public function of the room: check what was given, then measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenly.checks import check_int
from evenly.engine.blocks import steady_torch
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.measures.diversity import PoolClusters, diversity_measures
from evenly.measures.exact import exact_measures
from evenly.measures.normalised import normalised_measures, pool_geometry
from evenly.measures.random_sets import against_random
from evenly.measures.result import Measures
from evenly.measures.sets import RowSet
from evenly.types import Float64Array, Metric, Progress, VectorsLike, silent

COSINE_THRESHOLDS = (0.01, 0.05, 0.1)
"""Distances (1 - cos) within which pairs are counted unless others are named: near copies to kin."""


def measure(
    vectors: VectorsLike,
    rows: Any = None,
    *,
    metric: str = "cosine",
    random_draws: int = 20,
    seed: int = 0,
    thresholds: Sequence[float] | None = None,
    diversity: bool = True,
    progress: Progress = silent,
) -> Measures:
    """Says how even a set of rows is, alone, in its pool, and against random sets of its size.

    Args:
        vectors: (N, d) numbers, the pool.
        rows: (k,) distinct row numbers of the set, in any order; None measures the whole pool.
        metric: ``cosine`` (distances are 1 - cos) or ``euclidean``.
        random_draws: random subsets to compare with; 0 for none. Not done where the set is the pool.
        seed: of samples and draws. Exact measures do not depend on it.
        thresholds: distances of the metric to count pairs within; None takes 0.01, 0.05, 0.1 for cosine and
            none for euclidean, which has no natural unit.
        diversity: whether to compute the diversity scores.
        progress: called as the work goes on.

    Returns:
        `Measures`. Everything under ``exact`` but `pair_distances` is exact: computed by subtraction in
        float64 and independent of seed, processor and thread count. Cost: low-precision products of the set
        with itself and with the rest of the pool; with draws, once of the pool with itself.

    Raises:
        InputError: vectors that are not finite rows of equal length, a zero row under cosine, or rows that
            are empty, not whole numbers, not in the pool, or named twice.
    """
    return measured_points(
        Points.of(vectors, metric),
        rows,
        random_draws=random_draws,
        seed=seed,
        thresholds=thresholds,
        diversity=diversity,
        progress=progress,
    )


@steady_torch()
def measured_points(
    points: Points,
    rows: Any = None,
    *,
    random_draws: int = 20,
    seed: int = 0,
    thresholds: Sequence[float] | None = None,
    diversity: bool = True,
    progress: Progress = silent,
) -> Measures:
    """`measure` for vectors that are prepared."""
    chosen = RowSet.of(points, rows)
    draws = check_int(random_draws, "`random_draws`", at_least=0)
    seed = check_int(seed, "`seed`", at_least=0)
    exact = exact_measures(chosen, check_thresholds(thresholds, points.metric), seed, progress)
    geometry = pool_geometry(chosen, seed, progress)
    clusters = PoolClusters(points.tensor, seed) if diversity else None
    scores = diversity_measures(chosen, clusters, seed, progress) if clusters else None
    return Measures(
        metric=points.metric,
        pool_rows=len(points),
        rows=len(chosen.rows),
        dimension=points.dimension,
        seed=seed,
        exact=exact,
        normalised=normalised_measures(chosen, exact, geometry),
        diversity=scores,
        random=against_random(chosen, exact, scores, clusters, draws, seed, progress),
    )


def check_thresholds(thresholds: Sequence[float] | None, metric: Metric) -> Float64Array:
    """Returns distances to count pairs within, ascending, each once."""
    if thresholds is None:
        thresholds = COSINE_THRESHOLDS if metric == "cosine" else ()
    try:
        given = np.array(list(thresholds), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`thresholds` must be a list of distances; got {thresholds!r}") from None
    if given.ndim != 1 or not (np.isfinite(given) & (given >= 0)).all():
        raise InputError(f"`thresholds` must be distances, finite and at least 0; got {list(thresholds)}")
    return np.unique(given)
