"""All pairs of a set: how many lie within given distances, and how distances spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.engine.blocks import on_all_cores, slices
from evenly.engine.codes import (
    BLOCK,
    FAR,
    Coded,
    squared_by_product,
    surely_below,
    surely_within,
)
from evenly.engine.distance import squared_distances
from evenly.engine.points import Points
from evenly.measures.result import PairDistances, Quantiles
from evenly.types import BoolArray, Float64Array, Int64Array, metric_distance

PAIRS_SAMPLED = 100_000
"""Quantile levels are then right to 0.43 % (95 %): see `pair_distances`."""

LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
_CROWDED = 20_000  # near pairs of one product, beyond which a float64 product of its rows is worth it
_PENDING = 500_000  # near pairs that wait to be counted together: 9 MB


@dataclass(frozen=True, eq=False)
class Near:
    """Pairs of rows that a product says may be within the largest limit.

    Attributes:
        row: (M,) int64.
        column: (M,) int64, the other row.
        value: (M,) integers, the bits of the product.
    """

    row: Int64Array
    column: Int64Array
    value: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: BoolArray | Int64Array) -> Near:
        return Near(self.row[chosen], self.column[chosen], self.value[chosen])


class PairsWithin:
    """Counts the pairs of a set at most as far apart as each limit, exactly, from the products of its own search.

    `watch` goes to `evenly.engine.neighbours.nearest`. Cost beside the products: an exact distance for every
    pair near a limit, and a float64 product of the blocks of 1024 x 1024 pairs where these are many.

    Args:
        coded: the distinct rows of the set.
        squared_limits: (T,) float64 squared distances, ascending.
        copies: (A,) int64, how many rows of the set each stands for.
    """

    def __init__(self, coded: Coded, squared_limits: Float64Array, copies: Int64Array) -> None:
        self.coded, self.limits, self.copies = coded, squared_limits, copies
        codes = (coded.codes(block) for block in slices(len(coded), BLOCK))
        largest = [(block.error.max(), block.norm.max()) for block in codes]
        self.error, self.norm = (torch.stack(of_blocks) for of_blocks in zip(*largest, strict=True))
        self.within, self.possible = self._bounds()
        equal = int((copies * (copies - 1) // 2).sum())
        self.found = [np.full(len(squared_limits), equal, dtype=np.int64)]
        self.pending: list[Near] = []
        self.waiting = 0
        self.lock = Lock()

    @property
    def counts(self) -> Int64Array:
        """(T,) int64, once every block was shown."""
        self._settle(at_least=1)
        total: Int64Array = np.sum(self.found, axis=0)
        return total

    def watch(self, bits: Tensor, least: Tensor, start: int, column: int) -> None:
        """Takes the pairs of one product above the diagonal of all; ``least`` are the minima of its rows."""
        block, other = start // BLOCK, column // BLOCK
        if other < block:
            return
        most = self.possible[-1, block, other]
        rows = np.flatnonzero(least.numpy() <= most)
        if not len(rows):
            return
        values = bits.numpy()[rows]
        at = np.flatnonzero(values <= most)
        at_row = at // BLOCK
        near = Near(rows[at_row] + start, at - at_row * BLOCK + column, values.ravel()[at])
        if other == block:
            near = near.where(near.column > near.row)
        if len(near) > _CROWDED:
            self.found.append(self._count(near, partial(self._within_block, start, column)))
        else:
            with self.lock:
                self.pending.append(near)
                self.waiting += len(near)
            self._settle(at_least=_PENDING)

    def _settle(self, at_least: int) -> None:
        """Counts the pairs of earlier products together, where there are so many."""
        with self.lock:
            if self.waiting < at_least:
                return
            pending, self.pending, self.waiting = self.pending, [], 0
        near = Near(
            *map(np.concatenate, zip(*((one.row, one.column, one.value) for one in pending), strict=True))
        )
        self.found.append(self._count(near, self._within))

    def _count(self, near: Near, within: Callable[[Near, float], BoolArray]) -> Int64Array:
        """(T,) int64: how many of the pairs lie within each limit; ``within`` decides where the product cannot."""
        weight = self.copies[near.row] * self.copies[near.column]
        counts = np.zeros(len(self.limits), dtype=np.int64)
        blocks_of = near.row // BLOCK, near.column // BLOCK
        for at, squared_limit in enumerate(self.limits.tolist()):
            sure = near.value < self.within[at][blocks_of]
            counts[at] = weight[sure].sum()
            unsure = np.flatnonzero(~sure & (near.value <= self.possible[at][blocks_of]))
            if len(unsure):
                close = within(near.where(unsure), squared_limit)
                counts[at] += weight[unsure[close]].sum()
        return counts

    def _bounds(self) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
        """Products of two blocks: (T, blocks, blocks), below the first surely within, above the second not."""
        dtype = self.coded.map.dtype
        reach = self.error[:, None] + self.error
        slack = self.coded.product_error(self.norm[:, None], self.norm)
        distance = torch.from_numpy(np.sqrt(self.limits) * self.coded.map.scale)[:, None, None]
        within = (distance - reach).clamp(min=0.0).square() / 2 - slack
        possible = ((distance + reach).square() / 2 + slack).clamp(max=FAR / 2)
        return surely_below(within, dtype).numpy(), surely_within(possible, dtype).numpy()

    def _within_block(self, start: int, column: int, near: Near, squared_limit: float) -> BoolArray:
        """`_within` for many pairs of one block: a float64 product leaves few to compute."""
        coded = self.coded
        left, right = (coded.gather(slice(at, min(at + BLOCK, len(coded)))) for at in (start, column))
        squared, error = squared_by_product(left, right, coded.map.centre)
        beyond = squared.numpy()[near.row - start, near.column - column] - squared_limit
        slack = float(error.max())
        close: BoolArray = beyond < -slack
        unsure = np.flatnonzero(np.abs(beyond) <= slack)
        close[unsure] = self._within(near.where(unsure), squared_limit)
        return close

    def _within(self, near: Near, squared_limit: float) -> BoolArray:
        """Which pairs are within the limit, by their exact distances."""
        rows = self.coded.rows
        row, column = (self.coded.pool_rows(torch.from_numpy(end)) for end in (near.row, near.column))
        within: BoolArray = (squared_distances(rows, row, rows, column) <= squared_limit).numpy()
        return within


def pair_distances(points: Points, rows: Int64Array, seed: int) -> PairDistances:
    """Mean and quantiles of the distance of two different rows of a set, (k,) row numbers of at least two.

    All pairs where there are at most 100,000; beyond, that many pairs drawn with replacement, with the
    standard error of the mean and, by the Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant, the
    error of the quantiles' levels: sqrt(ln(2 / 0.05) / (2 pairs)).
    """
    count = len(rows)
    sampled = count * (count - 1) // 2 > PAIRS_SAMPLED
    if sampled:
        random = np.random.default_rng(seed)
        left = random.integers(count, size=PAIRS_SAMPLED)
        right = (left + random.integers(1, count, size=PAIRS_SAMPLED)) % count
    else:
        left, right = np.triu_indices(count, 1)

    def work(part: slice) -> Tensor:
        one, other = torch.from_numpy(rows[left[part]]), torch.from_numpy(rows[right[part]])
        return squared_distances(points.tensor, one, points.tensor, other)

    parts = [slice(start, start + 8192) for start in range(0, len(left), 8192)]
    distance = metric_distance(torch.cat(on_all_cores(work, parts)).numpy(), points.metric)
    error = float(distance.std(ddof=1)) / math.sqrt(len(distance)) if sampled else 0.0
    level_error = math.sqrt(math.log(2 / 0.05) / (2 * len(distance))) if sampled else 0.0
    quantiles = Quantiles.of(distance, LEVELS)
    return PairDistances(float(distance.mean()), error, quantiles, len(distance), sampled, level_error)
