"""The rows that distances are taken of, and what is derived from all of them, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from evenly.checks import check_finite_rows, check_metric, check_vectors
from evenly.engine.blocks import over_rows, slices
from evenly.engine.codes import Coded
from evenly.engine.copies import first_equal_rows
from evenly.engine.distance import unit_rows
from evenly.engine.mapped import is_mapped, release, tensor_of
from evenly.engine.placing import Backend
from evenly.engine.pool import Pool
from evenly.types import Float32Array, Int64Array, Metric, VectorsLike

ROWS_AT_ONCE = 16384
"""Rows that one thread copies or hashes before it gives the memory of a mapped file back: 25 MB of 384 numbers."""

FAR_APART = 64
"""Rows of a mapped file that are read before its memory is given back, where they lie anywhere: the kernel maps up to
2 MB around each."""


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
    backend: Backend = field(default_factory=Backend)
    _reusing: list[ExitStack] = field(default_factory=list, init=False, repr=False)
    _idle: list[Pool] = field(default_factory=list, init=False, repr=False)

    @staticmethod
    def of(vectors: VectorsLike, metric: str = "cosine", backend: Backend | None = None) -> Points:
        """Checks (N, d) numbers that a caller owns and normalises a copy where the metric wants it.

        Shares memory with ``vectors`` where they need no change. Cost: two passes over them, three where they change.

        Raises:
            InputError: no finite rows of equal length, or a zero row under cosine.
        """
        known, rows = check_metric(metric), check_vectors(vectors, check_finite=False)

        def check(block: slice) -> None:
            check_finite_rows(rows[block], first_row=block.start)
            release(rows)

        over_rows(len(rows), check)
        where = backend or Backend()
        return Points(
            rows if known == "euclidean" else _normalised(rows, where, in_place=False), known, where
        )

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
        if metric == "cosine":
            vectors = _normalised(vectors, backend, in_place=bool(vectors.flags.writeable))
        return Points(vectors, metric, backend)

    def part(self, rows: Int64Array) -> Points:
        """Some of them, (M,) different row numbers: fewer are a copy, on disk where a pool of it lies there."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        taken = _room(self.vectors, len(rows), self.backend)
        self._gather(rows, taken)
        return Points(taken, self.metric, self.backend)

    def take(self, rows: Int64Array) -> Tensor:
        """A copy of some of them, (M, d) float32 in memory, by (M,) row numbers."""
        taken = torch.empty(len(rows), self.dimension)
        self._gather(rows, taken.numpy())
        return taken

    def _gather(self, rows: Int64Array, target: Float32Array) -> None:
        """Copies rows, a few at a time where they are mapped."""
        at_once = FAR_APART if is_mapped(self.vectors) else max(len(rows), 1)
        for block in slices(len(rows), at_once):
            np.take(self.vectors, rows[block], axis=0, out=target[block])
            release(self.vectors)
            if block.stop % ROWS_AT_ONCE == 0:
                release(target)

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
        """(N,) the lowest row that equals each, itself included."""
        return first_equal_rows(self.vectors)

    @cached_property
    def distinct(self) -> Int64Array:
        """Ascending numbers of the rows that equal no earlier one."""
        return np.flatnonzero(self.first_equal == np.arange(len(self)))

    @cached_property
    def coded(self) -> Coded:
        """Their quantised codes for neighbour searches."""
        return Coded.of(self.vectors)

    def coded_of(self, rows: Int64Array) -> Coded:
        """The codes of some different rows, ascending."""
        return self.coded if len(rows) == len(self) else self.coded.take(torch.from_numpy(rows))

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """A pool of them, with no picks, where the backend has it. Within `reusing`, one that was open before."""
        if not self._reusing:
            with self.backend.open(self.vectors) as pool:
                yield pool
            return
        if self._idle:
            pool = self._idle.pop()
            pool.forget()
        else:
            pool = self._reusing[-1].enter_context(self.backend.open(self.vectors))
        try:
            yield pool
        finally:
            self._idle.append(pool)

    @contextmanager
    def reusing(self) -> Iterator[None]:
        """For the time of a ``with`` block, pools that are opened one after another are one.

        Its quantised codes are made once, and workers of a cluster load their shards once. Memory: that of the pool,
        until the block ends.
        """
        with ExitStack() as opened:
            self._reusing.append(opened)
            try:
                yield
            finally:
                self._reusing.pop()
                self._idle.clear()


def _normalised(vectors: Float32Array, backend: Backend, *, in_place: bool) -> Float32Array:
    """Rows divided by their lengths: where they are, themselves where nothing changes, or in new room."""
    rows = tensor_of(vectors)
    others: list[int] = []  # where blocks begin that hold a row of another length than 1

    def look(block: slice) -> None:
        if not others:
            part = rows[block]
            if unit_rows(part, first_row=block.start) is not part:
                others.append(block.start)
            release(vectors)

    if not in_place:
        over_rows(len(rows), look)
        if not others:
            return vectors
    target = vectors if in_place else _room(vectors, len(vectors), backend)

    def normalise(block: slice) -> None:
        part = rows[block]
        unit = unit_rows(part, first_row=block.start)
        if unit is not part or not in_place:
            target[block] = unit
        release(vectors)
        release(target)

    over_rows(len(rows), normalise)
    return target


def _room(vectors: Float32Array, count: int, backend: Backend) -> Float32Array:
    """Room for rows: a scratch file where they come from a mapped file and a pool of them would be on disk."""
    dimension = vectors.shape[1]
    room = backend.room(count, dimension) if is_mapped(vectors) else None
    return np.empty((count, dimension), dtype=np.float32) if room is None else room


def vectors_sha256(vectors: Float32Array) -> str:
    """Hash of (N, d) float32 rows, little-endian and row-major."""
    digest = hashlib.sha256()
    for block in slices(len(vectors), ROWS_AT_ONCE):
        digest.update(np.ascontiguousarray(vectors[block], dtype="<f4").data)
        release(vectors)
    return digest.hexdigest()
