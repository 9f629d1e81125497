"""The contract between the greedy loop and whatever holds the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from evenly.engine.filter import Codes, FilterMap
from evenly.types import BoolArray, Float64Array, Int64Array


@dataclass(frozen=True)
class Candidates:
    """The farthest rows of a pool.

    Attributes:
        rows: (B,) int64 pool row numbers, farthest first, lowest number first among equals.
        squared_distances: (B,) float64 to the nearest pick so far; all above 0.
        vectors: (B, d) float32.
        rest: squared distance (or the priority under a rule) and row number of the first row that is not among
            them; None where no other row is open. Larger comes first, then the lower number.
        codes: the filter's map and the rows' codes, on the device that multiplies them, where the pool has them
            at hand; None makes them anew.
        rest_of: where parts of the pool take turns, the ``rest`` of each part that has one.
    """

    rows: Int64Array
    squared_distances: Float64Array
    vectors: Tensor
    rest: tuple[float, int] | None
    codes: tuple[FilterMap, Codes] | None = None
    rest_of: Mapping[int, tuple[float, int]] | None = None


class Pool(Protocol):
    """Rows with their distances to the picks so far. The only thing that knows where vectors live.

    A new pool has no picks and all distances infinite.
    """

    @property
    def count(self) -> int:
        """N, number of rows."""

    def block_sums(self) -> Tensor:
        """(blocks, d) float64, sums of each `evenly.engine.distance.ROWS_PER_SUM` consecutive rows."""

    def nearest(self, point: Tensor, among: BoolArray | None = None) -> tuple[float, int]:
        """Squared distance and number of the row nearest to a (d,) float32 point, lowest number among equals.

        Args:
            point: (d,) float32.
            among: (N,) which rows of the whole pool count; None for all. Infinite where none does.
        """

    def take(self, rows: Int64Array) -> Tensor:
        """(R, d) float32 on the processor: the vectors of (R,) int64 row numbers."""

    def farthest(self, count: int) -> Candidates:
        """The rows farthest from the picks so far: about ``count``, and at least one where any is farther than 0."""

    def cover(self, vectors: Tensor, labels: Int64Array) -> None:
        """Lowers each row's distance to its nearest pick.

        Args:
            vectors: (P, d) float32, new picks in order.
            labels: (P,) int64: the row number of each, or N + i for anchor i. A row that is picked gets distance
                0 to itself and is never offered again. Among equals the earlier pick stays.
        """

    def forget(self) -> None:
        """Forgets all picks: the pool is as it was when new, but keeps what it made for all of them."""

    def cover_result(self) -> tuple[Int64Array, Float64Array]:
        """Label of the nearest pick and squared distance to it, for every row: (N,) int64, (N,) float64."""


def largest(keys: Float64Array, count: int) -> Int64Array:
    """Indices of the ``count`` largest keys, largest first, lowest index among equals (fewer where fewer are)."""
    count = min(count, len(keys))
    if not count:
        return np.empty(0, dtype=np.int64)
    least = np.partition(keys, len(keys) - count)[len(keys) - count]
    chosen = np.flatnonzero(keys >= least)
    return chosen[np.argsort(-keys[chosen], kind="stable")[:count]]
