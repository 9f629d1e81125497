"""Epsilon cover: rows that a kept row covers within epsilon are redundant."""

from __future__ import annotations

import numpy as np
import torch

from evenly.strategies.task import Strategy, Task
from evenly.strategies.thinning import thin_until
from evenly.types import Int64Array

_SAMPLE = 1000
"""Rows whose median distance is where epsilon starts; it is lowered from there."""


def order(task: Task) -> Int64Array:
    """Rows in random order, skipping those within epsilon of a kept one; epsilon is lowered until k are kept.

    RL-Selector learns which rows to keep from this redundancy by reinforcement; here the redundancy alone
    decides. Epsilon starts at the median distance of two rows. Cost: a product of the pool with the kept rows.
    """
    sequence = np.random.default_rng(task.seed).permutation(task.rows)
    sample = task.points.take(sequence[:_SAMPLE]).double()
    squared = torch.cdist(sample, sample).square().median()
    return thin_until(task, sequence, float(squared))


STRATEGY = Strategy(
    "epsilon-cover",
    "random rows, skipping those that a kept row covers",
    "Yang et al. 2025 (RL-Selector), arXiv 2506.21037",
    order,
)
