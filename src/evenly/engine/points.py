"""The rows that distances are taken of, and what is derived from all of them, each once."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from evenly.checks import check_metric, check_vectors
from evenly.engine.copies import first_equal_rows
from evenly.engine.distance import unit_rows
from evenly.engine.images import Images
from evenly.engine.mapped import release, tensor_of
from evenly.engine.placing import Backend
from evenly.engine.pool import Pool
from evenly.types import Float32Array, Int64Array, Metric, VectorsLike

ROWS_AT_ONCE = 16384
"""Rows of a mapped file that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Points:
    """N rows as distances take them.

    Attributes:
        vectors: (N, d) float32, finite; unit rows where the metric is cosine. In memory, or mapped.
        metric: of all distances.
        backend: where a pool of them works.
    """

    vectors: Float32Array
    metric: Metric
    backend: Backend = field(default_factory=lambda: Backend(Path()))

    @staticmethod
    def of(vectors: VectorsLike, metric: str = "cosine") -> Points:
        """Checks (N, d) numbers that a caller owns and normalises a copy where the metric wants it.

        Raises:
            InputError: no finite rows of equal length, or a zero row under cosine.
        """
        checked, known = check_vectors(vectors), check_metric(metric)
        return Points(unit_rows(tensor_of(checked)).numpy() if known == "cosine" else checked, known)

    @staticmethod
    def prepared(vectors: Float32Array, metric: Metric, backend: Backend) -> Points:
        """Points from the vectors of a run.

        Args:
            vectors: (N, d) finite float32. Where they are writeable, they are this run's own and are normalised in
                place, for a second copy would be most of what a selection holds.
            metric: ``cosine`` normalises rows.
            backend: makes room for the normalised copy of vectors that belong to others, such as a mapped file.

        Raises:
            InputError: a zero row under cosine.
        """
        if metric == "euclidean" or not vectors.flags.writeable:
            return Points(backend.prepare(vectors, metric), metric, backend)
        rows = tensor_of(vectors)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows[start : start + ROWS_AT_ONCE]
            block.copy_(unit_rows(block, first_row=start))
            release(vectors)
        return Points(vectors, metric, backend)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """d."""
        return int(self.vectors.shape[1])

    @cached_property
    def tensor(self) -> Tensor:
        """The same memory as a tensor."""
        return tensor_of(self.vectors)

    @cached_property
    def sha256(self) -> str:
        """Hash of the rows, little-endian and row-major."""
        return vectors_sha256(self.vectors)

    @cached_property
    def first_equal(self) -> Int64Array:
        """(N,) the lowest row that equals each."""
        return first_equal_rows(self.vectors)

    @cached_property
    def images(self) -> Images:
        """Their quantised codes for neighbour searches."""
        return Images.of(self.vectors)

    def open(self) -> AbstractContextManager[Pool]:
        """A new pool of them, with no picks, where the backend has it."""
        return self.backend.open(self.vectors, self.metric)


def vectors_sha256(vectors: Float32Array) -> str:
    """Hash of (N, d) float32 rows, little-endian and row-major."""
    digest = hashlib.sha256()
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        digest.update(np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE], dtype="<f4").data)
        release(vectors)
    return digest.hexdigest()
