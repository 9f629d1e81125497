"""Rows at random: what every strategy must beat."""

from __future__ import annotations

import numpy as np

from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """A seeded permutation, cut. Cost: N."""
    return np.random.default_rng(task.seed).permutation(task.rows)[: task.count]


STRATEGY = Strategy("random", "rows at random", "the baseline", order)
