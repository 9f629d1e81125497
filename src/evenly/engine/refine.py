"""A larger h_min than greedy reaches: independent sets of the graph of near pairs, improved by swaps.

Rows that are pairwise at least r apart are an independent set of the graph that joins rows nearer than r. The
minimum-degree heuristic finds larger ones than the greedy order does; swaps of one row for two enlarge them further
(Andrade, Resende & Werneck 2012, Journal of Heuristics 18). The largest r at which k rows are found is searched by
bisection over the distances that occur.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import on_all_cores, over_rows, slices, steady_torch
from evenly.engine.distance import squared_distances
from evenly.engine.greedy import select_prepared
from evenly.engine.mapped import release
from evenly.engine.orders import selection_of
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array, Progress, Selection, silent, squared_euclidean

REACH = 1.2
"""How much farther apart than greedy's rows we look, in Euclidean distance. Greedy has at least half the best."""
MOST_PAIRS = 40_000_000
"""About 5 GB of pairs and of the graph that they make; within a bound on memory, as many as a half of it holds."""
BYTES_PER_PAIR = 128
"""Both rows and the distance, these sorted, and both directions in the graph as its edges are sorted."""
STEPS = 12
"""Halvings: 4,096 different distances between greedy's and the farthest looked at are told apart."""

_SWAP_PASSES = 3
"""Each pass tries every chosen row once; what the first leaves is little, and the search of a step must end."""


_BLOCK, _COLUMNS = 1024, 8192
"""Rows and columns of a product: 32 MB of float32, three of which each core holds."""
_BLOCKS_BETWEEN_LOOKS = 16
"""After so many blocks of rows it is asked whether the pairs are too many."""


@dataclass(frozen=True, eq=False)
class NearPairs:
    """All pairs of rows nearer than a limit, each once, by rising distance.

    Attributes:
        first, second: (M,) int64, first < second.
        squared_distance: (M,) float64, exact.
    """

    first: Int64Array
    second: Int64Array
    squared_distance: Float64Array


def refine(points: Points, selection: Selection, progress: Progress = silent) -> Selection:
    """Looks for as many rows with a larger h_min.

    Args:
        points: the pool that the selection was made on.
        selection: a greedy order without anchors.
        progress: called with ("refine", step, steps).

    Returns:
        A selection of as many rows, in max-min order among themselves, with a larger h_min; the one given where
        none was found. Cost: all pairs of the pool in float32 (N^2 d / 2), and about a dozen searches of the graph.

    Raises:
        InputError: too many near pairs to hold.
    """
    count = len(selection)
    if count < 2 or selection.h_min <= 0:
        return selection
    lowest = float(squared_euclidean(selection.h_min, points.metric))
    pairs = near_pairs(points, lowest * REACH**2)
    steps = np.unique(pairs.squared_distance[pairs.squared_distance > lowest])
    best: Int64Array | None = None
    low, high = 0, len(steps) - 1
    for step in range(STEPS):
        if low > high:
            break
        middle = (low + high) // 2
        found = independent_set(pairs, float(steps[middle]), len(points), count)
        progress("refine", step + 1, STEPS)
        if len(found) >= count:
            best, low = found, middle + 1
        else:
            high = middle - 1
    return selection if best is None else _better(points, best, selection)


def _better(points: Points, found: Int64Array, selection: Selection) -> Selection:
    """The first k rows of the max-min order among those found, where they beat the selection."""
    inner = select_prepared(points.part(found), len(selection))
    refined = selection_of(points, found[inner.rows])
    return refined if refined.h_min > selection.h_min else selection


@steady_torch()
def near_pairs(points: Points, squared_limit: float) -> NearPairs:
    """All pairs with a squared Euclidean distance below the limit: a float32 product finds, float64 decides.

    Raises:
        InputError: more pairs than can be held.
    """
    rows = points.tensor
    squares = torch.cat(over_rows(len(points), lambda block: rows[block].square().sum(1)))
    slack = float(squares.max()) * points.dimension * 2.0**-20

    def work(block: slice) -> list[tuple[Tensor, Tensor, Tensor]]:
        found = []
        for columns in slices(len(points), _COLUMNS, start=block.start):
            squared = squares[block, None] + squares[columns] - 2.0 * (rows[block] @ rows[columns].T)
            first, second = (squared < squared_limit + slack).nonzero(as_tuple=True)
            first, second = first + block.start, second + columns.start
            first, second = (end[first < second] for end in (first, second))
            exact = squared_distances(rows, first, rows, second)
            near = exact < squared_limit
            found.append((first[near], second[near], exact[near]))
            release(points.vectors)
        return found

    limit = points.backend.most_memory()
    most = MOST_PAIRS if limit is None else min(MOST_PAIRS, limit // (2 * BYTES_PER_PAIR))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for some in _batched(slices(len(points), _BLOCK)):
        parts += chain.from_iterable(on_all_cores(work, some))
        if sum(len(part[0]) for part in parts) > most:
            raise InputError(
                f"more than {most:,} pairs of rows are near the selection's h_min; `refine` is for larger "
                "shares of the pool: keep more rows, or raise `memory`"
            )
    first, second, squared = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    order = np.lexsort((second, first, squared))
    return NearPairs(first[order], second[order], squared[order])


def _batched(slices: Iterator[slice]) -> Iterable[list[slice]]:
    """Lists of `_BLOCKS_BETWEEN_LOOKS`."""
    while some := list(islice(slices, _BLOCKS_BETWEEN_LOOKS)):
        yield some


def independent_set(pairs: NearPairs, squared_distance: float, count: int, enough: int) -> Int64Array:
    """Rows that are pairwise at least a distance apart: minimum degree first, then swaps of one row for two.

    Args:
        pairs: all pairs nearer than at least that distance.
        squared_distance: Euclidean.
        count: N.
        enough: stop swapping once so many are found.

    Returns:
        Row numbers, ascending.
    """
    near = int(np.searchsorted(pairs.squared_distance, squared_distance, side="left"))
    tail = np.concatenate([pairs.first[:near], pairs.second[:near]])
    head = np.concatenate([pairs.second[:near], pairs.first[:near]])
    order = np.argsort(tail, kind="stable")
    head = head[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=count))])
    chosen = _minimum_degree(head, starts, count)
    for _ in range(_SWAP_PASSES):
        if chosen.sum() >= enough or not _swap(head, starts, chosen):
            break
    return np.flatnonzero(chosen)


def _minimum_degree(
    head: Int64Array, starts: Int64Array, count: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Takes the row with fewest near rows left, drops those, and goes on; the lowest number among equals."""
    degree = np.diff(starts)
    free, chosen = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    alone = np.flatnonzero(degree == 0)
    chosen[alone], free[alone] = True, False
    heap = [(int(degree[row]), row) for row in np.flatnonzero(free).tolist()]
    heapq.heapify(heap)
    while heap:
        known, row = heapq.heappop(heap)
        if not free[row] or known != degree[row]:
            continue
        chosen[row], free[row] = True, False
        dropped = head[starts[row] : starts[row + 1]]
        dropped = dropped[free[dropped]]
        free[dropped] = False
        for other in dropped.tolist():
            near = head[starts[other] : starts[other + 1]]
            near = near[free[near]]
            degree[near] -= 1
            for lowered in near.tolist():
                heapq.heappush(heap, (int(degree[lowered]), lowered))
    return chosen


def _swap(head: Int64Array, starts: Int64Array, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
    """Swaps chosen rows for two rows each that only they keep out, in place; whether any was swapped."""
    swapped = False
    tightness = np.array(
        np.add.reduceat(np.append(chosen[head], 0), np.minimum(starts[:-1], len(head))), dtype=np.int64
    )
    tightness[np.diff(starts) == 0] = 0
    for row in np.flatnonzero(chosen).tolist():
        near = head[starts[row] : starts[row + 1]]
        loose = near[tightness[near] == 1]
        pair = _apart(head, starts, loose) if len(loose) > 1 else None
        if pair is None:
            continue
        chosen[row] = False
        np.subtract.at(tightness, near, 1)
        for new in pair:
            chosen[new] = True
            np.add.at(tightness, head[starts[new] : starts[new + 1]], 1)
        swapped = True
    return swapped


def _apart(head: Int64Array, starts: Int64Array, loose: Int64Array) -> tuple[int, int] | None:
    """Two of some rows that are not near each other, or None."""
    for place, row in enumerate(loose[:-1].tolist()):
        others = loose[place + 1 :]
        free = others[~np.isin(others, head[starts[row] : starts[row + 1]])]
        if len(free):
            return row, int(free[0])
    return None
