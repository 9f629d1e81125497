"""Going through rows in an order and skipping those too near to a kept one."""

from __future__ import annotations

import numpy as np
import torch

from evenly.strategies.task import Task
from evenly.types import Float64Array, Int64Array

_BLOCK = 1024
"""Rows offered at a time: their own pairs are 8 MB of float64."""

_ROUNDS = 120
"""The distance has fallen by a factor of 10^10 then, beyond what float32 tells apart."""

SHRINK = 1.5
"""By how much the squared distance falls from pass to pass."""


def thin_until(task: Task, sequence: Int64Array, squared_distance: float) -> Int64Array:
    """Keeps rows of a sequence that lie at least a distance from all kept ones; lowers it until k are kept.

    What was kept stays kept when the distance is lowered, so the result is nested. Rows that no distance above 0
    tells apart come last. Float32 products decide, so a distance is right to about 1e-6 of the squared lengths.

    Args:
        task: the pool and the count.
        sequence: (N,) int64, rows in the order they are offered.
        squared_distance: Euclidean, to begin with.

    Returns:
        (k,) int64. Cost: a product of the pool with the kept rows.
    """
    nearest = np.full(task.rows, np.inf)
    kept: list[int] = []
    waiting = sequence
    for _ in range(_ROUNDS):
        taken = _thin(task, waiting, squared_distance, nearest, task.count - len(kept))
        kept += taken
        waiting = waiting[~np.isin(waiting, taken)]
        if len(kept) == task.count or not (nearest[waiting] > 0).any():
            break
        squared_distance /= SHRINK
        task.progress("select", len(kept), task.count)
    return np.concatenate([np.asarray(kept, dtype=np.int64), waiting])[: task.count]


def _thin(
    task: Task, sequence: Int64Array, squared_distance: float, nearest: Float64Array, most: int
) -> list[int]:
    """One pass; ``nearest`` holds squared distances to the kept rows and is lowered in place."""
    kept: list[int] = []
    for start in range(0, len(sequence), _BLOCK):
        block = sequence[start : start + _BLOCK]
        block = block[nearest[block] >= squared_distance]
        if not len(block):
            continue
        own = _squared(task, block, block).numpy()
        taken: list[int] = []
        near = nearest[block]
        for place in range(len(block)):
            if near[place] >= squared_distance:
                taken.append(place)
                np.minimum(near, own[place], out=near)
                if len(kept) + len(taken) == most:
                    break
        kept += block[taken].tolist()
        later = np.setdiff1d(sequence, block[taken])
        for at in range(0, len(later), 8 * _BLOCK):
            part = later[at : at + 8 * _BLOCK]
            nearest[part] = np.minimum(nearest[part], _squared(task, part, block[taken]).amin(1).numpy())
        nearest[block[taken]] = 0.0
        if len(kept) == most:
            break
    return kept


def _squared(task: Task, left: Int64Array, right: Int64Array) -> torch.Tensor:
    rows, others = task.points.take(left), task.points.take(right)
    squared = rows.square().sum(1)[:, None] + others.square().sum(1) - 2.0 * (rows @ others.T)
    return squared.clamp_(min=0.0).double()
