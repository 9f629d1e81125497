"""k-means clusters, by scikit-learn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from evenly.errors import MissingExtraError
from evenly.strategies.task import Task
from evenly.types import Float64Array, Int64Array

_BATCH = 4096
_ROUNDS = 3
_FEW = 256


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


def cluster(task: Task, count: int) -> Clusters:
    """Clusters the rows: k-means++ and batches of 4,096 rows for few clusters, random starts for many.

    Cost: a few products of the pool with the centres (N count d each).

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
    distance = np.linalg.norm(rows - model.cluster_centers_[label], axis=1).astype(np.float64)
    return Clusters(label, distance, count)
