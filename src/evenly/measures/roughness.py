"""How rough labels are over the points they stand on, and what near copies with other labels hold back."""

from __future__ import annotations

import numpy as np

from evenly.types import Float64Array, Int64Array


def nearest_others(points: Float64Array) -> tuple[Float64Array, Int64Array]:
    """The distance from each of (N, d) points to its nearest other point, and which that is; N^2 distances are held."""
    squared = (points**2).sum(1)
    distance = squared[:, None] + squared - 2.0 * points @ points.T
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(1)
    gap = points - points[nearest]  # by subtraction, so that copies are at distance 0
    return np.sqrt((gap**2).sum(1)), nearest.astype(np.int64)


def roughness_over(neighbour: Int64Array, labels: Float64Array) -> float:
    """rho = mean |y_i - y_nn(i)|^2 / (2 var y): near 0 for smooth labels, near 1 for independent ones.

    Args:
        neighbour: (N,) the nearest other point of each.
        labels: (N,) numbers, or (N, e) vectors such as embedded responses; var y is then their total variance.
    """
    rows = labels.reshape(len(labels), -1)
    gap = np.sum((rows - rows[neighbour]) ** 2, axis=1)
    return float(np.mean(gap) / (2.0 * np.var(rows, axis=0).sum()))


def trapped_share(
    distance: Float64Array, neighbour: Int64Array, labels: Float64Array, within: float
) -> float:
    """The share of the variance of labels that lies between mutual nearest points closer than a distance.

    Such pairs are disjoint, so their parts |y_i - y_j|^2 / 2 add up exactly.
    """
    rows = labels.reshape(len(labels), -1)
    own = np.arange(len(neighbour))
    first = np.flatnonzero((neighbour[neighbour] == own) & (own < neighbour) & (distance <= within))
    gap = np.sum((rows[first] - rows[neighbour[first]]) ** 2) / 2.0
    return float(gap / (np.var(rows, axis=0).sum() * len(rows)))
