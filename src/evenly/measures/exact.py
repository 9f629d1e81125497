"""h_min, nearest neighbours, fill, mesh ratio, copies: exact, by subtraction in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenly.engine.images import Images
from evenly.engine.neighbours import Neighbours, nearest
from evenly.engine.within import rows_beyond
from evenly.measures.pairs import PairsWithin, pair_distances
from evenly.measures.result import Exact, Pair, Quantiles
from evenly.types import (
    Float64Array,
    Int64Array,
    Metric,
    Progress,
    metric_distance,
    silent,
    squared_euclidean,
)

MOST_PAIRS = 2**34
"""Pairs of rows that are measured one and all: those of 131,072 rows, which take about as long as a selection."""

FILL_SAMPLE = 1024
"""Rows outside a set whose distance to it is computed first: most others are proven to be nearer than the farthest."""

NEAREST_LEVELS = np.arange(101) / 100.0
CLOSEST_PAIRS = 20


@dataclass(frozen=True, eq=False)
class RowSet:
    """A pool, a set of its rows, and which rows are copies.

    Attributes:
        images: of the pool, unit rows where the metric is cosine.
        rows: (k,) int64 pool row numbers of the set, ascending.
        first_equal: (N,) int64, for every pool row the lowest pool row that equals it, itself included.
        metric: of the distances reported.
    """

    images: Images
    rows: Int64Array
    first_equal: Int64Array
    metric: Metric

    @property
    def pool(self) -> Tensor:
        """(N, d) float32."""
        return self.images.rows

    @property
    def set_rows(self) -> Tensor:
        """(k, d) float32."""
        return self.pool if self.is_pool else self.pool[torch.from_numpy(self.rows)]

    @property
    def is_pool(self) -> bool:
        return len(self.rows) == len(self.pool)

    def images_of(self, rows: Int64Array) -> Images:
        """Images of some distinct pool rows, ascending."""
        return self.images if len(rows) == len(self.pool) else self.images.take(torch.from_numpy(rows))

    def groups(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """The set's distinct rows by their lowest pool row there, which of these every row equals, and how many do."""
        of_rows = self.first_equal[self.rows]
        _, first, inverse, sizes = np.unique(
            of_rows, return_index=True, return_inverse=True, return_counts=True
        )
        return self.rows[first], inverse, sizes

    @property
    def distinct(self) -> Int64Array:
        """Ascending numbers of the pool rows that equal no earlier one."""
        return np.flatnonzero(self.first_equal == np.arange(len(self.first_equal)))


def nearest_within(
    of: RowSet,
    progress: Progress = silent,
    *,
    at: Int64Array | None = None,
    found: Neighbours | None = None,
    counter: PairsWithin | None = None,
) -> tuple[Int64Array, Float64Array]:
    """For rows of the set their nearest other row there, and the squared distance to it: (m,) each.

    Pool row numbers, the lowest number among equals; -1 and infinite for a single row.

    Args:
        of: the set.
        progress: called as the search goes on.
        at: (m,) int64, which rows of the set; None for all k.
        found: the neighbours of all distinct rows of the set in one another, where they are known already.
        counter: counts pairs on the way; with all rows only, and not with ``found``.
    """
    stand_ins, inverse, sizes = of.groups()
    rows, of_row = (of.rows, inverse) if at is None else (of.rows[at], inverse[at])
    other = np.full(len(rows), -1, dtype=np.int64)
    squared = np.full(len(rows), np.inf)
    if len(stand_ins) > 1:
        asked, place = np.unique(of_row, return_inverse=True)
        if found is None:
            distinct = of.images_of(stand_ins)
            queries = distinct if at is None else distinct.take(torch.from_numpy(asked))
            watch = counter.watch if counter else None
            found = nearest(queries, distinct, own=asked, watch=watch, progress=progress)
        other, squared = stand_ins[found.index[:, 0]][place], found.squared_distance[:, 0][place]
    copied = sizes[of_row] > 1
    if copied.any():
        order = np.argsort(inverse, kind="stable")
        second = of.rows[order[np.minimum(np.cumsum(sizes) - sizes + 1, len(order) - 1)]][of_row]
        first = stand_ins[of_row]
        other = np.where(copied, np.where(rows == first, second, first), other)
        squared = np.where(copied, 0.0, squared)
    return other, squared


def farthest_dropped(of: RowSet, progress: Progress = silent) -> Pair | None:
    """The row outside the set that is farthest from it, and its nearest row of the set; None for a whole pool.

    The lowest row number among equals. Cost: a part of the product of the other rows with the set, and an exact
    search for those that are not proven to be nearer to it than all of a sample.
    """
    dropped = np.setdiff1d(np.arange(len(of.pool)), of.rows, assume_unique=True)
    if not len(dropped):
        return None
    _, first_at = np.unique(of.first_equal[of.rows], return_index=True)
    kept = of.rows[np.sort(first_at)]
    queries, keys = of.images_of(dropped), of.images_of(kept)
    rows = np.arange(len(dropped))
    if len(rows) > 4 * FILL_SAMPLE:
        sample = torch.from_numpy(np.linspace(0, len(rows) - 1, FILL_SAMPLE).astype(np.int64))
        squared_fill_at_least = float(nearest(queries.take(sample), keys).squared_distance.max())
        rows = rows_beyond(queries, keys, math.sqrt(squared_fill_at_least), 1, progress, stage="fill")
    found = nearest(queries.take(torch.from_numpy(rows)), keys, progress=progress, stage="fill")
    squared = found.squared_distance[:, 0]
    at = int(np.argmax(squared))
    fill = float(metric_distance(squared[at : at + 1], of.metric)[0])
    return Pair(int(dropped[rows[at]]), int(kept[found.index[at, 0]]), fill)


def exact_measures(of: RowSet, thresholds: Float64Array, seed: int, progress: Progress = silent) -> Exact:
    """The exact measures of a set; see `evenly.measures.result.Exact`."""
    single = len(of.rows) == 1
    counter = None
    if len(thresholds):
        stand_ins, _, sizes = of.groups()
        counter = PairsWithin(of.images_of(stand_ins), squared_euclidean(thresholds, of.metric), sizes)
    other, squared = nearest_within(of, progress, counter=counter)
    distance = metric_distance(squared, of.metric)
    h_min = float(distance.min())
    farthest = farthest_dropped(of, progress)
    fill = farthest.distance if farthest else 0.0
    counts = counter.counts if counter else np.zeros(0, dtype=np.int64)
    return Exact(
        h_min=h_min,
        closest=() if single else closest_pairs(of.rows, other, distance),
        nearest_row=other,
        nearest_distance=distance,
        nearest=None if single else Quantiles.of(distance, NEAREST_LEVELS),
        mean_nearest=None if single else float(distance.mean()),
        fill=fill,
        loneliest_row=farthest.row if farthest else None,
        loneliest_keeper=farthest.other if farthest else None,
        mesh_ratio=fill / h_min if h_min > 0 else float("inf"),
        copies=len(of.rows) - len(np.unique(of.first_equal[of.rows])),
        pool_copies=len(of.pool) - len(of.distinct),
        pairs_within=tuple(zip(thresholds.tolist(), counts.tolist(), strict=True)),
        pair_distances=None if single else pair_distances(of.pool, of.rows, of.metric, seed),
    )


def closest_pairs(rows: Int64Array, other: Int64Array, distance: Float64Array) -> tuple[Pair, ...]:
    """The closest of the pairs of a row with its nearest neighbour, each pair once, lowest numbers first."""
    low, high = np.minimum(rows, other), np.maximum(rows, other)
    pairs: dict[tuple[int, int], float] = {}
    for at in np.lexsort((high, low, distance)):
        pairs.setdefault((int(low[at]), int(high[at])), float(distance[at]))
        if len(pairs) == CLOSEST_PAIRS:
            break
    return tuple(Pair(row, partner, apart) for (row, partner), apart in pairs.items())
