"""All pairs of a set: how many lie within given distances, and how distances spread."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenly.measures.neighbours import (
    BLOCK,
    FAR,
    ROUNDING,
    Isometry,
    Side,
    encode_side,
    filter_dtype,
    fit_isometry,
    integers,
    on_all_cores,
    product_error,
)
from evenly.measures.result import PairDistances, Quantiles
from evenly.selection.distance import squared_distances
from evenly.types import Float64Array, Int64Array, Metric, Progress, metric_distance, silent

PAIRS_SAMPLED = 200_000
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
_AMBIGUOUS = 20_000


def count_within(
    rows: Tensor,
    squared_limits: Float64Array,
    *,
    dtype: torch.dtype | None = None,
    progress: Progress = silent,
) -> Int64Array:
    """Number of pairs at most as far apart as each limit.

    Args:
        rows: (A, d) float32.
        squared_limits: (T,) float64 squared distances, ascending.
        dtype: precision of the product; None decides. Never changes the result.

    Returns:
        (T,) int64, exact. Cost: one low-precision product of all pairs, and a float64 one of the blocks of
        1024 x 1024 pairs where many lie near a limit.
    """
    image = fit_isometry(rows, rows, dtype or filter_dtype(rows.shape[1]))
    counter = _Counter(rows, image, encode_side(image, rows), squared_limits)
    starts = list(range(0, len(rows), BLOCK))
    counts = np.stack(on_all_cores(counter.count_block, starts, progress, "pairs within"))
    total: Int64Array = counts.sum(axis=0)
    return total


class _Counter:
    """The rows, their images, and each limit as two products: surely within, possibly within."""

    def __init__(self, rows: Tensor, image: Isometry, side: Side, squared_limits: Float64Array) -> None:
        self.rows, self.image, self.side, self.limits = rows, image, side, squared_limits
        error = 2 * float(side.error.max())
        slack = float(product_error(side, float(side.norm.max())).max())
        unit = ROUNDING[image.dtype]
        distance = torch.from_numpy(np.sqrt(squared_limits) * image.scale)
        within = ((distance - error).clamp(min=0.0).square() / 2 - slack).clamp(min=0.0) * (1 - 4 * unit)
        possible = ((distance + error).square() / 2 + slack) * (1 + 4 * unit)
        self.within = integers(within.to(image.dtype)).tolist()
        self.possible = integers(possible.clamp(max=FAR / 2).to(image.dtype)).tolist()

    def count_block(self, start: int) -> Int64Array:
        """Pairs of one block of rows with itself and all later rows."""
        counts = np.zeros(len(self.limits), dtype=np.int64)
        query = self.side.query[start : start + BLOCK]
        product = torch.empty(BLOCK, BLOCK, dtype=self.image.dtype)
        for column in range(start, len(self.side.key), BLOCK):
            torch.mm(query, self.side.key[column : column + BLOCK].T, out=product)
            if column == start:
                product[torch.ones(BLOCK, BLOCK, dtype=torch.bool).tril_()] = FAR
            bits = integers(product)
            if int(bits.amin()) > self.possible[-1]:
                continue
            values = bits.numpy()
            for at, squared_limit in enumerate(self.limits):
                counts[at] += np.count_nonzero(values < self.within[at])
                unsure = np.flatnonzero((values >= self.within[at]) & (values <= self.possible[at]))
                counts[at] += self._count_unsure(unsure, start, column, float(squared_limit))
        return counts

    def _count_unsure(self, unsure: Int64Array, start: int, column: int, squared_limit: float) -> int:
        """How many of some pairs of a block, given as flat positions, are within the limit."""
        where, which = np.divmod(unsure, BLOCK)
        certain = 0
        if len(unsure) > _AMBIGUOUS:
            squared, slack = self._float64_product(start, column)
            near = squared[where, which]
            certain = int(np.count_nonzero(near < squared_limit - slack))
            left = np.abs(near - squared_limit) <= slack
            where, which = where[left], which[left]
        left_rows, right_rows = torch.from_numpy(where + start), torch.from_numpy(which + column)
        squared_distance = squared_distances(self.rows, left_rows, self.rows, right_rows)
        return certain + int((squared_distance <= squared_limit).sum())

    def _float64_product(self, start: int, column: int) -> tuple[Float64Array, float]:
        """Squared distances of a block of pairs from a float64 product, and a bound on their error."""
        near = self.image.image(self.rows[start : start + BLOCK])
        far = self.image.image(self.rows[column : column + BLOCK])
        near_square, far_square = near.square().sum(1), far.square().sum(1)
        squared = near_square[:, None] + far_square - 2 * (near @ far.T)
        sizes = (float(near_square.max()) ** 0.5 + float(far_square.max()) ** 0.5) ** 2
        unit = self.image.scale**2
        return squared.numpy() / unit, sizes / unit * (near.shape[1] + 8) * 2.0**-51


def pair_distances(rows: Tensor, metric: Metric, seed: int) -> PairDistances:
    """Mean and quantiles of the distance of two different rows of a set of at least two.

    All pairs where there are at most 200,000; beyond, that many pairs drawn with replacement, with the
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
    squared = squared_distances(rows, torch.from_numpy(left), rows, torch.from_numpy(right)).numpy()
    distance = metric_distance(squared, metric)
    error = float(distance.std(ddof=1)) / math.sqrt(len(distance)) if sampled else 0.0
    level_error = math.sqrt(math.log(2 / 0.05) / (2 * len(distance))) if sampled else 0.0
    quantiles = Quantiles.of(distance, LEVELS)
    return PairDistances(float(distance.mean()), error, quantiles, len(distance), sampled, level_error)
