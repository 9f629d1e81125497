"""How well each size of an order stands for the pool, beside random sets of that size.

The first k rows of an order are the selection of size k. So one pass over a sample of the pool gives every size: the
distance of a pool row to the nearest of the first k falls as k grows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from evenly.engine.blocks import slices, steady_torch
from evenly.engine.points import Points
from evenly.types import Float64Array, Int64Array, metric_distance

SIZES = 60
"""Sizes that are measured, from one row to all, each about a sixth more than the one before where 26,001 are kept."""

SAMPLED = 1_000
"""Pool rows whose distances are measured: shares are right to 1.6 % (standard error at a half)."""

LEVELS = tuple(range(0, 101, 5))
"""Percentiles of the distances that are written down: a share within any distance can be read between them."""

MOST_PICKS = 200_000
"""Picks that are looked at. Larger sizes are left out: their rows would be read from all over the disk."""

_ROWS_AT_ONCE = 4_096


@steady_torch()
def by_size(points: Points, order: Int64Array, seed: int = 0) -> dict[str, Any]:
    """What measures.json says of every size of an order.

    Args:
        points: the pool.
        order: (k,) rows in the order of picking.
        seed: of the sample and of the random order.

    Returns:
        ``sizes``, ascending up to k or `MOST_PICKS`; ``levels``, percentiles; and for ``kept`` and ``random``, a random
        order of the same length, ``mean``, the mean distance of a pool row to the nearest of the first rows, and
        ``quantiles`` of it, a list for each size. Distances are in the metric, by float32 products. Cost: S k products
        of d numbers each.
    """
    order = order[:MOST_PICKS]
    random = np.random.default_rng([seed, 2])
    sample = np.sort(random.choice(len(points), min(SAMPLED, len(points)), replace=False))
    drawn = random.permutation(len(points))[: len(order)]
    sizes = np.unique(np.geomspace(1, len(order), SIZES).round().astype(np.int64))
    found: dict[str, Any] = {"sizes": sizes.tolist(), "sampled_rows": len(sample), "levels": list(LEVELS)}
    for name, rows in (("kept", order), ("random", drawn)):
        away = metric_distance(_squared_to_first(points, sample, rows, sizes), points.metric)
        found[name] = {
            "mean": [float(f"{value:.5g}") for value in away.mean(axis=1)],
            "quantiles": [
                [float(f"{value:.4g}") for value in one] for one in np.percentile(away, LEVELS, axis=1).T
            ],
        }
    return found


def _squared_to_first(
    points: Points, sample: Int64Array, rows: Int64Array, sizes: Int64Array
) -> Float64Array:
    """(len(sizes), S) squared distances of sampled rows to the nearest of the first ``size`` rows."""
    own = points.take(sample)
    own_square = own.square().sum(1)
    least = torch.full((len(sample),), torch.inf)
    found, start = [], 0
    for size in sizes.tolist():
        for part in slices(size, _ROWS_AT_ONCE, start=start):
            block = points.take(rows[part])
            squared = torch.addmm(block.square().sum(1), own, block.T, alpha=-2).amin(1) + own_square
            least = torch.minimum(least, squared)
        start = size
        found.append(least.clamp(min=0).double().numpy())
    return np.stack(found)
