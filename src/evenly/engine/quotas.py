"""How many rows each group gives: exact quotas, or a least number from each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenly.checks import check_int
from evenly.errors import InputError
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


def group_rows(values: Sequence[object]) -> tuple[tuple[str, ...], Int64Array]:
    """Names of the groups in order of appearance, and the group of every row; a missing value is a group too."""
    numbers: dict[str, int] = {}
    group = np.array(
        [numbers.setdefault("(none)" if value is None else str(value), len(numbers)) for value in values],
        dtype=np.int64,
    )
    return tuple(numbers), group


def quotas_for(
    names: tuple[str, ...],
    group: Int64Array,
    eligible: np.ndarray[tuple[int], np.dtype[np.bool_]],
    *,
    count: int | None,
    quota: str | Mapping[str, int] | None,
    at_least: int = 0,
) -> Quotas:
    """Turns what was asked for into bounds.

    Args:
        names: of the groups.
        group: (N,) group of every row.
        eligible: (N,) rows that may be picked.
        count: picks in all; None where the quotas say it themselves.
        quota: ``equal`` (as many from each; the first groups give one more where it does not divide),
            ``proportional`` (by eligible rows, largest remainders first), a number (that many from each), a
            mapping from names to numbers, or None for no quota but ``at_least``.
        at_least: picks that each group gives at least.

    Raises:
        InputError: a group has fewer eligible rows than its quota (names all such groups and the shortfall),
            a name that is no group, or bounds that do not fit the count.
    """
    sizes = np.bincount(group[eligible], minlength=len(names))
    at_least = check_int(at_least, "--at-least", at_least=0)
    if quota is None:
        least, most = np.full(len(names), at_least), sizes
    else:
        least = _exact(names, sizes, count, quota)
        if at_least and (least < at_least).any():
            small = int(np.argmax(least < at_least))
            raise InputError(
                f"the quota of group {names[small]!r} is {least[small]}, below --at-least {at_least}; "
                "lower it, keep more, or leave --quota out"
            )
        most = least
    _check_sizes(names, sizes, least)
    if count is not None and int(least.sum()) > count:
        raise InputError(
            f"{len(names)} groups with at least {at_least} each need {int(least.sum())} rows; --keep gives {count}"
        )
    return Quotas(names, group, least.astype(np.int64), most.astype(np.int64))


def _exact(
    names: tuple[str, ...], sizes: Int64Array, count: int | None, quota: str | Mapping[str, int]
) -> Int64Array:
    if isinstance(quota, Mapping):
        unknown = [name for name in quota if name not in names]
        if unknown:
            raise InputError(
                f"the quota file names {unknown[0]!r}, which no row has; the groups are {_some(names)}"
            )
        exact = np.array([quota.get(name, 0) for name in names], dtype=np.int64)
    elif quota.isdigit() and int(quota) > 0:
        exact = np.full(len(names), int(quota), dtype=np.int64)
    else:
        if count is None:
            raise InputError(f"--quota {quota} shares out what --keep says; add --keep")
        if quota == "equal":
            exact = count // len(names) + (np.arange(len(names)) < count % len(names))
        elif quota == "proportional":
            exact = proportional(sizes, count)
        else:
            raise InputError(
                f"--quota {quota!r} is not known; use equal, proportional, a number for each group, "
                "or a JSON file of numbers by group"
            )
        return np.asarray(exact, dtype=np.int64)
    if count is not None and int(exact.sum()) != count:
        raise InputError(
            f"the quotas add up to {int(exact.sum())} rows and --keep says {count}; leave one out"
        )
    if not exact.any():
        raise InputError("the quotas leave no row; ask for at least one")
    return exact


def proportional(sizes: Int64Array, count: int) -> Int64Array:
    """Shares out ``count`` by size, the largest remainders first (Hamilton); no group gets more than it has."""
    total = int(sizes.sum())
    whole, remainder = np.divmod(sizes.astype(np.int64) * count, max(total, 1))
    first = np.lexsort((np.arange(len(sizes)), -remainder))[: count - int(whole.sum())]
    whole[first] += 1
    return np.asarray(whole, dtype=np.int64)


def _check_sizes(names: tuple[str, ...], sizes: Int64Array, least: Int64Array) -> None:
    short = np.flatnonzero(least > sizes)
    if len(short):
        lines = [f"{names[one]!r} has {sizes[one]} of {least[one]}" for one in short.tolist()]
        raise InputError(
            f"too few rows for the quota in {len(short)} of {len(names)} groups: {_some(lines)}; "
            "lower the quota or use --quota proportional"
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
