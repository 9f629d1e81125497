"""What the geometry of a small point set says about training on it; distances by subtraction."""

from __future__ import annotations

from evenly.types import Float64Array


def separation(points: Float64Array) -> float:
    """h_min, the smallest distance between two of the points (N, d)."""

    return float(nearest_distances(points).min())


def fill_distance(pool: Float64Array, points: Float64Array) -> float:
    """The largest distance from a row of the pool to its nearest point."""
    from scipy.spatial import cKDTree

    return float(cKDTree(points).query(pool, k=1)[0].max())


def rank_correlation(first: Float64Array, second: Float64Array) -> float:
    """Spearman's rank correlation; runs cut off at the same cap are ties."""
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def nearest_distances(points: Float64Array, neighbour: int = 1) -> Float64Array:
    """The distance from each point to its nearest other point, or to a later neighbour, (N,)."""
    from scipy.spatial import cKDTree

    distances: Float64Array = cKDTree(points).query(points, k=neighbour + 1)[0][:, neighbour]
    return distances
