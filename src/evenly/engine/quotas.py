"""How many rows each group gives: exact quotas, or a least number from each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenly.types import Int64Array


@dataclass(frozen=True, eq=False)
class Quotas:
    """Bounds on the picks of each of G groups.

    Attributes:
        names: G group names.
        group: (N,) int64, the group of every row.
        least: (G,) int64, picks a group must give.
        most: (G,) int64, picks it may give; equal to ``least`` for exact quotas.
    """

    names: tuple[str, ...]
    group: Int64Array
    least: Int64Array
    most: Int64Array

    @property
    def total(self) -> int:
        """Picks that all groups may give together."""
        return int(self.most.sum())

    def counts(self, rows: Int64Array) -> Int64Array:
        """(G,) how many of some rows each group has."""
        return np.bincount(self.group[rows], minlength=len(self.names))

    def fewest(self, picks: Int64Array, given: int = 0) -> int:
        """How many first picks it takes until every group has given its least.

        Args:
            picks: (k,) an order that ends with all of them met.
            given: picks at the start that were given and count against no quota.
        """
        groups = self.group[picks[given:]]
        last = [np.flatnonzero(groups == one)[self.least[one] - 1] for one in np.flatnonzero(self.least)]
        return given + max(last, default=-1) + 1

    def closing_ranks(self, picks: Int64Array, count: int, given: int = 0) -> Int64Array:
        """(N,) int64: from which rank on a row could no longer be picked, as the definition reads.

        Args:
            picks: (k,) the order.
            count: picks asked for.
            given: picks at the start that were given and count against no quota.
        """
        state = OpenGroups(self, count - given)
        closed = np.full(len(self.names), np.iinfo(np.int64).max)
        for rank in range(given, len(picks) + 1):
            shut = ~state.open & (closed > rank)
            closed[shut] = rank
            if rank < len(picks):
                state.take(int(self.group[picks[rank]]))
        return closed[self.group]


class OpenGroups:
    """Which groups may give the next pick. A group that has closed stays closed.

    Args:
        quotas: the bounds.
        count: picks to be made in all.
    """

    def __init__(self, quotas: Quotas, count: int) -> None:
        self._room = quotas.most.copy()
        self._need = quotas.least.copy()
        self._left = count
        self.open = np.ones(len(quotas.names), dtype=np.bool_)
        self._update()

    @property
    def missing(self) -> Int64Array:
        """(G,) picks that each group still has to give."""
        return self._need

    def take(self, group: int) -> None:
        """A pick of a group was made."""
        self._room[group] -= 1
        self._need[group] = max(self._need[group] - 1, 0)
        self._left -= 1
        self._update()

    def _update(self) -> None:
        # What is left just suffices for the groups that still have to give: no other may take a pick.
        must = self._need.sum() >= self._left
        self.open = (self._room > 0) & ((self._need > 0) | (not must))


def proportional(sizes: Int64Array, count: int) -> Int64Array:
    """Shares out ``count`` by size, the largest remainders first (Hamilton); no group gets more than it has."""
    total = int(sizes.sum())
    whole, remainder = np.divmod(sizes.astype(np.int64) * count, max(total, 1))
    first = np.lexsort((np.arange(len(sizes)), -remainder))[: count - int(whole.sum())]
    whole[first] += 1
    return np.asarray(whole, dtype=np.int64)
