"""As many clusters as rows to keep, and the row nearest to each centre."""

from __future__ import annotations

import numpy as np

from evenly.strategies.clusters import cluster, cluster_bytes
from evenly.strategies.task import Strategy, Task
from evenly.types import Int64Array


def order(task: Task) -> Int64Array:
    """The nearest row of every cluster, the largest cluster first; where clusters stay empty, the second-nearest
    rows of the largest, and so on.

    Cost: about five products of the pool with k centres; the dearest strategy where k is large.
    """
    found = cluster(task, task.count)
    by_cluster = np.lexsort((np.arange(task.rows), found.distance, found.label))
    label = found.label[by_cluster]
    place = np.arange(task.rows) - np.searchsorted(label, label)  # within its cluster, nearest first
    size = np.bincount(found.label, minlength=found.count)
    return by_cluster[np.lexsort((label, -size[label], place))][: task.count]


STRATEGY = Strategy(
    "kmeans",
    "the row nearest to each of k cluster centres",
    "scikit-learn MiniBatchKMeans",
    order,
    cluster_bytes,
)
