"""Splits that cover the pool: a test part by Kennard-Stone, two parts by DUPLEX, folds dealt from one order.

Kennard & Stone (1969, Technometrics 11) choose the part of a data set that covers it by the max-min order; theirs
starts from the two rows farthest apart, ours from the row nearest the mean, which needs no search over all pairs
and changes the first picks alone. DUPLEX (Snee 1977, Technometrics 19) gives both parts such an order by turns.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from evenly.engine.distance import squared_distances_to
from evenly.engine.greedy import select_prepared
from evenly.engine.orders import nearest_of
from evenly.engine.tiles import steady_torch
from evenly.types import Float64Array, Int64Array, Metric, Progress, silent


def covering_test(rows: Tensor, count: int, metric: Metric, progress: Progress = silent) -> Int64Array:
    """The first ``count`` picks of the max-min order: a test part that no row of the pool is far from.

    Args:
        rows: (N, d) float32 from `evenly.engine.greedy.pool_tensor`.
        count: rows of the test part; copies come last.

    Returns:
        (count,) int64 in the order of picking. Cost: one low-precision product of the pool with the picks.
    """
    return select_prepared(rows, count, metric, allow_copies=True, progress=progress).rows


def duplex(rows: Tensor, count: int, progress: Progress = silent) -> tuple[Int64Array, Int64Array]:
    """Two parts of ``count`` rows that both cover the pool: by turns, each takes the row farthest from itself.

    Args:
        rows: (N, d) float32; 2 count <= N.
        count: rows of each part.

    Returns:
        Test and train part, (count,) int64 each, in the order of picking; the first test row is the one nearest
        the mean, the first train row the one farthest from it. Cost: 2 count passes over the pool in float64,
        which is what turns ask for: no round of picks can be made ahead of the other part's.
    """
    parts: tuple[list[int], list[int]] = ([], [])
    squared = [np.full(len(rows), np.inf), np.full(len(rows), np.inf)]
    free = np.ones(len(rows), dtype=bool)

    def take(part: int, row: int) -> None:
        parts[part].append(row)
        free[row] = False
        np.minimum(squared[part], _to(rows, row), out=squared[part])

    with steady_torch():
        mean = rows.double().mean(0).float()
        first = int(np.argmin(squared_distances_to(rows, mean).numpy()))
        take(0, first)
        take(1, int(np.argmax(np.where(free, squared[0], -1.0))))
        for turn in range(2, 2 * count):
            part = turn % 2
            take(part, int(np.argmax(np.where(free, squared[part], -1.0))))
            progress("split", turn, 2 * count)
    return np.asarray(parts[0], dtype=np.int64), np.asarray(parts[1], dtype=np.int64)


def _to(rows: Tensor, row: int) -> Float64Array:
    found: Float64Array = squared_distances_to(rows, rows[row]).numpy()
    return found


def near_parts(rows: Tensor, test: Int64Array, gap: float, metric: Metric) -> Int64Array:
    """Rows outside the test part that lie nearer than ``gap`` to a row of it, ascending."""
    import torch

    _, distance = nearest_of(rows, rows[torch.from_numpy(test)], metric)
    near = distance < gap
    near[test] = False
    return np.flatnonzero(near)


def folds(rows: Tensor, count: int, metric: Metric, progress: Progress = silent) -> Int64Array:
    """Deals the max-min order of the whole pool out to folds: pick r goes to fold r mod ``count``.

    Every run of ``count`` consecutive picks has about the same radius, so the folds cover the pool alike.

    Returns:
        (N,) int64, the fold of every row, from 0.
    """
    order = select_prepared(rows, len(rows), metric, allow_copies=True, progress=progress).rows
    fold = np.empty(len(rows), dtype=np.int64)
    fold[order] = np.arange(len(rows)) % count
    return fold
