"""What the geometry of a small point set says about training on it; distances by subtraction."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from evenly.types import Float64Array, Int64Array


def separation(points: Float64Array) -> float:
    """h_min, the smallest distance between two of the points (N, d)."""
    return float(nearest_distances(points).min())


def fill_distance(pool: Float64Array, points: Float64Array) -> float:
    """The largest distance from a row of the pool to its nearest point."""
    return float(cKDTree(points).query(pool, k=1)[0].max())


def rank_correlation(first: Float64Array, second: Float64Array) -> float:
    """Spearman's rank correlation; runs cut off at the same cap are ties."""
    return float(spearmanr(first, second).statistic)


def nearest_distances(points: Float64Array, neighbour: int = 1) -> Float64Array:
    """The distance from each point to its nearest other point, or to a later neighbour, (N,)."""
    distances: Float64Array = cKDTree(points).query(points, k=neighbour + 1)[0][:, neighbour]
    return distances


def nearest_other(points: Float64Array) -> tuple[Float64Array, Int64Array]:
    """The distance from each point to its nearest other point, and which that is, (N,) each."""
    distance, found = cKDTree(points).query(points, k=2)
    # Where copies tie at distance 0, the point itself may come second.
    return distance[:, 1], np.where(found[:, 1] == np.arange(len(points)), found[:, 0], found[:, 1])


def exponent(sizes: Iterable[float], values: Iterable[float]) -> float:
    """p where values go as sizes^p: the slope of the logarithms."""
    return float(np.polyfit(np.log(list(sizes)), np.log(list(values)), 1)[0])


def riesz_energy(points: Float64Array) -> float:
    """Riesz energy of order 2 without a scale: mean squared distance times mean 1 / squared distance of the pairs.

    At least 1, and 1 only where all distances are equal; infinite where two points are equal.
    """
    squared_distance = pdist(points, "sqeuclidean")
    with np.errstate(divide="ignore"):
        return float(np.mean(squared_distance) * np.mean(1.0 / squared_distance))


def kernel_eigenvalues(points: Float64Array) -> Float64Array:
    """Eigenvalues of the arc-cosine tangent kernel of the points, largest first, scaled to a mean of 1.

    The kernel is that of an infinitely wide ReLU network with one hidden layer, <x, y> k0 + |x| |y| k1 with the
    arc-cosine kernels k0, k1 of order 0 and 1 (Cho and Saul, 2009), on points centred, scaled to a mean squared
    norm of 1, and given a constant coordinate 1.
    """
    centred = points - points.mean(axis=0)
    scaled = centred / np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    rows = np.column_stack([scaled, np.ones(len(scaled))])
    norm = np.linalg.norm(rows, axis=1)
    product = rows @ rows.T
    cosine = np.clip(product / np.outer(norm, norm), -1.0, 1.0)
    angle = np.arccos(cosine)
    order_0 = (np.pi - angle) / np.pi
    order_1 = (np.sin(angle) + (np.pi - angle) * cosine) / np.pi
    eigenvalues = np.linalg.eigvalsh(product * order_0 + np.outer(norm, norm) * order_1)[::-1]
    clean: Float64Array = np.maximum(eigenvalues, 0.0) * len(points) / eigenvalues.sum()
    return clean


def spectral_time(eigenvalues: Float64Array, roughness: float, share: float) -> float:
    """When gradient flow of a kernel leaves ``share`` of the loss, if labels are as rough as said (ours).

    A part ``roughness`` of the label variance lies on all eigenvectors alike (independent labels), the rest as the
    kernel's own Gaussian process has it, in proportion to the eigenvalues; component i decays as exp(-2 l_i t).

    Args:
        eigenvalues: (N,) of the kernel, of mean 1.
        roughness: rho, in [0, 1].
        share: of the first loss that is left, in (0, 1).

    Returns:
        The time t in units of 1 / (mean eigenvalue); infinite where null directions hold more than the share.
    """
    part = roughness / len(eigenvalues) + (1.0 - roughness) * eigenvalues / eigenvalues.sum()
    low, high = -10.0, 40.0  # of log t: the answer is bisected between them
    if _left(eigenvalues, part, high) > share:
        return float("inf")
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _left(eigenvalues, part, middle) > share else (low, middle)
    return float(np.exp(high))


def _left(eigenvalues: Float64Array, part: Float64Array, log_time: float) -> float:
    return float(np.sum(part * np.exp(-2.0 * eigenvalues * np.exp(log_time))))
