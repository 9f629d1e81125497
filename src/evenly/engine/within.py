"""Which rows have enough others within a limit, proven by the low-precision product alone.

Where the loneliest rows are wanted, most of the others show it soon: they have the neighbours within a limit that
the lonely ones have not. So the product goes over the columns block by block and drops each row as soon as its
neighbours are proven; only the rows that are left need an exact search. The limit changes the time, never a result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import CHUNK_STEP, Blocks, available_cores, slices
from evenly.engine.codes import BLOCK, SIDE_ROWS, Coded, SearchCodes
from evenly.engine.filter import as_integers
from evenly.types import Int64Array, Progress, silent

_STRIP = 64
"""Columns that prove one neighbour at most: the minimum of a strip costs a third of counting its entries."""


def rows_beyond(
    queries: Coded, keys: Coded, limit: float, enough: int, progress: Progress = silent, stage: str = ""
) -> Int64Array:
    """All query rows but those that are proven to have ``enough`` keys nearer than the limit.

    Args:
        queries: A rows.
        keys: B rows of the same pool. Where a query row is among them, it counts as a neighbour of itself.
        limit: Euclidean.
        enough: neighbours.
        progress: called as sides of rows are done.
        stage: its name.

    Returns:
        (A',) int64, ascending: every row that has fewer, and a few that have their last neighbours near the limit.
        Cost: a part of one low-precision product, A B d, the smaller the more neighbours rows have.
    """
    rows = torch.arange(len(queries))
    proven = torch.zeros(len(rows), dtype=torch.int64)
    reach = limit * queries.map.scale * (1 - 1e-9)
    steps = itertools.count(1)
    total = -(-len(rows) // SIDE_ROWS) * -(-len(keys) // SIDE_ROWS)
    for part in slices(len(keys), SIDE_ROWS) if limit > 0 else ():
        side, left = _Side(keys, keys.codes(part), reach, enough), queries.take(rows)
        for some in slices(len(rows), SIDE_ROWS):
            proven[some] = side.count(left.codes(some), proven[some])
            progress(stage, min(next(steps), total), total)
        rows, proven = rows[proven < enough], proven[proven < enough]
    return np.asarray(rows.numpy())


class _Side:
    """Columns that rows are held against.

    Args:
        coded: the pool.
        keys: codes of the columns.
        reach: the limit in units of the map.
        enough: neighbours after which no more are counted.
    """

    def __init__(self, coded: Coded, keys: SearchCodes, reach: float, enough: int) -> None:
        self.coded, self.reach, self.enough = coded, reach, enough
        self.keys = _spread(keys.key)
        self.blocks = Blocks(rows=4 * BLOCK, picks=BLOCK, threads=available_cores())
        self.error, self.norm = float(keys.error.max()), keys.norm.max()

    def count(self, queries: SearchCodes, proven: Tensor) -> Tensor:
        """Adds the neighbours that are proven here to (R,) int64 those so far: all, or until there are enough."""
        found = torch.full((len(queries),), self.enough)  # what pads the rows to whole blocks needs none
        found[: len(proven)] = proven
        half_square = self._half_square(queries)
        rows = torch.arange(len(found))
        for some_keys in _growing(len(self.keys)):
            # Some rows that are done stay: for each new shape of a product the library compiles a kernel.
            open_rows = found[rows] < self.enough
            height = -(-int(open_rows.sum()) // CHUNK_STEP) * CHUNK_STEP
            rows = rows[open_rows.to(torch.uint8).argsort(descending=True, stable=True)[:height]]

            def work(part: slice, rows: Tensor = rows, some_keys: slice = some_keys) -> None:
                at = rows[part]
                left = queries.query(at, less=half_square[at])
                for keys in self.keys[some_keys]:
                    # Where the product is negative, the pair is surely within.
                    product = self.blocks.product(left, keys.T)
                    found[at] += (as_integers(product).view(len(at), -1, _STRIP).amin(2) < 0).sum(1)

            self.blocks.over(len(rows), work, taper=True)
        return found[: len(proven)]

    def _half_square(self, queries: SearchCodes) -> Tensor:
        """(R,) float64: pairs whose codes have at most half this squared distance are within the limit."""
        reach = (self.reach - queries.error - self.error).clamp_(min=0.0)
        # No key is farther than this, and with it the threshold adds no more than the other terms together, give or
        # take 2 %: hence twice the error of a product without it, which has a factor of four to spare.
        reach = torch.minimum(reach, 1.01 * (queries.norm + self.norm))
        return reach.square_() / 2 - 2 * self.coded.product_error(queries.norm, self.norm)


def _growing(count: int) -> Iterator[slice]:
    """Consecutive slices that cover so many blocks, ever longer: fewer and fewer rows are done meanwhile."""
    start = 0
    while start < count:
        stop = min(max(start + 4, start * 4 // 3), count)
        yield slice(start, stop)
        start = stop


def _spread(part: Tensor) -> Tensor:
    """Whole blocks of rows, (A', w) to (blocks, BLOCK, w), each from all over: neighbours often follow one another."""
    return part.view(BLOCK, -1, part.shape[1]).transpose(0, 1).contiguous()
