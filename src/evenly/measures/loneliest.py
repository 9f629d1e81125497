"""How far the k-th neighbour of a row is: of all rows, or of the loneliest alone, which costs much less.

Few rows are lonely, and most of the others show it soon, by k rows within a limit that the lonely ones have not.
So a low-precision product goes over the pool's columns and drops each row as soon as k neighbours are proven; only
the rows that are left meet the exact search. A sample says which limit should leave a few more rows than are asked
for, and a limit that left too few is noticed: it changes the time, never the result.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenly.measures.exact import RowSet, first_equal_rows
from evenly.measures.images import BLOCK, SIDE_ROWS, Coded, Images, on_all_cores, surely_below
from evenly.measures.neighbours import nearest
from evenly.selection.filter import as_integers
from evenly.selection.guard import lonely_rows
from evenly.selection.tiles import CHUNK_STEP, Tiles, blocks
from evenly.types import Float64Array, Int64Array

_SAMPLE = 1024
_ROWS_AT_ONCE = 4 * BLOCK
_PRODUCTS = Tiles(rows=_ROWS_AT_ONCE, picks=BLOCK)

_TILE = 64
"""Columns that prove one neighbour at most: the minimum of a tile costs a third of counting its entries."""


def neighbour_radius(vectors: Tensor, neighbours: int) -> Float64Array:
    """Distance of every row to its k-th nearest distinct row.

    Args:
        vectors: (N, d) float32.
        neighbours: k; where there are fewer, what there is.

    Returns:
        (N,) float64, Euclidean, exact. Cost: one low-precision product of the pool with itself.
    """
    images, place = _distinct(vectors)
    return _radius(images, np.arange(len(images)), neighbours)[place]


def loneliest(vectors: Tensor, share: float, neighbours: int) -> tuple[Int64Array, Float64Array]:
    """The rows whose k-th nearest distinct row is farthest.

    Args:
        vectors: (N, d) float32.
        share: of the rows, 0 to 1.
        neighbours: k; where there are fewer, what there is.

    Returns:
        (floor(share N),) int64 rows, the loneliest first and the lowest row number among equals, and their
        distances as `neighbour_radius` has them. Cost: a part of the product of the pool with itself where
        density varies as it does in text; up to three times that of `neighbour_radius` where it does not.
    """
    images, place = _distinct(vectors)
    limit = _likely_limit(images, share, neighbours)
    rows = _rows_left(images, limit, neighbours)
    while True:
        radius = np.zeros(len(images))
        radius[rows] = _radius(images, rows, neighbours)
        lonely = lonely_rows(radius[place], share)
        found = radius[place[lonely]]
        if len(rows) == len(images) or (found > limit).all():
            return lonely, found
        rows = np.arange(len(images))


def _distinct(vectors: Tensor) -> tuple[Images, Int64Array]:
    """The distinct rows, and for every row the place of its own among them."""
    pool = vectors.numpy()
    of = RowSet(Images.of(pool), np.arange(len(pool)), first_equal_rows(pool), "euclidean")
    return of.images_of(of.distinct), np.searchsorted(of.distinct, of.first_equal)


def _radius(images: Images, rows: Int64Array, neighbours: int) -> Float64Array:
    """Exact distances of some rows to their k-th nearest other; 1 for a row that is alone."""
    if len(images) == 1 or not len(rows):
        return np.ones(len(rows))
    queries = images if len(rows) == len(images) else images.take(torch.from_numpy(rows))
    found = nearest(queries, images, min(neighbours, len(images) - 1), own=rows)
    return np.asarray(np.sqrt(found.squared_distance[:, -1]))


def _likely_limit(images: Images, share: float, neighbours: int) -> float:
    """A distance that the k-th neighbours of a few more rows than the share exceed; by a sample, 0 in small pools."""
    if len(images) < 4 * _SAMPLE:
        return 0.0
    sample = np.linspace(0, len(images) - 1, _SAMPLE).astype(np.int64)
    a_few_more = 2 * math.sqrt(share * (1 - share) / _SAMPLE)
    return float(np.quantile(_radius(images, sample, neighbours), max(1 - share - a_few_more, 0.0)))


def _rows_left(images: Images, limit: float, neighbours: int) -> Int64Array:
    """All rows but those that are proven to have k others within the limit, ascending."""
    rows = torch.arange(len(images))
    enough = neighbours + 1  # every row is within any limit of itself
    proven = torch.zeros(len(rows), dtype=torch.int64)
    reach = limit * images.map.scale * (1 - 1e-9)
    for part in blocks(len(images), SIDE_ROWS) if limit > 0 else ():
        side, queries = _Side(images, images.coded(part), reach, enough), images.take(rows)
        for some in blocks(len(rows), SIDE_ROWS):
            proven[some] = side.count(queries.coded(some), proven[some])
        rows, proven = rows[proven < enough], proven[proven < enough]
    return np.asarray(rows.numpy())


class _Side:
    """Columns that rows are held against.

    Args:
        images: of the pool.
        keys: images of the columns.
        reach: the limit in units of the map.
        enough: neighbours after which no more are counted.
    """

    def __init__(self, images: Images, keys: Coded, reach: float, enough: int) -> None:
        self.images, self.reach, self.enough = images, reach, enough
        self.keys = _spread(keys.key)
        self.error, self.norm = _spread(keys.error).amax(1), _spread(keys.norm).amax(1)

    def count(self, queries: Coded, proven: Tensor) -> Tensor:
        """Adds the neighbours that are proven here to (R,) int64 those so far: all, or until there are enough."""
        found = torch.full((len(queries),), self.enough)  # what pads the rows to whole blocks needs none
        found[: len(proven)] = proven

        def work(some: slice) -> None:
            part = Coded(queries.key[some], queries.error[some], queries.norm[some], queries.map)
            self._count(part, found[some])

        on_all_cores(work, list(blocks(len(found), _ROWS_AT_ONCE)))
        return found[: len(proven)]

    def _count(self, queries: Coded, found: Tensor) -> None:
        limits, left = self._limits(queries), queries.query(slice(None))
        rows = torch.arange(len(found))
        for block, keys in enumerate(self.keys):
            minima = as_integers(_PRODUCTS.product(left, keys.T)).view(len(left), -1, _TILE).amin(2)
            found[rows] += (minima < limits[rows, block, None]).sum(1)
            done = found[rows] >= self.enough
            # Rows that are done go in steps: for each new shape of a product the library compiles a kernel.
            height = -(-int((~done).sum()) // CHUNK_STEP) * CHUNK_STEP
            if not height:
                break
            if height < len(rows):
                stay = done.to(torch.uint8).argsort(stable=True)[:height]
                left, rows = left[stay], rows[stay]

    def _limits(self, queries: Coded) -> Tensor:
        """(R, blocks) integers: only pairs within the reach have products below. See the top of `images`."""
        reach = (self.reach - queries.error[:, None] - self.error).clamp_(min=0.0)
        slack = self.images.product_error(queries.norm[:, None], self.norm)
        return surely_below(reach.square_() / 2 - slack, queries.key.dtype)


def _spread(part: Tensor) -> Tensor:
    """Whole blocks of rows, (A', …) to (blocks, BLOCK, …), each from all over: neighbours often follow one another."""
    return part.view(BLOCK, -1, *part.shape[1:]).transpose(0, 1).contiguous()
