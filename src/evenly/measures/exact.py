"""h_min, nearest neighbours, fill, mesh ratio, copies: exact, by subtraction in float64."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import torch

from evenly.engine.neighbours import Neighbours, nearest
from evenly.engine.within import rows_beyond
from evenly.measures.pairs import PairsWithin, pair_distances
from evenly.measures.result import Evenness, Exact, Pair, Quantiles
from evenly.measures.sets import RowSet
from evenly.types import (
    Float64Array,
    Int64Array,
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
"""Part of what `measure` returns."""


def nearest_within(
    chosen: RowSet,
    progress: Progress = silent,
    *,
    at: Int64Array | None = None,
    found: Neighbours | None = None,
    counter: PairsWithin | None = None,
) -> tuple[Int64Array, Float64Array]:
    """For rows of the set their nearest other row there, and the squared distance to it: (m,) each.

    Pool row numbers, the lowest number among equals; -1 and infinite for a single row.

    Args:
        chosen: the set.
        progress: called as the search goes on.
        at: (m,) int64, which rows of the set; None for all k.
        found: the neighbours of all distinct rows of the set in one another, where they are known already.
        counter: counts pairs on the way; with all rows only, and not with ``found``.
    """
    stand_ins, inverse, sizes = chosen.groups()
    rows, of_row = (chosen.rows, inverse) if at is None else (chosen.rows[at], inverse[at])
    other = np.full(len(rows), -1, dtype=np.int64)
    squared = np.full(len(rows), np.inf)
    if len(stand_ins) > 1:
        asked, place = np.unique(of_row, return_inverse=True)
        if found is None:
            distinct = chosen.points.coded_of(stand_ins)
            queries = distinct if at is None else distinct.take(torch.from_numpy(asked))
            watch = counter.watch if counter else None
            found = nearest(queries, distinct, own=asked, watch=watch, progress=progress)
        other, squared = stand_ins[found.index[:, 0]][place], found.squared_distance[:, 0][place]
    copied = sizes[of_row] > 1
    if copied.any():
        order = np.argsort(inverse, kind="stable")
        second = chosen.rows[order[np.minimum(np.cumsum(sizes) - sizes + 1, len(order) - 1)]][of_row]
        first = stand_ins[of_row]
        other = np.where(copied, np.where(rows == first, second, first), other)
        squared = np.where(copied, 0.0, squared)
    return other, squared


def farthest_dropped(chosen: RowSet, progress: Progress = silent) -> Pair | None:
    """The row outside the set that is farthest from it, and its nearest row of the set; None for a whole pool.

    The lowest row number among equals. Cost: a part of the product of the other rows with the set, and an exact
    search for those that are not proven to be nearer to it than all of a sample.
    """
    dropped = np.setdiff1d(np.arange(len(chosen.points)), chosen.rows, assume_unique=True)
    if not len(dropped):
        return None
    _, first_at = np.unique(chosen.points.first_equal[chosen.rows], return_index=True)
    kept = chosen.rows[np.sort(first_at)]
    queries, keys = chosen.points.coded_of(dropped), chosen.points.coded_of(kept)
    rows = np.arange(len(dropped))
    if len(rows) > 4 * FILL_SAMPLE:
        sample = torch.from_numpy(np.linspace(0, len(rows) - 1, FILL_SAMPLE).astype(np.int64))
        squared_fill_at_least = float(nearest(queries.take(sample), keys).squared_distance.max())
        rows = rows_beyond(queries, keys, math.sqrt(squared_fill_at_least), 1, progress, stage="fill")
    found = nearest(queries.take(torch.from_numpy(rows)), keys, progress=progress, stage="fill")
    squared = found.squared_distance[:, 0]
    at = int(np.argmax(squared))
    fill = float(metric_distance(squared[at : at + 1], chosen.points.metric)[0])
    return Pair(int(dropped[rows[at]]), int(kept[found.index[at, 0]]), fill)


def evenness_of(
    chosen: RowSet,
    fill: float,
    *,
    sample: Int64Array | None = None,
    found: Neighbours | None = None,
    counter: PairsWithin | None = None,
    progress: Progress = silent,
) -> Evenness:
    """How even a set is.

    Args:
        chosen: the set.
        fill: its fill, which covers make as orders are.
        sample: (m,) int64, which rows of the set are searched for their nearest other row there; None for all.
        found, counter, progress: as for `nearest_within`.
    """
    other, squared = nearest_within(chosen, progress, at=sample, found=found, counter=counter)
    rows = chosen.rows if sample is None else chosen.rows[sample]
    distance, single = metric_distance(squared, chosen.points.metric), len(chosen.rows) == 1
    h_min = float(distance.min())
    return Evenness(
        h_min=h_min,
        closest=() if single else closest_pairs(rows, other, distance),
        nearest_row=other,
        nearest_distance=distance,
        nearest=None if single else Quantiles.of(distance, NEAREST_LEVELS),
        mean_nearest=None if single else float(distance.mean()),
        fill=fill,
        mesh_ratio=fill / h_min if h_min > 0 else float("inf"),
        copies=len(chosen.rows) - len(np.unique(chosen.points.first_equal[chosen.rows])),
    )


def exact_measures(chosen: RowSet, thresholds: Float64Array, seed: int, progress: Progress = silent) -> Exact:
    """The exact measures of a set; see `evenly.measures.result.Exact`."""
    points = chosen.points
    counter = None
    if len(thresholds):
        stand_ins, _, sizes = chosen.groups()
        counter = PairsWithin(points.coded_of(stand_ins), squared_euclidean(thresholds, points.metric), sizes)
    farthest = farthest_dropped(chosen, progress)
    even = evenness_of(chosen, farthest.distance if farthest else 0.0, counter=counter, progress=progress)
    counts = counter.counts if counter else np.zeros(0, dtype=np.int64)
    return Exact(
        **{each.name: getattr(even, each.name) for each in fields(even)},
        loneliest_row=farthest.row if farthest else None,
        loneliest_keeper=farthest.other if farthest else None,
        pool_copies=len(points) - len(points.distinct),
        pairs_within=tuple(zip(thresholds.tolist(), counts.tolist(), strict=True)),
        pair_distances=None if len(chosen.rows) == 1 else pair_distances(points, chosen.rows, seed),
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
