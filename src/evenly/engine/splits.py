"""Splits that cover the pool: a test part by Kennard-Stone, two parts by DUPLEX, folds dealt from one order.

Kennard & Stone (1969, Technometrics 11) choose the part of a data set that covers it by the max-min order; theirs
starts from the two rows farthest apart, ours from the row nearest the mean, which needs no search over all pairs
and changes the first picks alone. DUPLEX (Snee 1977, Technometrics 19) gives both parts such an order by turns.
"""

from __future__ import annotations

import numpy as np

from evenly.engine.blocks import over_rows, steady_torch
from evenly.engine.distance import squared_distances_to
from evenly.engine.greedy import select_prepared
from evenly.engine.loop import central_row
from evenly.engine.mapped import release
from evenly.engine.orders import nearest_of
from evenly.engine.points import Points
from evenly.types import Float64Array, Int64Array, Progress, silent


def covering_test(points: Points, count: int, progress: Progress = silent) -> Int64Array:
    """The first ``count`` picks of the max-min order: a test part that no row of the pool is far from.

    Args:
        points: the pool.
        count: rows of the test part; copies come last.

    Returns:
        (count,) int64 in the order of picking. Cost: one low-precision product of the pool with the picks.
    """
    return select_prepared(points, count, allow_copies=True, progress=progress).rows


def duplex(points: Points, count: int, progress: Progress = silent) -> tuple[Int64Array, Int64Array]:
    """Two parts of ``count`` rows that both cover the pool: by turns, each takes the row farthest from itself.

    Args:
        points: the pool; 2 count <= N.
        count: rows of each part.

    Returns:
        Test and train part, (count,) int64 each, in the order of picking; the first test row is the one nearest
        the mean, the first train row the one farthest from it. Cost: 2 count passes over the pool in float64,
        which is what turns ask for: no round of picks can be made ahead of the other part's.
    """
    parts: tuple[list[int], list[int]] = ([], [])
    squared = [np.full(len(points), np.inf), np.full(len(points), np.inf)]
    free = np.ones(len(points), dtype=bool)

    def take(part: int, row: int) -> None:
        parts[part].append(row)
        free[row] = False
        np.minimum(squared[part], _to(points, row), out=squared[part])

    with steady_torch():
        with points.open() as pool:
            take(0, central_row(pool))
        take(1, int(np.argmax(np.where(free, squared[0], -1.0))))
        for turn in range(2, 2 * count):
            part = turn % 2
            take(part, int(np.argmax(np.where(free, squared[part], -1.0))))
            progress("split", turn, 2 * count)
    return np.asarray(parts[0], dtype=np.int64), np.asarray(parts[1], dtype=np.int64)


def _to(points: Points, row: int) -> Float64Array:
    """(N,) squared distances to one row."""
    found = np.empty(len(points))

    def work(block: slice) -> None:
        found[block] = squared_distances_to(points.tensor[block], points.tensor[row]).numpy()
        release(points.vectors)

    over_rows(len(points), work)
    return found


def near_parts(points: Points, test: Int64Array, gap: float) -> Int64Array:
    """Rows outside the test part that equal a row of it or lie nearer than ``gap`` to one, ascending."""
    _, distance = nearest_of(points, points.part(test))
    near = (distance < gap) | (distance == 0)
    near[test] = False
    return np.flatnonzero(near)


def folds(points: Points, count: int, same: Int64Array, progress: Progress = silent) -> Int64Array:
    """Deals the max-min order of the whole pool out to folds: pick r goes to fold r mod ``count``, copies to that of
    the row they are copies of.

    Every run of ``count`` consecutive picks has about the same radius, so the folds cover the pool alike.

    Args:
        points: the pool.
        count: of folds.
        same: (N,) int64, equal numbers for rows that must not be parted.

    Returns:
        (N,) int64, the fold of every row, from 0.
    """
    order = select_prepared(points, len(points), allow_copies=True, progress=progress).rows
    groups, first, of = np.unique(same[order], return_index=True, return_inverse=True)
    dealt = np.empty(len(groups), dtype=np.int64)
    dealt[np.argsort(first)] = np.arange(len(groups)) % count
    fold = np.empty(len(points), dtype=np.int64)
    fold[order] = dealt[of]
    return fold
