"""All pairs of a set: how many lie within given distances, and how distances spread."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenly.measures.images import BLOCK, FAR, ROUNDING, Images, integers, on_all_cores
from evenly.measures.result import PairDistances, Quantiles
from evenly.selection.distance import squared_distances
from evenly.types import Float64Array, Int64Array, Metric, Progress, metric_distance, silent

PAIRS_SAMPLED = 100_000
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
_CROWDED = 20_000


def count_within(images: Images, squared_limits: Float64Array, progress: Progress = silent) -> Int64Array:
    """Number of pairs at most as far apart as each limit.

    Args:
        images: of the set.
        squared_limits: (T,) float64 squared distances, ascending.

    Returns:
        (T,) int64, exact. Cost: one low-precision product of all pairs, and a float64 one of the blocks of
        1024 x 1024 pairs where many lie near a limit.
    """
    counter = _Counter(images, squared_limits)
    starts = list(range(0, len(images), BLOCK))
    counts = np.stack(on_all_cores(counter.count_block, starts, progress, "pairs within"))
    total: Int64Array = counts.sum(axis=0)
    return total


class _Counter:
    """A set as both sides of a product, and the limits."""

    def __init__(self, images: Images, squared_limits: Float64Array) -> None:
        self.images, self.limits = images.padded(), squared_limits
        self.keys = self.images.keys()
        self.error = self.images.error.view(-1, BLOCK).amax(1)
        self.norm = self.images.norm.view(-1, BLOCK).amax(1)

    def count_block(self, start: int) -> Int64Array:
        """Pairs of one block of rows with itself and all later rows."""
        counts = np.zeros(len(self.limits), dtype=np.int64)
        query = self.images.query[start : start + BLOCK]
        product = torch.empty(BLOCK, BLOCK, dtype=query.dtype)
        for column in range(start, len(self.keys), BLOCK):
            torch.mm(query, self.keys[column : column + BLOCK].T, out=product)
            if column == start:
                product[torch.ones(BLOCK, BLOCK, dtype=torch.bool).tril_()] = FAR
            bits = integers(product)
            within, possible = self._bounds(start // BLOCK, column // BLOCK)
            if int(bits.amin()) > possible[-1]:
                continue
            values = bits.numpy()
            for at, squared_limit in enumerate(self.limits.tolist()):
                counts[at] += np.count_nonzero(values < within[at])
                unsure = np.flatnonzero((values >= within[at]) & (values <= possible[at]))
                counts[at] += self._count_unsure(unsure, start, column, squared_limit)
        return counts

    def _bounds(self, block: int, other: int) -> tuple[list[int], list[int]]:
        """For each limit: products below the first are surely within it, above the second surely not."""
        dtype = self.images.query.dtype
        unit, reach = ROUNDING[dtype], self.error[block] + self.error[other]
        slack = self.images.product_error(self.norm[block], self.norm[other])
        distance = torch.from_numpy(np.sqrt(self.limits) * self.images.isometry.scale)
        within = ((distance - reach).clamp(min=0.0).square() / 2 - slack) * (1 - 4 * unit)
        possible = (((distance + reach).square() / 2 + slack) * (1 + 4 * unit)).clamp(max=FAR / 2)
        # A product below 0 proves nothing where the limit itself drowns in the error: there nothing is sure.
        sure = integers(within.to(dtype))
        sure[within <= 0] = torch.iinfo(sure.dtype).min
        return sure.tolist(), integers(possible.to(dtype)).tolist()

    def _count_unsure(self, unsure: Int64Array, start: int, column: int, squared_limit: float) -> int:
        """How many of some pairs of a block, given as flat positions, are within the limit."""
        rows, isometry = self.images.rows, self.images.isometry
        where, which = np.divmod(unsure, BLOCK)
        certain = 0
        if len(unsure) > _CROWDED:
            squared, error = isometry.squared_distances(
                rows[start : start + BLOCK], rows[column : column + BLOCK]
            )
            beyond = squared.numpy()[where, which] - squared_limit * isometry.scale**2
            slack = float(error.max())
            certain = int(np.count_nonzero(beyond < -slack))
            left = np.abs(beyond) <= slack
            where, which = where[left], which[left]
        squared_distance = squared_distances(
            rows, torch.from_numpy(where + start), rows, torch.from_numpy(which + column)
        )
        return certain + int((squared_distance <= squared_limit).sum())


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
