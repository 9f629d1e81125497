"""Semantic clusters, each with its share of the rows, and spread within each."""

from __future__ import annotations

import math

import numpy as np

from evenly.engine.constraints import Constraints
from evenly.engine.greedy import select_prepared
from evenly.engine.quotas import Quotas, proportional
from evenly.strategies.clusters import cluster, cluster_bytes
from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """The max-min order with a proportional quota for each of about sqrt(N / 2) clusters.

    SPaRFT picks a few diverse rows from every cluster to reduce the pool; here the shares follow the clusters'
    sizes and max-min makes the spread, across clusters too. Cost: k-means and one max-min selection.
    """
    found = cluster(task, max(1, math.isqrt(task.rows // 2)))
    shares = proportional(np.bincount(found.label, minlength=found.count), task.count)
    quotas = Quotas(tuple(map(str, range(found.count))), found.label, shares, shares)
    constraints = Constraints(quotas=quotas)
    return select_prepared(
        task.points, task.count, constraints, allow_copies=True, progress=task.progress
    ).rows


STRATEGY = Strategy(
    "cluster-quota",
    "clusters by their size, spread within each",
    "SPaRFT 2025, arXiv 2508.05015",
    order,
    lambda rows, dimension, count: cluster_bytes(rows, dimension, math.isqrt(rows // 2)),
)
