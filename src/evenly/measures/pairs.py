"""All pairs of a set: how many lie within given distances, and how distances spread."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.measures.images import (
    BLOCK,
    FAR,
    Images,
    on_all_cores,
    squared_by_product,
    surely_below,
    surely_within,
)
from evenly.measures.result import PairDistances, Quantiles
from evenly.selection.distance import squared_distances
from evenly.selection.tiles import blocks
from evenly.types import Float64Array, Int64Array, Metric, metric_distance

PAIRS_SAMPLED = 100_000
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
_CROWDED = 20_000


class PairsWithin:
    """Counts the pairs of a set at most as far apart as each limit, exactly, from the products of its own search.

    `watch` goes to `evenly.measures.neighbours.nearest`. Cost beside the products: an exact distance for every
    pair near a limit, and a float64 product of the blocks of 1024 x 1024 pairs where these are many.

    Args:
        images: of the distinct rows of the set.
        squared_limits: (T,) float64 squared distances, ascending.
        copies: (A,) int64, how many rows of the set each stands for.
    """

    def __init__(self, images: Images, squared_limits: Float64Array, copies: Int64Array) -> None:
        self.images, self.limits, self.copies = images, squared_limits, copies
        coded = (images.coded(block) for block in blocks(len(images), BLOCK))
        largest = [(block.error.max(), block.norm.max()) for block in coded]
        self.error, self.norm = (torch.stack(of_blocks) for of_blocks in zip(*largest, strict=True))
        self.bounds = [self._bounds(block) for block in range(len(largest))]
        equal = int((copies * (copies - 1) // 2).sum())
        self.found = [np.full(len(squared_limits), equal, dtype=np.int64)]

    @property
    def counts(self) -> Int64Array:
        """(T,) int64, once every block was shown."""
        total: Int64Array = np.sum(self.found, axis=0)
        return total

    def watch(self, bits: Tensor, least: Tensor, start: int, column: int) -> None:
        """Counts the pairs of one product above the diagonal of all; ``least`` are the minima of its rows."""
        block, other = start // BLOCK, column // BLOCK
        if other < block:
            return
        within, possible = (bound[:, other] for bound in self.bounds[block])
        rows = np.flatnonzero(least.numpy() <= possible[-1])
        if not len(rows):
            return
        values = bits.numpy()[rows]
        near = np.flatnonzero(values <= possible[-1])
        at_row = near // BLOCK
        row, which = rows[at_row], near - at_row * BLOCK
        if other == block:
            above = which > row
            near, row, which = near[above], row[above], which[above]
        value = values.ravel()[near]
        weight = self.copies[row + start] * self.copies[which + column]
        counts = np.zeros(len(self.limits), dtype=np.int64)
        for at, squared_limit in enumerate(self.limits.tolist()):
            counts[at] = weight[value < within[at]].sum()
            unsure = np.flatnonzero((value >= within[at]) & (value <= possible[at]))
            if len(unsure):
                close = self._within(row[unsure], which[unsure], start, column, squared_limit)
                counts[at] += weight[unsure[close]].sum()
        self.found.append(counts)

    def _bounds(self, block: int) -> tuple[Int64Array, Int64Array]:
        """Products of a block with each block: (T, blocks), below the first surely within, above the second not."""
        dtype = self.images.map.dtype
        reach = self.error[block] + self.error
        slack = self.images.product_error(self.norm[block], self.norm)
        distance = torch.from_numpy(np.sqrt(self.limits) * self.images.map.scale)[:, None]
        within = (distance - reach).clamp(min=0.0).square() / 2 - slack
        possible = ((distance + reach).square() / 2 + slack).clamp(max=FAR / 2)
        return surely_below(within, dtype).numpy(), surely_within(possible, dtype).numpy()

    def _within(
        self, row: Int64Array, which: Int64Array, start: int, column: int, squared_limit: float
    ) -> npt.NDArray[np.bool_]:
        """Which pairs of a block, given by row and column in it, are within the limit."""
        images = self.images
        close = np.zeros(len(row), dtype=np.bool_)
        unsure = np.arange(len(row))
        if len(row) > _CROWDED:
            left, right = (images.gather(slice(at, min(at + BLOCK, len(images)))) for at in (start, column))
            squared, error = squared_by_product(left, right, images.map.centre)
            beyond, slack = squared.numpy()[row, which] - squared_limit, float(error.max())
            close = beyond < -slack
            unsure = np.flatnonzero(np.abs(beyond) <= slack)
        ends = (row[unsure] + start, which[unsure] + column)
        at = [images.pool_rows(torch.from_numpy(end)) for end in ends]
        close[unsure] = (squared_distances(images.rows, at[0], images.rows, at[1]) <= squared_limit).numpy()
        return close


def pair_distances(rows: Tensor, metric: Metric, seed: int) -> PairDistances:
    """Mean and quantiles of the distance of two different rows of a set of at least two.

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
        return squared_distances(rows, torch.from_numpy(left[part]), rows, torch.from_numpy(right[part]))

    parts = [slice(start, start + 8192) for start in range(0, len(left), 8192)]
    distance = metric_distance(torch.cat(on_all_cores(work, parts)).numpy(), metric)
    error = float(distance.std(ddof=1)) / math.sqrt(len(distance)) if sampled else 0.0
    level_error = math.sqrt(math.log(2 / 0.05) / (2 * len(distance))) if sampled else 0.0
    quantiles = Quantiles.of(distance, LEVELS)
    return PairDistances(float(distance.mean()), error, quantiles, len(distance), sampled, level_error)
