"""The greedy order under controls: anchors, rows set aside, quotas, budgets, weights and tie-breaks.

Every control leaves the rounds of `evenly.selection.loop` valid because none lets a row gain priority: distances
only fall, priorities never rise with a falling distance, and groups that close stay closed. So the best B rows by
priority, and the best of the rest, again say which picks are true.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.checks import check_int
from evenly.errors import InputError
from evenly.selection.distance import mean_from_block_sums, squared_distances_to
from evenly.selection.greedy import Start, resolve_start
from evenly.selection.loop import (
    EDGES_PER_CANDIDATE,
    FIRST_CANDIDATES,
    Order,
    close_neighbours,
    order_arrays,
)
from evenly.selection.memory import MemoryPool
from evenly.selection.orders import PICKS_AT_ONCE, cover_in_order
from evenly.selection.pool import Candidates, Pool
from evenly.selection.quotas import OpenGroups, Quotas
from evenly.selection.saved_order import SavedOrder
from evenly.selection.tiles import steady_torch
from evenly.types import (
    Float64Array,
    Int64Array,
    Metric,
    Progress,
    Selection,
    metric_distance,
    silent,
)

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Controls:
    """What bends the order of a pool of N rows. The defaults give the plain greedy max-min order.

    Attributes:
        eligible: (N,) bool, rows that may be picked; None for all. The others still have keepers.
        anchors: (A, d) float32 rows that count as kept before the first pick, prepared as the pool's rows are.
        given: (m,) int64 rows that are kept first, in this order, whatever their distances.
        weights: (N,) float64 above 0: the pick has the largest weight times distance. None for distance alone.
        quality: (N,) float64: with ``within``, breaks ties.
        within: distances in the same step of this width count as equal, and quality decides; 0 for no steps.
        quotas: bounds on the picks of each group; given rows count against none.
        least_distance: a pick lies at least this far from every earlier one and every anchor.
        costs: (N,) int64 of every row.
        budget: the order stops before the pick with which the costs would exceed it.
    """

    eligible: BoolArray | None = None
    anchors: Tensor | None = None
    given: Int64Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Float64Array | None = None
    quality: Float64Array | None = None
    within: float = 0.0
    quotas: Quotas | None = None
    least_distance: float = 0.0
    costs: Int64Array | None = None
    budget: float = np.inf


def select_controlled(
    rows: Tensor,
    count: int,
    metric: Metric,
    controls: Controls,
    *,
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    saved: SavedOrder | None = None,
    pool: Pool | None = None,
    progress: Progress = silent,
) -> Selection:
    """The greedy order of rows from `pool_tensor` under controls.

    At every pick no open row had a larger priority (distance, weight times distance, or step of distance and then
    quality); among equals the lowest row number. Open are eligible rows of open groups that lie at least the
    least distance away, and farther than 0.

    Args:
        rows: (N, d) float32.
        count: picks asked for, the given ones among them.
        metric: of all distances.
        controls: see there.
        start: first pick where there are neither anchors nor given rows; None takes the open row nearest the
            mean of the pool.
        seed: for a random start.
        allow_copies: go on with copies in row order once no open row lies farther than 0.
        saved: picks of an earlier run with the same controls.
        pool: a new one of the same rows, wherever it holds them; None makes one in memory.
        progress: called with ("select", picks so far, picks asked for).

    Returns:
        The selection; ``radii`` are distances to the nearest earlier pick or anchor and need not fall where
        rows were given or weighted.

    Raises:
        InputError: nothing can be picked, the start may not be picked, or a quota cannot be met.
    """
    with steady_torch():
        run = _Run(rows, pool or MemoryPool(rows), count, metric, controls)
        run.begin(start, seed, saved.load() if saved else None)

        def after_round(order: Order) -> None:
            if saved:
                saved.save_now_and_then(order)
            progress("select", len(order), count)

        run.extend(after_round)
        if saved:
            saved.save(run.order)
        if allow_copies:
            run.add_copies()
        run.check_quotas()
        return run.selection()


class _Run:
    """One order in the making."""

    def __init__(self, rows: Tensor, pool: Pool, count: int, metric: Metric, controls: Controls) -> None:
        self.rows, self.pool, self.count, self.metric, self.controls = rows, pool, count, metric, controls
        self.order = Order([], [])
        self.spent = 0.0
        self.stopped = False  # by the budget
        self.eligible = np.ones(pool.count, dtype=bool) if controls.eligible is None else controls.eligible
        quotas = controls.quotas
        self.groups = OpenGroups(quotas, count - len(controls.given)) if quotas else None
        self.priority = priority_of(controls, metric)

    def begin(self, start: Start, seed: int, resumed: Order | None) -> None:
        """Covers the pool with the anchors, and makes the picks that are not a matter of distance."""
        controls = self.controls
        anchors = 0 if controls.anchors is None else len(controls.anchors)
        if controls.anchors is not None and anchors:
            self.pool.cover(controls.anchors, np.arange(anchors) + self.pool.count)
        if resumed is not None and len(resumed) >= max(len(controls.given), 1):
            self._resume(resumed)
        elif len(controls.given):
            self._take_given(controls.given)
        elif not anchors:
            first = self._first(start, seed)
            if self._admits(first):
                self._take(first, np.inf)
                self.pool.cover(self.rows[first : first + 1].cpu(), np.array([first]))

    def _resume(self, saved: Order) -> None:
        radii = metric_distance(np.asarray(saved.squared_radii), self.metric)
        for rank, (row, squared) in enumerate(zip(saved.rows, saved.squared_radii, strict=True)):
            given = rank < max(len(self.controls.given), 1)
            if len(self.order) == self.count or not self._admits(row):
                break
            if not given and radii[rank] < self.controls.least_distance:
                break
            self._take(row, squared)
        picks = np.asarray(self.order.rows, dtype=np.int64)
        self.pool.cover(self.rows[torch.from_numpy(picks)].cpu(), picks)

    def _take_given(self, given: Int64Array) -> None:
        squared_radii = cover_in_order(self.pool, self.rows, given)
        for row, squared in zip(given.tolist(), squared_radii.tolist(), strict=True):
            if not self._admits(row):
                raise InputError(
                    f"the rows that must be kept cost more than the budget of {self.controls.budget:,.0f}; "
                    "raise --keep"
                )
            self.order.rows.append(row)
            self.order.squared_radii.append(squared)
            self.spent += self._cost(row)

    def _first(self, start: Start, seed: int) -> int:
        open_rows = self._open_rows()
        if not open_rows.any():
            raise InputError("every row was set aside, so nothing can be picked; loosen a control")
        if start is None:
            mean = mean_from_block_sums(self.pool.block_sums(), self.pool.count)
            squared = squared_distances_to(self.rows, mean.to(self.rows.device)).cpu().numpy()
            return int(np.argmin(np.where(open_rows, squared, np.inf)))
        if start == "random":
            seed = check_int(seed, "seed", at_least=0)
            return int(np.flatnonzero(open_rows)[np.random.default_rng(seed).integers(open_rows.sum())])
        row = resolve_start(self.pool, start, seed)
        if not open_rows[row]:
            raise InputError(f"the start, row {row}, was set aside or is in a full group; name another row")
        return row

    def _open_rows(self) -> BoolArray:
        quotas = self.controls.quotas
        if quotas is None or self.groups is None:
            return self.eligible
        return np.asarray(self.eligible & self.groups.open[quotas.group])

    def _cost(self, row: int) -> float:
        return 0.0 if self.controls.costs is None else float(self.controls.costs[row])

    def _admits(self, row: int) -> bool:
        """Whether the budget takes one more row; the first that it does not take ends the order."""
        self.stopped = self.stopped or self.spent + self._cost(row) > self.controls.budget
        return not self.stopped

    def _take(self, row: int, squared: float) -> None:
        self.order.rows.append(row)
        self.order.squared_radii.append(squared)
        self.spent += self._cost(row)
        if self.groups is not None and self.controls.quotas is not None:
            self.groups.take(int(self.controls.quotas.group[row]))

    def extend(self, after_round: Callable[[Order], None]) -> None:
        """Picks until the count, the budget or the pool is used up."""
        wanted = FIRST_CANDIDATES
        while len(self.order) < self.count and not self.stopped:
            candidates, keys, rest = self._best(wanted)
            if not len(candidates.rows):
                return
            picks, edges = self._round(candidates, keys, rest)
            if len(picks):
                self.pool.cover(candidates.vectors[torch.from_numpy(picks)], candidates.rows[picks])
                after_round(self.order)
            if edges <= EDGES_PER_CANDIDATE * wanted:
                wanted = min(4 * wanted, PICKS_AT_ONCE)
            else:
                wanted = max(wanted // 2, FIRST_CANDIDATES)

    def _best(self, count: int) -> tuple[Candidates, Float64Array, tuple[float, int]]:
        """The open rows of highest priority, farthest first; their priorities; and the best of the rest."""
        _, squared = self.pool.cover_result()
        distance = metric_distance(squared, self.metric)
        possible = np.flatnonzero(
            self._open_rows() & (squared > 0) & (distance >= self.controls.least_distance)
        )
        keys = self.priority(squared[possible], possible)
        top = largest(keys, count + 1)
        rest = (-keys[top[count]], int(possible[top[count]])) if len(top) > count else (np.inf, -1)
        chosen = possible[top[:count]]
        farthest = np.lexsort((chosen, -squared[chosen]))
        chosen = chosen[farthest]
        vectors = self.rows[torch.from_numpy(chosen)].cpu()
        return Candidates(chosen, squared[chosen], vectors, None), keys[top[:count]][farthest], rest

    def _round(
        self, candidates: Candidates, keys: Float64Array, rest: tuple[float, int]
    ) -> tuple[Int64Array, int]:
        """Greedy among the candidates as far as no row outside can come first: indices in order, close pairs."""
        rows, squared = candidates.rows, candidates.squared_distances.copy()
        neighbours = close_neighbours(candidates)
        heap = [
            (-key, row, index)
            for index, (key, row) in enumerate(zip(keys.tolist(), rows.tolist(), strict=True))
        ]
        heapq.heapify(heap)
        current = -keys
        quotas, groups = self.controls.quotas, self.groups
        picks: list[int] = []
        while heap and len(self.order) < self.count:
            key, row, index = heapq.heappop(heap)
            if key != current[index]:
                continue  # lowered since it was pushed
            if (key, row) > rest:
                break
            if quotas is not None and groups is not None and not groups.open[quotas.group[row]]:
                continue
            if not self._admits(row):
                break
            picks.append(index)
            self._take(row, float(squared[index]))
            squared[index], current[index] = 0.0, np.inf
            others, distances = neighbours.of(index)
            near = np.asarray(others, dtype=np.int64)
            lower = np.asarray(distances, dtype=np.float64)
            nearer = lower < squared[near]
            self._lower(near[nearer], lower[nearer], rows, squared, current, heap)
        return np.asarray(picks, dtype=np.int64), neighbours.count

    def _lower(
        self,
        near: Int64Array,
        lower: Float64Array,
        rows: Int64Array,
        squared: Float64Array,
        current: Float64Array,
        heap: list[tuple[float, int, int]],
    ) -> None:
        """Takes the smaller distances of some candidates into the heap."""
        if not len(near):
            return
        squared[near] = lower
        possible = (lower > 0) & (metric_distance(lower, self.metric) >= self.controls.least_distance)
        current[near] = np.where(possible, -self.priority(lower, rows[near]), np.inf)
        for index in near[possible].tolist():
            heapq.heappush(heap, (float(current[index]), int(rows[index]), index))

    def add_copies(self) -> None:
        """Goes on in row order with rows at distance 0, as far as quotas and budget allow."""
        if self.stopped or len(self.order) >= self.count:
            return
        left = self.eligible.copy()
        left[np.asarray(self.order.rows, dtype=np.int64)] = False
        for row in np.flatnonzero(left).tolist():
            if len(self.order) == self.count:
                return
            if self._open_rows()[row]:
                if not self._admits(row):
                    return
                self._take(row, 0.0)

    def check_quotas(self) -> None:
        """Raises InputError where a group could not give what it must: its distinct rows ran out."""
        quotas, groups = self.controls.quotas, self.groups
        if quotas is None or groups is None or not groups.missing.any():
            return
        short = int(np.argmax(groups.missing > 0))
        raise InputError(
            f"group {quotas.names[short]!r} lacks {groups.missing[short]} rows of its quota of "
            f"{quotas.least[short]}: its other rows are copies of kept rows or too near to them; lower the quota "
            "or add --allow-copies"
        )

    def selection(self) -> Selection:
        if self.stopped and not self.order.rows:
            raise InputError(
                f"the first pick costs more than the budget of {self.controls.budget:,.0f}; raise --keep"
            )
        if not self.order.rows:
            raise InputError(
                "nothing was picked: every eligible row is a copy of an anchor or too near to one; loosen a control"
            )
        rows, squared_radii = order_arrays(self.order)
        keeper, squared = self.pool.cover_result()
        keeper, squared = keeper.copy(), squared.copy()
        copies = rows[squared_radii == 0]
        keeper[copies], squared[copies] = copies, 0.0
        return Selection(
            rows=rows,
            radii=metric_distance(squared_radii, self.metric),
            keeper=keeper,
            keeper_distance=metric_distance(squared, self.metric),
            metric=self.metric,
            asked=self.count,
            exhausted=len(rows) < self.count and not self.stopped,
        )


def priority_of(controls: Controls, metric: Metric) -> Callable[[Float64Array, Int64Array], Float64Array]:
    """The priority of rows at squared distances: larger comes first. Never rises as a distance falls."""
    if controls.within > 0 and controls.quality is not None:
        _, rank = np.unique(controls.quality, return_inverse=True)
        place = rank / (len(rank) + 1.0)  # below 1, so that quality never outweighs a step of distance

        def stepped(squared: Float64Array, rows: Int64Array) -> Float64Array:
            return np.asarray(np.floor(metric_distance(squared, metric) / controls.within) + place[rows])

        return stepped
    if controls.weights is not None:
        squared_weights = np.square(controls.weights)
        return lambda squared, rows: np.asarray(squared * squared_weights[rows])
    return lambda squared, rows: squared


def largest(keys: Float64Array, count: int) -> Int64Array:
    """Indices of the ``count`` largest keys, largest first, lowest index among equals (fewer where fewer are)."""
    count = min(count, len(keys))
    if not count:
        return np.empty(0, dtype=np.int64)
    least = np.partition(keys, len(keys) - count)[len(keys) - count]
    above = np.flatnonzero(keys > least)
    equal = np.flatnonzero(keys == least)[: count - len(above)]
    chosen = np.concatenate([above, equal])
    return chosen[np.lexsort((chosen, -keys[chosen]))]
