"""DEITA's filter: in order of quality, rows too near to a kept one are skipped."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import over_rows
from evenly.engine.mapped import release
from evenly.strategies.task import Strategy, Task
from evenly.strategies.thinning import thin_until
from evenly.types import Int64Array

DISTANCE = 0.1
"""1 - cos: the paper keeps a row whose nearest kept one has a cosine similarity below 0.9."""


def order(task: Task) -> Int64Array:
    """By quality, the best first (by length where there are no scores), skipping rows within 1 - cos 0.1.

    The paper stops short where rows run out; here the distance is then lowered. Under euclidean the distance
    starts at the same share of the squared length. Cost: a product of the pool with the kept rows.
    """
    score = task.known_lengths.astype(np.float64) if task.quality is None else task.quality
    sequence = np.lexsort((np.arange(task.rows), -score))

    def squared_lengths(block: slice) -> Tensor:
        squared = task.vectors[block].double().square().sum(1)
        release(task.points.vectors)
        return squared

    squared_length = float(torch.cat(over_rows(task.rows, squared_lengths)).mean())
    return thin_until(task, sequence, 2.0 * DISTANCE * squared_length)


STRATEGY = Strategy(
    "repr",
    "the best rows first, skipping those near a kept one",
    "Liu et al. 2024 (DEITA), arXiv 2312.15685",
    order,
)
