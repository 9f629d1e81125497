"""The greedy max-min order, for the table beside its rivals."""

from __future__ import annotations

from evenly.engine.greedy import select_prepared
from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """The first k picks, copies last. Cost: one low-precision product of the pool with the picks."""
    return select_prepared(task.points, task.count, allow_copies=True, progress=task.progress).rows


STRATEGY = Strategy(
    "maxmin", "the row farthest from all kept rows, again and again", "Gonzalez 1985; arXiv 2506.24120", order
)
