"""A pool and what was asked of it, ready to pick from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evenly.controls.choice import Choice
from evenly.controls.toward import Reach
from evenly.engine.constraints import Constraints
from evenly.engine.mixture import Mixture
from evenly.engine.points import Points
from evenly.engine.quotas import Quotas
from evenly.errors import InputError
from evenly.opened import OpenedPool
from evenly.types import BoolArray, Float64Array, Int64Array


@dataclass(eq=False)
class Prepared:
    """A pool of N rows, to which each control adds its part in turn.

    Attributes:
        pool: the pool.
        choice: what was asked for.
        given: (m,) int64 rows that are kept first, in this order.
        count: picks at most, the given rows among them.
        excluded: rows that may not be picked, each with the first reason and what was found.
        anchors: rows that count as kept before the first pick.
        quality: (N,) float64 scores.
        within: distances in the same step of this width count as equal, and quality decides.
        sequence: (N,) int64 places in the order in which rows are picked whatever their distances.
        weights: (N,) float64 above 0, by which distances are multiplied.
        groups: names of the groups that rows fall into, and (N,) the group of every row.
        quotas: bounds on the picks of each group.
        mixture: parts that take turns.
        least_distance: a pick lies at least this far from every earlier one and every anchor.
        costs: (N,) int64 of every row, which the budget bounds.
        reach: what the examples of a task took.
        facts: what was found on the way, for measures.json.
        reused: picks that an earlier run had made.
    """

    pool: OpenedPool
    choice: Choice
    given: Int64Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    count: int = 0
    excluded: dict[int, tuple[str, str]] = field(default_factory=dict)
    anchors: Points | None = None
    quality: Float64Array | None = None
    within: float = 0.0
    sequence: Int64Array | None = None
    weights: Float64Array | None = None
    groups: tuple[tuple[str, ...], Int64Array] | None = None
    quotas: Quotas | None = None
    mixture: Mixture | None = None
    least_distance: float = 0.0
    costs: Int64Array | None = None
    reach: Reach | None = None
    facts: dict[str, object] = field(default_factory=dict)
    reused: int = 0

    def exclude(self, rows: Int64Array, reason: str, details: list[str]) -> None:
        """Rows that may not be picked, and what was found of each; the first reason that a row is given stays."""
        for row, detail in zip(rows.tolist(), details, strict=True):
            self.excluded.setdefault(row, (reason, detail))

    def eligible(self) -> BoolArray:
        """(N,) rows that may be picked."""
        left = np.ones(len(self.pool), dtype=bool)
        left[list(self.excluded)] = False
        return left

    def distinct(self) -> Int64Array:
        """Ascending rows that may be picked; of equal ones the lowest."""
        rows = np.flatnonzero(self.eligible())
        _, first = np.unique(self.pool.points.first_equal[rows], return_index=True)
        return np.sort(rows[first])

    def weigh(self, weights: Float64Array) -> None:
        """Multiplies distances by (N,) weights, beside those that were there."""
        self.weights = weights if self.weights is None else self.weights * weights

    def keep_apart(self, distance: float) -> None:
        """Picks lie at least so far apart; the largest distance counts."""
        self.least_distance = max(self.least_distance, distance)

    @property
    def shared(self) -> int | None:
        """Picks that quotas share out; None where they say themselves how many."""
        return self.count - len(self.given) if "keep" in self.choice.options else None

    def excluded_counts(self) -> dict[str, int]:
        """Excluded rows by reason."""
        names = [reason for reason, _ in self.excluded.values()]
        return {name: names.count(name) for name in dict.fromkeys(names)}

    def constraints(self) -> Constraints:
        """What the loop takes."""
        return Constraints(
            eligible=self.eligible() if self.excluded else None,
            anchors=self.anchors,
            given=self.given,
            weights=self.weights,
            quality=self.quality,
            within=self.within,
            sequence=self.sequence,
            quotas=self.quotas,
            mixture=self.mixture,
            least_distance=self.least_distance,
            costs=self.costs,
            budget=self.choice.budget.amount if self.choice.budget.has_costs else float("inf"),
        )


def prepare(choice: Choice, pool: OpenedPool, given: Int64Array | None = None) -> Prepared:
    """Lets every control do to a pool what it was asked for.

    Args:
        choice: passed its check.
        pool: the pool.
        given: rows kept first, of a selection that is extended.

    Raises:
        InputError: an unknown field, a score that is no number, controls that leave nothing, a quota that cannot be
            met, other vectors of another dimension.
    """
    count = min(choice.budget.count(len(pool)), len(pool))
    prepared = Prepared(pool, choice, count=count)
    if given is not None:
        prepared.given = given
    for control in choice.controls:
        control.exclude(prepared)
    if len(prepared.excluded) == len(pool):
        told = ", ".join(f"{name} {rows:,}" for name, rows in prepared.excluded_counts().items())
        raise InputError(f"every row was excluded ({told}); loosen one of these controls")
    if len(prepared.given) > count:
        raise InputError(
            f"{len(prepared.given)} rows must be kept and `keep` {choice.budget.text} gives {count}; raise it"
        )
    for control in choice.controls:
        control.constrain(prepared)
    return prepared
