"""The definitions, written down as they read: float64, all pairs, no tricks."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch

from evenly.types import Float64Array, Int64Array, Metric
from tests.engine.oracle import squared_distances_to


def prepared(vectors: np.ndarray, metric: Metric) -> Float64Array:
    """Rows as the metric sees them, float64."""
    wide = np.asarray(vectors, dtype=np.float32).astype(np.float64)
    if metric == "cosine":
        wide = (wide / np.sqrt((wide**2).sum(1, keepdims=True))).astype(np.float32).astype(np.float64)
    return wide


def all_squared(left: Float64Array, right: Float64Array) -> Float64Array:
    return np.stack([((row - right) ** 2).sum(1) for row in left])


def exact_squares(left: npt.ArrayLike, right: npt.ArrayLike) -> Float64Array:
    """All squared distances of float32 rows, arrays or tensors, by the definition's own sums: ties are ties."""
    return np.stack([squared_distances_to(np.asarray(right), row) for row in np.asarray(left)])


def all_distances(vectors: np.ndarray, metric: Metric) -> Float64Array:
    rows = prepared(vectors, metric)
    squared = all_squared(rows, rows)
    return np.sqrt(squared) if metric == "euclidean" else squared / 2


def greedy(vectors: np.ndarray, count: int, start: int = 0) -> Int64Array:
    """Textbook farthest-first order in Euclidean distance."""
    rows = np.asarray(vectors, dtype=np.float64)
    squared = ((rows - rows[start]) ** 2).sum(1)
    order = [start]
    while len(order) < count:
        order.append(int(squared.argmax()))
        squared = np.minimum(squared, ((rows - rows[order[-1]]) ** 2).sum(1))
    return np.array(order, dtype=np.int64)


def best_h_min(distance: Float64Array, count: int) -> float:
    """Largest h_min of any ``count`` rows, by trying them all."""
    sets = itertools.combinations(range(len(distance)), count)
    return max(min(distance[pair] for pair in itertools.combinations(rows, 2)) for rows in sets)


def hard_pools() -> dict[str, np.ndarray]:
    """Small pools that break careless filters."""
    random = np.random.default_rng(7)
    plain = random.normal(size=(300, 70))
    cluster = np.repeat(random.normal(size=(6, 70)), 50, axis=0) + 1e-4 * random.normal(size=(300, 70))
    opposed = np.eye(70)[np.arange(300) % 70] * np.where(np.arange(300) < 150, 1, -1)[:, None]
    return {
        "plain": plain,
        "two blocks": random.normal(size=(1100, 12)),
        "far from the origin": plain + 1e4,
        "one far row": np.vstack([plain, np.full((1, 70), 1e3)]),
        "tight clusters": cluster,
        "copies": np.vstack([plain[:150], plain[:100], plain[:50]]),
        "opposed, all similarities at most 0": opposed + 1e-3 * random.normal(size=(300, 70)),
        "a line": np.linspace(0, 1, 260)[:, None] * np.ones((1, 65)) + 0.25,
        "two dimensions": random.uniform(size=(400, 2)) + 0.1,
        "grid with ties": np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), -1).reshape(-1, 2) + 1,
        "tiny numbers": plain * 1e-12,
        "huge numbers": plain * 1e12,
    }


def as_rows(vectors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
