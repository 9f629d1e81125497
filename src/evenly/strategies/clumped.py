"""Half random rows, half the rows nearest to them: the paper's control, as uneven as a selection can be."""

from __future__ import annotations

import numpy as np

from evenly.engine.orders import nearest_of
from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """Random rows first, then the others by rising distance to the nearest of them.

    Cost: one low-precision product of the pool with half the picks.
    """
    drawn = np.random.default_rng(task.seed).permutation(task.rows)
    first, rest = np.split(drawn, [task.count - task.count // 2])
    if not len(rest) or task.count < 2:
        return drawn[: task.count]
    rest = np.sort(rest)
    _, distance = nearest_of(task.points.part(rest), task.points.part(first))
    nearest = rest[np.argsort(distance, kind="stable")[: task.count // 2]]
    return np.concatenate([first, nearest])


STRATEGY = Strategy(
    "clumped", "half random rows, half the rows nearest to them", "the control of arXiv 2506.24120", order
)
