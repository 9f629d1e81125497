"""``quota`` and ``at_least``: how many rows each group of a field gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenly.checks import check_int
from evenly.controls.control import GROUPS, Control, refuse
from evenly.engine.quotas import Quotas, proportional
from evenly.errors import InputError
from evenly.request import option
from evenly.types import BoolArray, Int64Array

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Quota(Control):
    """An exact number from each group, or a least one."""

    group = GROUPS
    bounding = ("quota",)
    restricting = sized = ("quota", "at_least")
    reordering = ("quota", "at_least")

    by: str | None = option(
        None,
        "Field that names each row's group. Alone it only says how much is kept of each.",
        label="Groups by",
    )
    quota: str | None = option(
        None,
        "Rows from each group: equal, proportional, a number for each, or JSON by group (a file, or itself).",
        label="Quota",
    )
    at_least: int = option(0, "At least this many rows from each group.", label="At least, from each group")

    def check(self, choice: Choice) -> None:
        check_int(self.at_least, "`at_least`", at_least=0)
        refuse(not self.by, "`quota` and `at_least` need `by`, the field of the groups")
        refuse(self.quota and choice.budget.unit != "rows", no_count(choice))

    def fields(self) -> tuple[str, ...]:
        return (str(self.by),)

    def constrain(self, prepared: Prepared) -> None:
        prepared.groups = names, group = group_rows(prepared.pool.rows.field(str(self.by)))
        if not (self.quota or self.at_least):
            return
        named = self.quota and (self.quota.endswith(".json") or self.quota.startswith("{"))
        quota = _quota_by_group(str(self.quota)) if named else self.quota
        prepared.quotas = quotas_for(
            names,
            group,
            prepared.eligible(),
            count=prepared.shared,
            quota=quota,
            at_least=self.at_least,
        )
        if self.quota:
            prepared.count = prepared.quotas.total + len(prepared.given)


def no_count(choice: Choice) -> str:
    """Why quotas do not go with a budget."""
    return f"quotas share out a number of rows, and `keep` {choice.budget.text} names none; give it a count or share"


def group_rows(values: Sequence[object]) -> tuple[tuple[str, ...], Int64Array]:
    """Names of the groups in order of appearance, and the group of every row; a missing value is a group too."""
    numbers: dict[str, int] = {}
    group = np.array(
        [numbers.setdefault("(none)" if value is None else str(value), len(numbers)) for value in values],
        dtype=np.int64,
    )
    return tuple(numbers), group


def names_of(value: object) -> tuple[str, ...]:
    """What a value is called where it is named as text: truth values as JSON writes them, whole numbers without a
    point, too (a column of whole numbers with gaps holds 3.0 where 3 is meant)."""
    if isinstance(value, bool):
        return (str(value), str(value).lower())
    if isinstance(value, float) and value.is_integer():
        return (str(value), str(int(value)))
    return (str(value),)


def quotas_for(
    names: tuple[str, ...],
    group: Int64Array,
    eligible: BoolArray,
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
    at_least = check_int(at_least, "`at_least`", at_least=0)
    if quota is None:
        least, most = np.full(len(names), at_least), sizes
    else:
        least = _exact(names, sizes, count, quota)
        if at_least and (least < at_least).any():
            small = int(np.argmax(least < at_least))
            raise InputError(
                f"the quota of group {names[small]!r} is {least[small]}, below `at_least` {at_least}; "
                "lower it, keep more, or leave `quota` out"
            )
        most = least
    _check_sizes(names, sizes, least)
    if count is not None and int(least.sum()) > count:
        raise InputError(
            f"{len(names)} groups with at least {at_least} each need {int(least.sum())} rows; `keep` gives {count}"
        )
    return Quotas(names, group, least.astype(np.int64), most.astype(np.int64))


def _exact(
    names: tuple[str, ...], sizes: Int64Array, count: int | None, quota: str | Mapping[str, int]
) -> Int64Array:
    if isinstance(quota, Mapping):
        truths = {"true": "True", "false": "False"}
        quota = {
            truths[name] if name not in names and truths.get(name) in names else name: rows
            for name, rows in quota.items()
        }
        unknown = [name for name in quota if name not in names]
        if unknown:
            raise InputError(
                f"the quota file names {unknown[0]!r}, which no row has; the groups are {_some(names)}"
            )
        exact = np.array([quota.get(name, 0) for name in names], dtype=np.int64)
    elif quota.isdigit() and int(quota) > 0:
        exact = np.full(len(names), int(quota), dtype=np.int64)
    else:
        if quota not in ("equal", "proportional"):
            raise InputError(
                f"`quota` {quota!r} is not known; use equal, proportional, a number for each group, "
                "or a JSON file of numbers by group"
            )
        if count is None:
            raise InputError(f"`quota` {quota} shares out what `keep` says; add it")
        if quota == "equal":
            exact = count // len(names) + (np.arange(len(names)) < count % len(names))
        else:
            exact = proportional(sizes, count)
        return np.asarray(exact, dtype=np.int64)
    if count is not None and int(exact.sum()) != count:
        raise InputError(
            f"the quotas add up to {int(exact.sum())} rows and `keep` says {count}; leave one out"
        )
    if not exact.any():
        raise InputError("the quotas leave no row; ask for at least one")
    return exact


def _check_sizes(names: tuple[str, ...], sizes: Int64Array, least: Int64Array) -> None:
    short = np.flatnonzero(least > sizes)
    if len(short):
        lines = [f"{names[one]!r} has {sizes[one]} of {least[one]}" for one in short.tolist()]
        raise InputError(
            f"too few rows for the quota in {len(short)} of {len(names)} groups: {_some(lines)}; "
            "lower the quota or use `quota=proportional`"
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _quota_by_group(given: str) -> dict[str, int]:
    """The object that a JSON file holds, or that is given itself."""
    inside = given.startswith("{")
    name = "`quota`" if inside else f"the quota file {given}"
    try:
        quota = json.loads(given if inside else Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {error}") from None
    whole = isinstance(quota, dict) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in quota.values()
    )
    if not whole:
        raise InputError(f'{name} must hold one JSON object of whole numbers by group, e.g. {{"en": 500}}')
    return {str(group): value for group, value in quota.items()}
