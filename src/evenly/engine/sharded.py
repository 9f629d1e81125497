"""One pool made of shards: consecutive parts of the rows, each a pool of its own, in one order bit for bit.

Every number of the contract is exact, so joining the answers of the shards gives the answer of the whole: sums of
fixed blocks of rows are laid end to end, the farthest rows are the farthest of each shard's farthest, and each row's
nearest pick is known where the row is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from evenly.engine.distance import ROWS_PER_SUM
from evenly.engine.pool import Candidates, Pool
from evenly.errors import InputError
from evenly.types import BoolArray, Float64Array, Int64Array

Answer = TypeVar("Answer")


class ShardedPool:
    """Shards asked one after another. Pools whose shards live elsewhere override `_ask` and `_ask_one`.

    Args:
        shards: the parts in row order, each made with the row number of its first row. All but the last hold a
            multiple of `ROWS_PER_SUM` rows.

    Raises:
        InputError: vectors of unequal width, or a part of another length.
    """

    def __init__(self, shards: Sequence[Pool]) -> None:
        self._shards = list(shards)
        self._open()

    def _open(self) -> None:
        """Asks what the shards hold and checks that they make one pool."""
        counts = self._ask(lambda shard: shard.count)
        self._starts = np.cumsum([0, *counts])
        if any(start % ROWS_PER_SUM for start in self._starts[:-1].tolist()):
            raise InputError(
                f"shards must hold a multiple of {ROWS_PER_SUM} rows, all but the last; got {counts}"
            )
        widths = [self._ask_one(number, _width_at(int(row))) for number, row in enumerate(self._starts[:-1])]
        if len(set(widths)) > 1:
            other = next(number for number, width in enumerate(widths) if width != widths[0])
            raise InputError(
                f"shard {other} holds vectors of {widths[other]} numbers, shard 0 of {widths[0]}; "
                "embed all rows with one encoder"
            )
        self._width = widths[0]

    def _ask(self, question: Callable[[Pool], Answer]) -> list[Answer]:
        """The answer of every shard, in row order."""
        return [self._ask_one(number, question) for number in range(len(self._shards))]

    def _ask_one(self, number: int, question: Callable[[Pool], Answer]) -> Answer:
        """The answer of one shard."""
        return question(self._shards[number])

    @property
    def count(self) -> int:
        return int(self._starts[-1])

    def block_sums(self) -> Tensor:
        return torch.cat(self._ask(lambda shard: shard.block_sums()))

    def nearest(self, point: Tensor, among: BoolArray | None = None) -> tuple[float, int]:
        return min(self._ask(lambda shard: shard.nearest(point, among)))

    def take(self, rows: Int64Array) -> Tensor:
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        taken = torch.empty(len(rows), self._width)
        for number in np.unique(shard_of).tolist():
            here = np.flatnonzero(shard_of == number)
            taken[torch.from_numpy(here)] = self._ask_one(number, _vectors_at(rows[here]))
        return taken

    def farthest(self, count: int) -> Candidates:
        share = self._share(count)
        return join_candidates(self._ask(lambda shard: shard.farthest(share)), count)

    def _share(self, count: int) -> int:
        """How many rows each shard offers: twice its part, for shards are not equally far."""
        return min(count, 2 * -(-count // (len(self._starts) - 1)) + 32)

    def cover(self, vectors: Tensor, labels: Int64Array) -> None:
        self._ask(lambda shard: shard.cover(vectors, labels))

    def forget(self) -> None:
        self._ask(lambda shard: shard.forget())

    def cover_result(self) -> tuple[Int64Array, Float64Array]:
        keepers, squared = zip(*self._ask(lambda shard: shard.cover_result()), strict=True)
        return np.concatenate(keepers), np.concatenate(squared)


def _width_at(row: int) -> Callable[[Pool], int]:
    return lambda shard: shard.take(np.array([row])).shape[1]


def _vectors_at(rows: Int64Array) -> Callable[[Pool], Tensor]:
    return lambda shard: shard.take(rows)


def join_candidates(offers: Sequence[Candidates], count: int) -> Candidates:
    """The farthest rows of a pool from the farthest rows of its parts.

    A part says how far its next row is, so the rows of the union that come before every part's next row are the
    farthest of the pool. There is at least one where any row is farther than 0.

    Args:
        offers: of each part.
        count: most rows to return.
    """
    rows = np.concatenate([offer.rows for offer in offers])
    squared = np.concatenate([offer.squared_distances for offer in offers])
    order = np.lexsort((rows, -squared))
    rows, squared = rows[order], squared[order]
    rest = max((offer.rest for offer in offers if offer.rest), key=_first, default=None)
    certain = len(rows)
    if rest is not None:
        ahead = (squared > rest[0]) | ((squared == rest[0]) & (rows < rest[1]))
        certain = int(ahead.sum())
    if min(certain, count) < len(rows):
        certain = min(certain, count)
        left = (float(squared[certain]), int(rows[certain]))
        rest = left if rest is None else max(left, rest, key=_first)
    vectors = torch.cat([offer.vectors for offer in offers])
    vectors = vectors.index_select(0, torch.from_numpy(order[:certain]))
    return Candidates(rows[:certain], squared[:certain], vectors, rest)


def _first(rest: tuple[float, int]) -> tuple[float, int]:
    """Sorts by which comes first: the larger distance, then the lower row number."""
    return rest[0], -rest[1]
