"""The order under constraints by its definition: one pick at a time, in numpy and plain loops.

Nothing of evenly is used; of what was asked for, the attributes alone are read.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from tests.engine.oracle import squared_distances_to


def open_groups(quotas: Any, taken: list[int], left: int) -> list[bool]:
    """Whether each group may give the next pick.

    It may while it has given fewer than its most, and, as soon as the picks left are just enough for what the groups
    still have to give, only while it has to give itself.

    Args:
        quotas: bounds ``least`` and ``most`` of every group.
        taken: picks of each group so far.
        left: picks still to be made.
    """
    owed = [max(int(least) - count, 0) for least, count in zip(quotas.least, taken, strict=True)]
    return [
        count < int(most) and (owes > 0 or sum(owed) < left)
        for most, count, owes in zip(quotas.most, taken, owed, strict=True)
    ]


def part_that_is_next(mixture: Any, picks: list[int]) -> int:
    """The part that gives the next pick, in fractions.

    Of rows: among the parts that would be behind their share by 1 / (2 G - 2) of a row with one pick more, the one that
    would first be behind by all that is allowed, 1 - 1 / (2 G - 2). Of tokens: the part that is farthest behind, of
    equals the one of the larger share. Then the first.
    """
    parts = range(len(mixture.shares))
    shares = [Fraction(int(share), int(sum(mixture.shares))) for share in mixture.shares]
    costs = [1 if mixture.costs is None else int(mixture.costs[row]) for row in picks]
    taken = [
        sum(cost for cost, row in zip(costs, picks, strict=True) if mixture.group[row] == part)
        for part in parts
    ]
    if mixture.costs is not None:
        return min(parts, key=lambda part: (taken[part] - shares[part] * sum(costs), -shares[part], part))
    least = Fraction(1, max(2 * len(shares) - 2, 1))
    behind = [shares[part] * (len(picks) + 1) - taken[part] for part in parts]
    due = [part for part in parts if behind[part] >= least]
    return min(due, key=lambda part: ((1 - least - behind[part]) / shares[part], part))


def order_of_preference(rows: list[int], squared: np.ndarray, asked: Any) -> list[Any]:
    """What each of the rows is compared by: the largest is picked, among equals the lowest row."""
    if asked.sequence is not None:
        return [-int(asked.sequence[row]) for row in rows]
    distances = np.sqrt(squared)
    if asked.within > 0 and asked.quality is not None:
        return [(np.floor(distances[row] / asked.within), asked.quality[row]) for row in rows]
    if asked.weights is not None:  # by the square of weight times distance, which the definition compares
        return [squared[row] * (asked.weights[row] * asked.weights[row]) for row in rows]
    return [squared[row] for row in rows]


def textbook_under(
    rows: np.ndarray, count: int, asked: Any, start: int | None, anchors: np.ndarray | None = None
) -> tuple[list[int], list[float]]:
    """Picks and their squared radii in Euclidean distance.

    Args:
        rows: (N, d) float32.
        count: picks asked for.
        asked: the constraints, by the names of their attributes; their anchors are given by ``anchors``.
        start: the first pick after the given rows, or None.
        anchors: (A, d) float32 rows that count as kept before.
    """
    squared = np.full(len(rows), np.inf)
    picks: list[int] = []
    radii: list[float] = []
    taken = [0] * len(asked.quotas.least) if asked.quotas else []

    def cover(point: np.ndarray) -> None:
        np.minimum(squared, squared_distances_to(rows, point), out=squared)

    def affords(row: int) -> bool:
        return asked.costs is None or sum(int(asked.costs[one]) for one in [*picks, row]) <= asked.budget

    def take(row: int) -> None:
        picks.append(row)
        radii.append(float(squared[row]))
        cover(rows[row])
        squared[row] = 0.0

    def may_be_picked(row: int) -> bool:
        far = squared[row] > 0 and np.sqrt(squared[row]) >= asked.least_distance
        eligible = asked.eligible is None or bool(asked.eligible[row])
        return bool(far and eligible)  # a pick is at distance 0 from itself

    for anchor in anchors if anchors is not None else []:
        cover(anchor)
    for row in asked.given.tolist():
        if affords(row):
            take(row)
    while len(picks) < count:
        if start is not None and len(picks) == len(asked.given):
            chosen = start
        else:
            possible = [row for row in range(len(rows)) if may_be_picked(row)]
            if asked.mixture is not None:
                turn = part_that_is_next(asked.mixture, picks[len(asked.given) :])
                possible = [row for row in possible if asked.mixture.group[row] == turn]
            if asked.quotas:
                may_give = open_groups(asked.quotas, taken, count - len(picks))
                possible = [row for row in possible if may_give[asked.quotas.group[row]]]
            if not possible:
                break
            preferences = order_of_preference(possible, squared, asked)
            chosen = possible[preferences.index(max(preferences))]
        if not affords(chosen):
            break
        take(chosen)
        if asked.quotas:
            taken[asked.quotas.group[chosen]] += 1
    return picks, radii
