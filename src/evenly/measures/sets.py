"""A pool and a set of its rows: what every measure is taken of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.types import Int64Array, VectorsLike


@dataclass(frozen=True, eq=False)
class RowSet:
    """A set of the rows of a pool.

    Attributes:
        points: the pool, N rows.
        rows: (k,) int64 row numbers of the set, ascending.
    """

    points: Points
    rows: Int64Array

    @staticmethod
    def of(points: Points, rows: Any = None) -> RowSet:
        """A set of row numbers in any order, checked; None for all of the pool.

        Raises:
            InputError: as `check_rows`.
        """
        return RowSet(points, np.arange(len(points)) if rows is None else check_rows(rows, len(points)))

    @staticmethod
    def of_vectors(vectors: VectorsLike, metric: str, rows: Any = None) -> RowSet:
        """The same of (N, d) numbers that are not prepared."""
        return RowSet.of(Points.of(vectors, metric), rows)

    @property
    def set_rows(self) -> Tensor:
        """(k, d) float32."""
        return self.points.tensor if self.is_pool else self.points.tensor[torch.from_numpy(self.rows)]

    @property
    def is_pool(self) -> bool:
        return len(self.rows) == len(self.points)

    def groups(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """The set's distinct rows by their lowest pool row there, which of these every row equals, and how many do."""
        of_rows = self.points.first_equal[self.rows]
        _, first, inverse, sizes = np.unique(
            of_rows, return_index=True, return_inverse=True, return_counts=True
        )
        return self.rows[first], inverse, sizes


def check_rows(rows: Any, pool_rows: int) -> Int64Array:
    """Returns row numbers as ascending int64.

    Raises:
        InputError: none, not whole numbers, outside the pool (names the first), or one named twice.
    """
    given = np.asarray(rows)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
        raise InputError(f"rows must be a list of row numbers; got {given.dtype} of shape {given.shape}")
    if not len(given):
        raise InputError("the subset is empty; name at least one row")
    outside = (given < 0) | (given >= pool_rows)
    if outside.any():
        count = int(outside.sum())
        more = f" and {count - 1} more" if count > 1 else ""
        raise InputError(
            f"row {given[outside][0]}{more} of the subset is not in the pool; "
            f"its {pool_rows} rows are numbered from 0"
        )
    ordered = np.sort(given.astype(np.int64))
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(again):
        raise InputError(f"row {again[0]} is named more than once in the subset; name each row once")
    return ordered
