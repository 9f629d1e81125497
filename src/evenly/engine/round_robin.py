"""Rows of a pool by turns: some rows from outside take, each in its turn, the nearest row that is left.

Round robin as in Nayak et al. 2026, arXiv 2602.14696, made exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from evenly.engine.blocks import slices, steady_torch
from evenly.engine.codes import squared_by_product
from evenly.engine.distance import squared_distances
from evenly.engine.mapped import release
from evenly.engine.points import ROWS_AT_ONCE, Points
from evenly.types import Int64Array

_DISTANCES_AT_ONCE = 2**24
"""Distances held together, 128 MB of float64: enough rows from outside in a product for it to pay."""

_SPARE = 2
"""So many times the rows that an even share gives each: room for what others take first. Lists that run out are made
again, which costs a pass over the pool each."""


@dataclass(eq=False)
class _Waiting:
    """The nearest rows of one row from outside, nearest first, and how many of them are gone."""

    rows: Int64Array
    gone: int = 0


def by_turns(
    points: Points, rows: Int64Array, others: Points, turns: Iterable[int], count: int
) -> Int64Array:
    """The rows that rows from outside take in turns.

    Args:
        points: the pool.
        rows: (M,) int64, ascending, the rows that may be taken.
        others: rows from outside.
        turns: whose turn it is, again and again: row numbers of ``others``, at least ``count`` of them.
        count: rows to be taken; at most M are.

    Returns:
        (min(count, M),) int64, in the order of taking: each the nearest of those left, exactly, the lowest row number
        among equals. A shorter count gives a beginning of a longer one. Cost: a float64 product of the two, a pass
        over the pool whenever a list runs out, and exact distances of about twice what is taken.
    """
    count = min(count, len(rows))
    size = min(_SPARE * math.ceil(count / len(others)) + 1, len(rows))
    left = np.zeros(len(points), dtype=bool)
    left[rows] = True
    taken: list[int] = []
    with steady_torch():
        centre = points.take(rows[:: max(1, len(rows) // 64)]).double().mean(0)
        waiting = _nearest(points, left, others, np.arange(len(others)), size, centre)
        for turn in turns:
            if len(taken) == count:
                break
            one = waiting[turn]
            while one.gone < len(one.rows) and not left[one.rows[one.gone]]:
                one.gone += 1
            if one.gone == len(one.rows):
                longer = min(2 * len(one.rows), len(rows) - len(taken))
                [one] = waiting[turn : turn + 1] = _nearest(
                    points, left, others, np.array([turn]), longer, centre
                )
            row = int(one.rows[one.gone])
            left[row] = False
            taken.append(row)
    return np.array(taken, dtype=np.int64)


def _nearest(
    points: Points, left: np.ndarray, others: Points, of: Int64Array, size: int, centre: torch.Tensor
) -> list[_Waiting]:
    """For some rows from outside, the nearest rows that are left, at most ``size`` each."""
    found = []
    for block in slices(len(of), max(1, _DISTANCES_AT_ONCE // len(points))):
        queries = others.take(of[block])
        squared = torch.empty(len(queries), len(points), dtype=torch.float64)
        error = torch.zeros(len(queries), 1, dtype=torch.float64)
        for part in slices(len(points), ROWS_AT_ONCE):
            squared[:, part], wrong = squared_by_product(queries, points.tensor[part], centre)
            torch.maximum(error, wrong, out=error)
            release(points.vectors)
        squared[:, torch.from_numpy(~left)] = torch.inf
        size = min(size, int(left.sum()))
        limits = squared.kthvalue(size, dim=1).values + 2 * error.flatten()
        for query, row, limit in zip(queries, squared, limits, strict=True):
            near = (row <= limit).nonzero().flatten()
            exact = squared_distances(points.tensor, near, query[None], torch.zeros_like(near))
            release(points.vectors)
            order = np.lexsort((near.numpy(), exact.numpy()))[:size]
            found.append(_Waiting(near.numpy()[order]))
    return found
