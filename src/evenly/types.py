"""The words of the project as types: metrics, arrays, a selection, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
Int64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
VectorsLike: TypeAlias = Any
"""What users may pass as vectors: anything ``numpy.asarray`` understands as (N, d) numbers, or a torch tensor."""

Metric = Literal["cosine", "euclidean"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``; done counts up to total within a stage ("embed", "select" …)."""


def silent(stage: str, done: int, total: int) -> None:
    """The progress of someone who is not looking."""


def metric_distance(squared_distance: Float64Array, metric: Metric) -> Float64Array:
    """Turns squared Euclidean distances into distances of the metric.

    Args:
        squared_distance: float64, any shape; of unit rows where the metric is cosine.
        metric: ``euclidean`` gives the root; ``cosine`` gives 1 - cos, which on unit rows is half the square.
    """
    return np.sqrt(squared_distance) if metric == "euclidean" else squared_distance / 2.0


def squared_euclidean(distance: Float64Array | float, metric: Metric) -> Float64Array:
    """The inverse of `metric_distance`: squared Euclidean distances from distances of the metric."""
    given = np.asarray(distance, dtype=np.float64)
    return given**2 if metric == "euclidean" else given * 2.0


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """An order of picks over a pool, and what it covers. Distances are in the metric's own unit.

    Attributes:
        rows: (k,) int64, the picked row numbers in the order of picking.
        radii: (k,) float64, each pick's distance to the nearest earlier pick or anchor when it was picked;
            infinite for a first pick without anchors. Never increases along a greedy max-min order.
        keeper: (N,) int64, for every pool row the row number of its nearest kept row (the earliest pick among
            equals; a kept row is its own keeper). Row numbers from N on stand for anchors: N + anchor number.
        keeper_distance: (N,) float64, the distance to it.
        metric: the metric of all distances here.
        asked: how many picks were asked for; more than ``len(rows)`` only where distinct rows ran out.
        exhausted: true where picking stopped because no row was left at a distance above 0.
        excluded: why rows were kept from being picked by a control, by row number.
    """

    rows: Int64Array
    radii: Float64Array
    keeper: Int64Array
    keeper_distance: Float64Array
    metric: Metric
    asked: int
    exhausted: bool = False
    excluded: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        """The kept row numbers in the order of picking."""
        return iter(self.rows.tolist())

    @overload
    def __getitem__(self, rank: int) -> int: ...
    @overload
    def __getitem__(self, rank: slice) -> Int64Array: ...
    def __getitem__(self, rank: int | slice) -> int | Int64Array:
        """The row number of a pick, or those of several: ``selection[:512]`` is the selection of size 512."""
        return self.rows[rank] if isinstance(rank, slice) else int(self.rows[rank])

    def facts(self) -> list[tuple[str, str]]:
        """What one wants to know of it first: a name and a value each, five of them."""
        unit = "1 - cos" if self.metric == "cosine" else "euclidean"
        first = ", ".join(map(str, self.rows[:8].tolist()))
        left = self.pool_rows - len(self) - len(self.excluded)
        return [
            ("kept", f"{len(self):,} of {self.pool_rows:,} rows ({100 * len(self) / self.pool_rows:.2g} %)"),
            ("left out", f"{left:,} for which a kept row stands, {len(self.excluded):,} excluded"),
            ("closest pair", f"{self.h_min:.4g} apart ({unit})" if len(self) > 1 else "none"),
            ("farthest row", f"{self.fill:.4g} from its nearest kept row"),
            ("order", f"{first}{', …' if len(self) > 8 else ''} (rows as they were picked)"),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{name:<13}{value}" for name, value in self.facts())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """As notebooks show it."""
        lines = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{value}</td></tr>"
            for name, value in self.facts()
        )
        return f"<table>{lines}</table>"

    @property
    def pool_rows(self) -> int:
        """N, the number of rows one could choose from."""
        return len(self.keeper)

    @property
    def h_min(self) -> float:
        """Smallest distance between two kept rows (and anchors). Infinite for a single row.

        For a greedy max-min order this is the last radius.
        """
        return float(self.radii.min())

    @property
    def fill(self) -> float:
        """Largest distance from a pool row to its nearest kept row."""
        return float(self.keeper_distance.max())

    @property
    def mesh_ratio(self) -> float:
        """fill / h_min; at most 1 for an order of the greedy loop. Infinite where copies were kept (h_min 0)."""
        return self.fill / self.h_min if self.h_min > 0 else float("inf")

    def dropped(self) -> BoolArray:
        """(N,) bool, the rows that were not kept."""
        dropped = np.ones(self.pool_rows, dtype=bool)
        dropped[self.rows] = False
        return dropped

    def dropped_distances(self) -> Float64Array:
        """(N - k,) float64: how far each row that is not kept is from its nearest kept one, in pool order."""
        dropped = np.ones(self.pool_rows, dtype=np.bool_)
        dropped[self.rows] = False
        return self.keeper_distance[dropped]

    def sorted_rows(self) -> Int64Array:
        """The kept row numbers in pool order, (k,) int64."""
        return np.sort(self.rows)

    def with_cover(self, keeper: Int64Array, keeper_distance: Float64Array) -> Selection:
        """The same order with another cover, for a shorter or extended order."""
        return replace(self, keeper=keeper, keeper_distance=keeper_distance)
