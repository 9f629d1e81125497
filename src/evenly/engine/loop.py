"""The greedy max-min order by rounds, written once for every pool.

Textbook greedy passes over the pool once per pick. The same order comes from rounds: the pool hands over its B
farthest rows and the best of the rest; greedy runs among those B alone; every pick that is still ahead of the best
of the rest is a true pick, because distances only fall; the pool is told the picks of the round. Gonzalez (1985)
is the greedy order; the rounds are ours.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import default_blocks
from evenly.engine.compiled import LOOPS, Loops
from evenly.engine.distance import mean_from_block_sums, squared_distances
from evenly.engine.filter import (
    Codes,
    FilterMap,
    PickSide,
    fit_map,
    largest_coordinate,
    passing_pairs,
    product_dtype,
)
from evenly.engine.pool import Candidates, Pool
from evenly.types import BoolArray, Float64Array, Int64Array

FIRST_CANDIDATES = 64
"""Few, for at first nearly all candidates are near one another; each round that wastes no distances asks for four
times as many."""

LEAST_AT_MOST = 512
"""Even small pools are asked for so many: a round costs one pass over the pool however many picks it makes."""

MOST_AT_MOST = 8192
"""The candidates' own pairs grow as the square: 64 million products for so many, a small part of a round of a large
pool."""

ROWS_PER_CANDIDATE = 24
"""A round asks for at most a 24th of the pool: among more candidates, their own pairs cost more than they save."""
CANDIDATES_PER_BLOCK = 512
"""Rows of a block of the candidates' own pairs: small, so that all cores share even a short round."""
EDGES_PER_CANDIDATE = 24
"""A round with more close pairs among its candidates than this wastes exact distances: ask for fewer next time."""


@dataclass
class Order:
    """Picks so far: all the state a run has.

    Attributes:
        rows: row numbers in order of picking.
        squared_radii: squared distance of each to the nearest earlier pick or anchor; infinite for a first pick.
    """

    rows: list[int]
    squared_radii: list[float]

    def __len__(self) -> int:
        return len(self.rows)


def central_row(pool: Pool, among: BoolArray | None = None) -> int:
    """The row nearest the mean of the pool, the start unless the user names one; of some rows, (N,) bool, alone."""
    return pool.nearest(mean_from_block_sums(pool.block_sums(), pool.count), among)[1]


class Rule:
    """Which row comes first: the farthest. Constraints change it, see `evenly.engine.constraints`.

    Rounds are valid for every rule under which a row never gains: its priority does not rise as its distance
    falls, and what is closed stays closed.
    """

    distance_decides = True
    """Whether the farthest row comes first and is always taken."""

    spent_up = False
    """Whether the budget took no more."""

    part: Int64Array | None = None
    """(N,) int64, the part of the pool that each row is of, where parts take turns; see `turn`."""

    @property
    def turn(self) -> int:
        """The part that gives the next pick."""
        return 0

    def best(self, pool: Pool, count: int) -> Candidates:
        """About ``count`` open rows of highest priority, farthest first; their ``rest`` is by priority."""
        return pool.farthest(count)

    def priority(self, squared_distance: float, row: int) -> float:
        """Of a row at a squared distance: the largest comes first, the lowest row number among equals.

        Negative infinity for a row that is closed: a copy of a pick.
        """
        return squared_distance if squared_distance > 0 else -math.inf

    def open_rows(self) -> BoolArray | None:
        """(N,) bool, rows that may be picked now, whatever their distance; None for all."""
        return None

    def is_open(self, row: int) -> bool:
        """Whether `open_rows` holds a row."""
        return True

    def take(self, row: int) -> bool:
        """Whether the row that comes first is picked. Where it is not, the order ends."""
        return self.spend(row)

    def spend(self, row: int) -> bool:
        """Whether the budget takes one more row; the first that it does not take ends the order."""
        return True

    def check_met(self) -> None:
        """Raises InputError where the order that has ended lacks what it must hold."""


def extend_order(
    pool: Pool,
    order: Order,
    count: int,
    *,
    rule: Rule | None = None,
    after_round: Callable[[Order], None] = lambda order: None,
) -> None:
    """Goes on picking until the order has ``count`` picks, no row is open, or the rule ends it.

    Args:
        pool: has been covered with the picks of ``order`` (and with the anchors, if any).
        order: at least a start, unless there are anchors; extended in place.
        count: picks wanted in all.
        rule: says which row comes first; None for the farthest.
        after_round: called with the order after each round, to save it or show progress.

    Cost: one product of the pool with the picks, plus tens of passes over the distances.
    """
    rule = rule or Rule()
    wanted = FIRST_CANDIDATES
    most_wanted = min(max(pool.count // ROWS_PER_CANDIDATE, LEAST_AT_MOST), MOST_AT_MOST)
    most_wanted -= most_wanted % CANDIDATES_PER_BLOCK  # blocks of one shape: see `even_chunk`
    while len(order) < count:
        candidates = rule.best(pool, wanted)
        if not len(candidates.rows):
            return
        picks, squared_radii, edges = greedy_round(candidates, count - len(order), rule)
        if not len(picks):
            return
        rows = candidates.rows[picks]
        order.rows.extend(rows.tolist())
        order.squared_radii.extend(squared_radii)
        pool.cover(candidates.vectors.index_select(0, torch.from_numpy(picks)), rows)
        after_round(order)
        if edges <= EDGES_PER_CANDIDATE * wanted:
            wanted = min(4 * wanted, most_wanted)
        else:
            wanted = max(wanted // 2, FIRST_CANDIDATES)


def greedy_round(candidates: Candidates, most: int, rule: Rule) -> tuple[Int64Array, list[float], int]:
    """Greedy among the candidates, as far as no row outside can come first.

    Returns:
        Indices into the candidates in order of picking, their squared radii, and the number of close pairs.
    """
    neighbours = close_neighbours(candidates)
    loops = LOOPS.for_pairs(0)
    if rule.part is not None:
        picks, squared_radii = _picked_in_turns(rule, rule.part, candidates, neighbours, most)
    elif loops is not None and rule.distance_decides:
        picks, squared_radii = _picked_by_distance(loops, candidates, neighbours, most)
    else:
        picks, squared_radii = _picked_by_rule(rule, candidates, neighbours, most)
    return picks, squared_radii, neighbours.count


def _picked_by_distance(
    loops: Loops, candidates: Candidates, neighbours: CloseNeighbours, most: int
) -> tuple[Int64Array, list[float]]:
    """`_picked_by_rule` in a compiled loop, for the rule that distance decides."""
    room = min(most, len(candidates.rows))
    picks, squared_radii = np.empty(room, dtype=np.int64), np.empty(room)
    count = loops.pick_farthest(
        candidates.squared_distances,
        candidates.rows,
        (neighbours.starts, neighbours.others, neighbours.squared_distances),
        *(candidates.rest or (-1.0, -1)),
        picks,
        squared_radii,
    )
    return picks[:count], squared_radii[:count].tolist()


def _picked_by_rule(
    rule: Rule, candidates: Candidates, neighbours: CloseNeighbours, most: int
) -> tuple[Int64Array, list[float]]:
    """Indices of the picks and their squared radii.

    Every candidate is ahead of the rest until it is lowered, and one that then falls behind is not pushed again.
    """
    squared = candidates.squared_distances.tolist()
    rows = candidates.rows.tolist()
    rest = (-candidates.rest[0], candidates.rest[1]) if candidates.rest else (math.inf, -1)
    priority, take = rule.priority, rule.take
    waiting = [
        (-priority(distance, row), row, index)
        for index, (distance, row) in enumerate(zip(squared, rows, strict=True))
    ]
    waiting.sort(reverse=True)
    lowered: list[tuple[float, int, int]] = []  # a heap: few of those that wait are lowered before their turn
    picks: list[int] = []
    squared_radii: list[float] = []
    while (waiting or lowered) and len(picks) < most:
        if not lowered or (waiting and waiting[-1] < lowered[0]):
            negative, row, index = waiting.pop()
        else:
            negative, row, index = heapq.heappop(lowered)
        distance = squared[index]
        if -negative != priority(distance, row):
            continue  # lowered or closed since it was pushed
        if not take(row):
            break
        picks.append(index)
        squared_radii.append(distance)
        squared[index] = 0.0
        for other, distance in neighbours.of(index):
            if distance < squared[other]:
                squared[other] = distance
                entry = (-priority(distance, rows[other]), rows[other], other)
                if entry < rest:
                    heapq.heappush(lowered, entry)
    return np.asarray(picks, dtype=np.int64), squared_radii


def _picked_in_turns(
    rule: Rule, part: Int64Array, candidates: Candidates, neighbours: CloseNeighbours, most: int
) -> tuple[Int64Array, list[float]]:
    """`_picked_by_rule` where parts take turns: the round ends where a row of the part that is next, and is no
    candidate, may come first."""
    squared = candidates.squared_distances.tolist()
    rows = candidates.rows.tolist()
    priority, parts = rule.priority, part[candidates.rows].tolist()
    rest_of = {one: (-rest[0], rest[1]) for one, rest in (candidates.rest_of or {}).items()}
    waiting: dict[int, list[tuple[float, int, int]]] = {}
    for index, (distance, row) in enumerate(zip(squared, rows, strict=True)):
        waiting.setdefault(parts[index], []).append((-priority(distance, row), row, index))
    for heap in waiting.values():
        heapq.heapify(heap)
    picks: list[int] = []
    squared_radii: list[float] = []
    while len(picks) < most:
        heap = waiting.get(rule.turn, [])
        while heap and -heap[0][0] != priority(squared[heap[0][2]], heap[0][1]):
            heapq.heappop(heap)  # lowered or closed since it was pushed
        if not heap or heap[0] > rest_of.get(rule.turn, (math.inf, -1)):
            break
        _, row, index = heapq.heappop(heap)
        if not rule.take(row):
            break
        picks.append(index)
        squared_radii.append(squared[index])
        squared[index] = 0.0
        for other, distance in neighbours.of(index):
            if distance < squared[other]:
                squared[other] = distance
                heapq.heappush(waiting[parts[other]], (-priority(distance, rows[other]), rows[other], other))
    return np.asarray(picks, dtype=np.int64), squared_radii


@dataclass(frozen=True)
class CloseNeighbours:
    """For each candidate, the others that lie nearer to it than the largest distance to the picks so far."""

    starts: Int64Array
    others: Int64Array
    squared_distances: Float64Array

    @property
    def count(self) -> int:
        return len(self.others) // 2

    def of(self, index: int) -> Iterable[tuple[int, float]]:
        """Each neighbour of a candidate and its squared distance."""
        start, stop = self.starts[index], self.starts[index + 1]
        if start == stop:
            return ()
        return zip(self.others[start:stop].tolist(), self.squared_distances[start:stop].tolist(), strict=True)


def close_neighbours(candidates: Candidates) -> CloseNeighbours:
    """Exact distances of all candidate pairs that could lower one another."""
    size = len(candidates.rows)
    first, second, squared = close_pairs(candidates)
    tail = np.concatenate([first, second])
    # As the narrowest integers that hold them, for those numpy sorts by their digits.
    order = np.argsort(tail.astype(np.min_scalar_type(size)), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=size))])
    others, both = np.concatenate([second, first])[order], np.concatenate([squared, squared])[order]
    return CloseNeighbours(starts, others, both)


def close_pairs(candidates: Candidates) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Pairs i < j of candidates nearer to each other than i is to the picks so far, found through the filter.

    Candidates come farthest first, so no other pair can lower either of its rows.

    Returns:
        i and j, (M,) int64 each, and the squared distances, (M,) float64; a few pairs may be farther.
    """
    vectors = candidates.vectors
    mapping, codes = candidates.codes or _codes_of(vectors)
    blocks = default_blocks(codes.device)
    if codes.device.type == "cpu":
        blocks = replace(blocks, rows=CANDIDATES_PER_BLOCK)
    side = PickSide.of(codes, mapping.columns)
    reach = torch.from_numpy(candidates.squared_distances).sqrt() * mapping.scale
    side.set_thresholds(codes, reach.to(codes.device))

    def work(block: slice) -> tuple[Tensor, Tensor, Tensor]:
        product = blocks.product(codes.rows[block], side.matrix[:, block.start :])
        pairs = passing_pairs(product, above_diagonal=True)  # both count from the block's first row
        first, second = (each.to(vectors.device) for each in pairs)
        first += block.start
        second += block.start
        return first, second, squared_distances(vectors, first, vectors, second)

    first, second, squared = (
        torch.cat(each).numpy() for each in zip(*blocks.over(len(vectors), work), strict=True)
    )
    return first, second, squared


def _codes_of(vectors: Tensor) -> tuple[FilterMap, Codes]:
    """A map for some vectors and their codes."""
    dtype = product_dtype(vectors.device, vectors.shape[1])
    mapping = fit_map(vectors[:64], largest_coordinate(vectors), dtype=dtype)
    return mapping, mapping.encode(vectors, default_blocks(vectors.device))


def order_arrays(order: Order) -> tuple[Int64Array, Float64Array]:
    """The order as arrays: (k,) int64 rows and (k,) float64 squared radii."""
    return np.asarray(order.rows, dtype=np.int64), np.asarray(order.squared_radii, dtype=np.float64)
