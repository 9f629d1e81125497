"""The longest rows: a baseline that is hard to beat for instruction tuning."""

from __future__ import annotations

import numpy as np

from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """By characters, the longest first, the lowest row number among equals. Cost: N log N."""
    return np.lexsort((np.arange(task.rows), -task.known_lengths))[: task.count]


STRATEGY = Strategy("longest", "the rows with most characters", "Zhao et al. 2024, arXiv 2402.04833", order)
