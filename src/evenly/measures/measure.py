"""The public function of the room: check what was given, then measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenly.checks import check_finite_rows, check_int, check_metric, check_vectors
from evenly.engine.copies import first_equal_rows
from evenly.engine.distance import unit_rows
from evenly.engine.images import Images, over_rows
from evenly.engine.mapped import release, tensor_of
from evenly.engine.tiles import steady_torch
from evenly.errors import InputError
from evenly.measures.diversity import Clusters, diversity_measures
from evenly.measures.exact import RowSet, exact_measures
from evenly.measures.normalised import normalised_measures, pool_geometry
from evenly.measures.random_sets import against_random
from evenly.measures.result import Measures
from evenly.types import Float32Array, Float64Array, Int64Array, Metric, Progress, VectorsLike, silent

COSINE_THRESHOLDS = (0.01, 0.05, 0.1)
"""Distances (1 - cos) within which pairs are counted unless others are named: near copies to kin."""


@steady_torch()
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
    of = row_set(vectors, rows, check_metric(metric))
    draws = check_int(random_draws, "random_draws", at_least=0)
    seed = check_int(seed, "seed", at_least=0)
    exact = exact_measures(of, check_thresholds(thresholds, of.metric), seed, progress)
    geometry = pool_geometry(of, seed, progress)
    clusters = Clusters(of.pool, seed) if diversity else None
    scores = diversity_measures(of, clusters, seed, progress) if clusters else None
    random = None
    if draws and not of.is_pool and len(of.rows) > 1:
        random = against_random(of, exact, scores, clusters, draws, seed, progress)
    return Measures(
        metric=of.metric,
        pool_rows=len(of.pool),
        rows=len(of.rows),
        dimension=of.pool.shape[1],
        seed=seed,
        exact=exact,
        normalised=normalised_measures(of, exact, geometry),
        diversity=scores,
        random=random,
    )


def row_set(vectors: VectorsLike, rows: Any, metric: Metric) -> RowSet:
    """Checks a pool and a set of its rows; normalises where the metric is cosine."""
    pool = check_vectors(vectors, check_finite=False)
    chosen = np.arange(len(pool)) if rows is None else check_rows(rows, len(pool))
    pool = _checked_rows(pool, unit=metric == "cosine")
    return RowSet(Images.of(pool), chosen, first_equal_rows(pool), metric)


def _checked_rows(vectors: Float32Array, *, unit: bool) -> Float32Array:
    """Finite rows as they are, or normalised where unit rows are asked for and some are not."""
    rows = tensor_of(vectors)

    def as_asked(block: slice) -> bool:
        check_finite_rows(vectors[block], first_row=block.start)
        part = rows[block]
        found = not unit or unit_rows(part, first_row=block.start) is part
        release(vectors)
        return found

    return vectors if all(over_rows(len(rows), as_asked)) else unit_rows(rows).numpy()


def check_rows(rows: Any, pool_rows: int) -> Int64Array:
    """Returns row numbers as ascending int64.

    Raises:
        InputError: none, not whole numbers, outside the pool (names the first), or one named twice.
    """
    given = np.asarray(rows)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
        raise InputError(f"rows must be a list of row numbers; got {given.dtype} of shape {given.shape}")
    if not len(given):
        raise InputError("the subset is empty; name at least one row")
    outside = (given < 0) | (given >= pool_rows)
    if outside.any():
        count = int(outside.sum())
        more = f" and {count - 1} more" if count > 1 else ""
        raise InputError(
            f"row {given[outside][0]}{more} of the subset is not in the pool; "
            f"its {pool_rows} rows are numbered from 0"
        )
    ordered = np.sort(given.astype(np.int64))
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(again):
        raise InputError(f"row {again[0]} is named more than once in the subset; name each row once")
    return ordered


def check_thresholds(thresholds: Sequence[float] | None, metric: Metric) -> Float64Array:
    """Returns distances to count pairs within, ascending, each once."""
    if thresholds is None:
        thresholds = COSINE_THRESHOLDS if metric == "cosine" else ()
    try:
        given = np.array(list(thresholds), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"thresholds must be a list of distances; got {thresholds!r}") from None
    if given.ndim != 1 or not (np.isfinite(given) & (given >= 0)).all():
        raise InputError(f"thresholds must be distances, finite and at least 0; got {list(thresholds)}")
    return np.unique(given)
