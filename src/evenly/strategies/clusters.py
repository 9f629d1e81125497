"""k-means clusters, by scikit-learn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from evenly.engine.blocks import slices
from evenly.errors import MissingExtraError
from evenly.strategies.task import Task, whole_pool
from evenly.types import Float64Array, Int64Array

_BATCH = 4096
"""Rows of a batch; more where there are more clusters, for each should find a row."""

_ROUNDS = 3
"""Passes for many clusters, each of which costs a product of the pool with all centres."""

_FEW = 256
"""k-means++ looks through the pool once for each centre: for more of them starts are random."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """A clustering.

    Attributes:
        label: (N,) int64, the cluster of every row.
        distance: (N,) float64, Euclidean distance to its centre.
        count: clusters asked for; some may be empty.
    """

    label: Int64Array
    distance: Float64Array
    count: int


def cluster_bytes(rows: int, dimension: int, count: int) -> int:
    """Bytes that clustering holds: all rows, and the centres while they are moved."""
    return whole_pool(rows, dimension) + 3 * 4 * dimension * (count + _BATCH)


def cluster(task: Task, count: int) -> Clusters:
    """Clusters the rows: k-means++ and batches of 4,096 rows for few clusters, random starts for many.

    Memory: `cluster_bytes`. Cost: a few products of the pool with the centres (N count d each).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
    except ImportError:
        raise MissingExtraError("k-means clustering", "rivals") from None
    rows = task.vectors.cpu().numpy()
    model = MiniBatchKMeans(
        count,
        init="k-means++" if count <= _FEW else "random",
        batch_size=max(_BATCH, min(count, len(rows))),
        max_iter=10 if count <= _FEW else _ROUNDS,
        n_init=1,
        random_state=task.seed,
        compute_labels=True,
        reassignment_ratio=0.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters: empty ones are handled here
        label = model.fit(rows).labels_.astype(np.int64)
    distance = np.empty(len(rows))
    for block in slices(len(rows), _BATCH):
        centres = model.cluster_centers_[label[block]]
        distance[block] = np.linalg.norm(rows[block] - centres, axis=1)
    return Clusters(label, distance, count)
