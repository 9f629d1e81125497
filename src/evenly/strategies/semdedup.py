"""SemDeDup: within clusters, rows that resemble an earlier one are dropped."""

from __future__ import annotations

import math

import numpy as np
import torch

from evenly.strategies.clusters import cluster, cluster_bytes
from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array

_BLOCK = 2048
"""Rows of a cluster held against the earlier ones at a time."""


def order(task: Task) -> Int64Array:
    """The k rows least like an earlier row of their cluster.

    Rows of a cluster are taken from the farthest to the nearest to its centre, and each is scored by its nearest
    earlier row. The paper drops rows above a threshold; here the threshold is the one that leaves k rows. About
    the square root of N clusters. Cost: N^1.5 d.
    """
    found = cluster(task, max(1, math.isqrt(task.rows)))
    nearest = np.full(task.rows, np.inf)
    for one in range(found.count):
        members = np.flatnonzero(found.label == one)
        members = members[np.lexsort((members, -found.distance[members]))]
        vectors = task.vectors[torch.from_numpy(members)].double()
        for start in range(0, len(members), _BLOCK):
            block = vectors[start : start + _BLOCK]
            apart = torch.cdist(block, vectors[: start + len(block)])
            later = torch.arange(apart.shape[1]) >= (start + torch.arange(len(block)))[:, None]
            apart[later] = torch.inf
            nearest[members[start : start + len(block)]] = apart.amin(1).numpy()
        task.progress("select", one + 1, found.count)
    return np.lexsort((np.arange(task.rows), -nearest))[: task.count]


STRATEGY = Strategy(
    "semdedup",
    "the rows least like an earlier row of their cluster",
    "Abbas et al. 2023, arXiv 2303.09540",
    order,
    lambda rows, dimension, count: cluster_bytes(rows, dimension, math.isqrt(rows)),
)
