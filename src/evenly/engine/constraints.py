"""The greedy order under constraints: anchors, excluded rows, quotas, budgets, weights and tie-breaks.

Anchors and given rows are covered before the first pick and need no rule. The other constraints are one for the
rounds of `evenly.engine.loop`, which stay valid because none lets a row gain: distances only fall, priorities
never rise with a falling distance, and groups that close stay closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evenly.engine.loop import Rule
from evenly.engine.mixture import Mixture
from evenly.engine.points import Points
from evenly.engine.pool import Candidates, Pool, largest
from evenly.engine.quotas import OpenGroups, Quotas
from evenly.errors import InputError
from evenly.types import BoolArray, Float64Array, Int64Array, Metric, metric_distance


@dataclass(frozen=True, eq=False)
class Constraints:
    """What changes the order of a pool of N rows. The defaults give the plain greedy max-min order.

    Attributes:
        eligible: (N,) bool, rows that may be picked; None for all. The others still have keepers.
        anchors: A rows that count as kept before the first pick; None for none.
        given: (m,) int64 rows that are kept first, in this order, whatever their distances.
        weights: (N,) float64 above 0: the pick has the largest weight times distance. None for distance alone.
        quality: (N,) float64: with ``within``, breaks ties.
        within: distances in the same step of this width count as equal, and quality decides; 0 for no steps.
        sequence: (N,) int64 places: rows are picked in this order, whatever their distances, and only copies and rows
            nearer than the least distance are passed over. None where distances decide.
        quotas: bounds on the picks of each group; given rows count against none.
        mixture: parts that take turns; given rows count for none.
        least_distance: a pick lies at least this far from every earlier one and every anchor.
        costs: (N,) int64 of every row.
        budget: the order stops before the pick with which the costs would exceed it.
    """

    eligible: BoolArray | None = None
    anchors: Points | None = None
    given: Int64Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Float64Array | None = None
    quality: Float64Array | None = None
    within: float = 0.0
    sequence: Int64Array | None = None
    quotas: Quotas | None = None
    mixture: Mixture | None = None
    least_distance: float = 0.0
    costs: Int64Array | None = None
    budget: float = np.inf

    def rule(self, rows: int, count: int, metric: Metric) -> Rule:
        """What decides over ``count`` picks from a pool of ``rows``: the plain rule where that is the same."""
        steps = self.within > 0 and self.quality is not None
        changed = steps or self.least_distance > 0 or self.costs is not None
        if self.mixture is not None:
            return MixedRule(self, self.mixture, rows, count, metric)
        deciding = (self.eligible, self.weights, self.sequence, self.quotas)
        if changed or any(part is not None for part in deciding):
            return ConstrainedRule(self, rows, count, metric)
        return Rule()


class ConstrainedRule(Rule):
    """The rule of an order in the making.

    Args:
        constraints: see there.
        rows: N.
        count: picks asked for, the given ones among them.
        metric: of all distances.
    """

    distance_decides = False

    def __init__(self, constraints: Constraints, rows: int, count: int, metric: Metric) -> None:
        self._constraints, self._metric = constraints, metric
        self._eligible = np.ones(rows, dtype=bool) if constraints.eligible is None else constraints.eligible
        self._groups = (
            OpenGroups(constraints.quotas, count - len(constraints.given)) if constraints.quotas else None
        )
        self._priority = priority_of(constraints, metric)
        self._spent = 0.0

    def best(self, pool: Pool, count: int) -> Candidates:
        _, squared = pool.cover_result()
        far = (squared > 0) & (metric_distance(squared, self._metric) >= self._constraints.least_distance)
        possible = np.flatnonzero(self.open_rows() & far)
        priority = self._priority(squared[possible], possible)
        top = largest(priority, count + 1)
        rest = (float(priority[top[count]]), int(possible[top[count]])) if len(top) > count else None
        chosen = possible[top[:count]]
        chosen = chosen[np.lexsort((chosen, -squared[chosen]))]
        return Candidates(chosen, squared[chosen], pool.take(chosen), rest)

    def priority(self, squared_distance: float, row: int) -> float:
        constraints = self._constraints
        near = constraints.least_distance > 0 and (
            metric_distance(np.asarray(squared_distance), self._metric) < constraints.least_distance
        )
        if squared_distance <= 0 or near or not self.is_open(row):
            return -math.inf
        return float(self._priority(squared_distance, row))

    def take(self, row: int) -> bool:
        if not self.spend(row):
            return False
        if self._groups and self._constraints.quotas:
            self._groups.take(int(self._constraints.quotas.group[row]))
        return True

    def open_rows(self) -> BoolArray:
        if self._groups and self._constraints.quotas:
            return np.asarray(self._eligible & self._groups.open[self._constraints.quotas.group])
        return self._eligible

    def is_open(self, row: int) -> bool:
        quotas = self._constraints.quotas
        group_open = self._groups is None or quotas is None or self._groups.open[quotas.group[row]]
        return bool(group_open and self._eligible[row])

    def spend(self, row: int) -> bool:
        cost = 0.0 if self._constraints.costs is None else float(self._constraints.costs[row])
        self.spent_up = self.spent_up or self._spent + cost > self._constraints.budget
        if not self.spent_up:
            self._spent += cost
        return not self.spent_up

    def check_met(self) -> None:
        """Raises InputError where a group could not give what it must: its distinct rows ran out."""
        quotas, groups = self._constraints.quotas, self._groups
        if quotas is None or groups is None or not groups.missing.any():
            return
        short = int(np.argmax(groups.missing > 0))
        raise InputError(
            f"group {quotas.names[short]!r} lacks {groups.missing[short]} rows of its quota of "
            f"{quotas.least[short]}: its other rows are copies of kept rows or too near to them; lower the quota "
            "or use `allow_copies=True`"
        )


class MixedRule(ConstrainedRule):
    """The same where parts of the pool take turns.

    Rounds stay valid: within a part no row gains as picks are made, and a round knows the best of the rest of each.
    """

    def __init__(
        self, constraints: Constraints, mixture: Mixture, rows: int, count: int, metric: Metric
    ) -> None:
        super().__init__(constraints, rows, count, metric)
        self._eligible = self._eligible & (mixture.group >= 0)
        self._mixture, self._turns, self.part = mixture, mixture.turns(), mixture.group

    @property
    def turn(self) -> int:
        return self._turns.next

    def best(self, pool: Pool, count: int) -> Candidates:
        _, squared = pool.cover_result()
        far = (squared > 0) & (metric_distance(squared, self._metric) >= self._constraints.least_distance)
        possible = np.flatnonzero(self._eligible & far)
        priority, part = self._priority(squared[possible], possible), self._mixture.group[possible]
        chosen, rest_of = [], {}
        shares = self._mixture.shares
        for one, share in enumerate(shares.tolist()):
            own = np.flatnonzero(part == one)
            enough = math.ceil(count * share / int(shares.sum())) + 1
            top = own[largest(priority[own], enough + 1)]
            if len(top) > enough:
                rest_of[one] = (float(priority[top[enough]]), int(possible[top[enough]]))
            elif one == self.turn and not len(top):
                return Candidates(possible[:0], squared[:0], pool.take(possible[:0]), None)
            chosen.append(possible[top[:enough]])
        rows = np.concatenate(chosen)
        rows = rows[np.lexsort((rows, -squared[rows]))]
        return Candidates(rows, squared[rows], pool.take(rows), None, rest_of=rest_of)

    def take(self, row: int) -> bool:
        if not super().take(row):
            return False
        self._turns.take(self.turn, self._mixture.cost(row))
        return True

    def open_rows(self) -> BoolArray:
        """For the first pick: the rows of the part that is next."""
        return np.asarray(self._eligible & (self._mixture.group == self.turn))


def priority_of(constraints: Constraints, metric: Metric) -> Callable[[Any, Any], Any]:
    """The priority of rows at squared distances: larger comes first. Never rises as a distance falls.

    Takes float64 squared distances and int64 rows, arrays or single numbers, and gives as many float64.
    """
    if constraints.sequence is not None:
        early = -constraints.sequence.astype(np.float64)
        return lambda squared, rows: early[rows]
    if constraints.within > 0 and constraints.quality is not None:
        _, rank = np.unique(constraints.quality, return_inverse=True)
        place = rank / (len(rank) + 1.0)  # below 1, so that quality never outweighs a step of distance
        return lambda squared, rows: (
            np.floor(metric_distance(squared, metric) / constraints.within) + place[rows]
        )
    if constraints.weights is not None:
        squared_weights = np.square(constraints.weights)
        return lambda squared, rows: squared * squared_weights[rows]
    return lambda squared, rows: squared
