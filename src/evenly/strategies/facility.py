"""Facility location: rows that represent all rows, by lazy greedy."""

from __future__ import annotations

import heapq

import numpy as np
import torch

from evenly.strategies.neighbours import nearest_neighbours
from evenly.strategies.task import Strategy, Task, products, whole_pool
from evenly.types import Float64Array, Int64Array

DENSE_ROWS = 2000
"""Up to so many rows all pairs are held: 4 million."""

NEIGHBOURS = 64
"""Above `DENSE_ROWS` rows, a row is represented only by its 64 nearest rows and itself."""


def order(task: Task) -> Int64Array:
    """Greedily the row that adds most to the sum over all rows of the similarity to the nearest kept row.

    Similarity is the largest squared distance considered less the squared distance, so never negative. Lazy
    greedy (Minoux 1978) gives the same picks as greedy. Cost: N^2 d for the similarities, then close to N log N.
    """
    width = _width(task.rows)
    if width < 1:
        return np.zeros(1, dtype=np.int64)
    index, squared = nearest_neighbours(task.vectors, width)
    farthest = float(squared.max()) * (1 + 1e-6) + 1e-30
    own = torch.arange(task.rows)
    # Column j lists the rows that j can represent, itself among them.
    represented = torch.cat([own, own.repeat_interleave(width)]).numpy()
    by = torch.cat([own, index.flatten()]).numpy()
    worth = torch.cat([torch.full((task.rows,), farthest), farthest - squared.flatten()]).double().numpy()
    sort = np.argsort(by, kind="stable")
    starts = np.searchsorted(by[sort], np.arange(task.rows + 1))
    return _lazy_greedy(task, represented[sort], worth[sort], starts)


def _width(rows: int) -> int:
    """How many other rows each is represented by."""
    return rows - 1 if rows <= DENSE_ROWS else NEIGHBOURS


def _lazy_greedy(task: Task, represented: Int64Array, worth: Float64Array, starts: Int64Array) -> Int64Array:
    best = np.zeros(task.rows)

    def gain(row: int) -> float:
        part = slice(starts[row], starts[row + 1])
        return float(np.maximum(worth[part] - best[represented[part]], 0.0).sum())

    heap = [(-float(worth[starts[row] : starts[row + 1]].sum()), row) for row in range(task.rows)]
    heapq.heapify(heap)
    picks: list[int] = []
    while len(picks) < task.count:
        _, row = heapq.heappop(heap)
        now = -gain(row)
        if heap and (now, row) > heap[0]:
            heapq.heappush(heap, (now, row))
            continue
        picks.append(row)
        part = slice(starts[row], starts[row + 1])
        np.maximum.at(best, represented[part], worth[part])
        if len(picks) % 1000 == 0:
            task.progress("select", len(picks), task.count)
    return np.asarray(picks, dtype=np.int64)


STRATEGY = Strategy(
    "facility",
    "rows that represent all rows best",
    "facility location; Minoux 1978, Wei et al. 2015",
    order,
    lambda rows, dimension, count: whole_pool(rows, dimension, 10 * _width(rows)) + products(rows),
)
