"""How far the k-th neighbour of a row is: of all rows, or of the loneliest alone, which costs much less.

Few rows are lonely: `evenly.engine.within` finds those that lack k neighbours within a limit, and only they meet
the exact search. A sample says which limit should leave a few more rows than are asked for, and a limit that left too
few is noticed: it changes the time, never the result.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from evenly.engine.codes import Coded
from evenly.engine.neighbours import nearest
from evenly.engine.points import Points
from evenly.engine.within import rows_beyond
from evenly.types import Float64Array, Int64Array

NEIGHBOURS = 10
"""The neighbour whose distance says how lonely a row is: enough that a handful of odd rows still look lonely."""

_SAMPLE = 1024
"""Rows that the limit is guessed from: a share of 5 % is then right to 0.7 % (standard error)."""


def neighbour_radius(points: Points, neighbours: int = NEIGHBOURS) -> Float64Array:
    """Distance of every row to its k-th nearest distinct row.

    Args:
        points: N rows.
        neighbours: k; where there are fewer, what there is.

    Returns:
        (N,) float64, Euclidean, exact. Cost: one low-precision product of the pool with itself.
    """
    distinct = points.coded_of(points.distinct)
    return _radius(distinct, np.arange(len(distinct)), neighbours)[_places(points)]


def loneliest(points: Points, share: float, neighbours: int = NEIGHBOURS) -> tuple[Int64Array, Float64Array]:
    """The rows whose k-th nearest distinct row is farthest.

    Args:
        points: N rows.
        share: of the rows, 0 to 1.
        neighbours: k; where there are fewer, what there is.

    Returns:
        (floor(share N),) int64 rows, the loneliest first and the lowest row number among equals, and their
        distances as `neighbour_radius` has them. Cost: a part of the product of the pool with itself where
        density varies as it does in text; up to three times that of `neighbour_radius` where it does not.
    """
    distinct, place = points.coded_of(points.distinct), _places(points)
    limit = _likely_limit(distinct, share, neighbours)
    rows = rows_beyond(distinct, distinct, limit, neighbours + 1)  # every row is within any limit of itself
    while True:
        radius = np.zeros(len(distinct))
        radius[rows] = _radius(distinct, rows, neighbours)
        lonely = lonely_rows(radius[place], share)
        found = radius[place[lonely]]
        if len(rows) == len(distinct) or (found > limit).all():
            return lonely, found
        rows = np.arange(len(distinct))


def lonely_rows(radius: Float64Array, share: float) -> Int64Array:
    """The loneliest rows: (N,) distances to the k-th nearest distinct row, to (floor(share N),) int64 rows.

    The largest distance first, the lowest row number among equals.
    """
    return np.lexsort((np.arange(len(radius)), -radius))[: math.floor(share * len(radius) + 1e-9)]


def _places(points: Points) -> Int64Array:
    """(N,) for every row the place of its own among the distinct ones."""
    return np.searchsorted(points.distinct, points.first_equal)


def _radius(coded: Coded, rows: Int64Array, neighbours: int) -> Float64Array:
    """Exact distances of some rows to their k-th nearest other; 1 for a row that is alone."""
    if len(coded) == 1 or not len(rows):
        return np.ones(len(rows))
    queries = coded if len(rows) == len(coded) else coded.take(torch.from_numpy(rows))
    found = nearest(queries, coded, min(neighbours, len(coded) - 1), own=rows)
    return np.asarray(np.sqrt(found.squared_distance[:, -1]))


def _likely_limit(coded: Coded, share: float, neighbours: int = NEIGHBOURS) -> float:
    """A distance that the k-th neighbours of a few more rows than the share exceed; by a sample, 0 in small pools."""
    if len(coded) < 4 * _SAMPLE:
        return 0.0
    sample = np.linspace(0, len(coded) - 1, _SAMPLE).astype(np.int64)
    a_few_more = 2 * math.sqrt(share * (1 - share) / _SAMPLE)
    return float(np.quantile(_radius(coded, sample, neighbours), max(1 - share - a_few_more, 0.0)))
