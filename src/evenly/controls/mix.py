"""``mix``: parts of the pool in fixed proportions, at every size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from math import lcm
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from evenly.controls.control import GROUPS, Control, Told, refuse
from evenly.controls.keep import token_counts
from evenly.controls.quota import group_rows
from evenly.engine.mixture import Mixture
from evenly.errors import InputError
from evenly.request import option
from evenly.types import Int64Array
from evenly.words import percent

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.measures.verify import Check
    from evenly.types import Selection

_APART = ("quota", "at_least", "match_length", "toward", "objective")
"""Options that decide themselves how much of each part is kept, or in which order rows are taken."""


@dataclass(frozen=True)
class Mix(Control):
    """Parts take turns, so that every prefix of the order keeps their shares. Rows of no part are excluded."""

    group = GROUPS
    bounding = ("mix",)
    restricting = reordering = ("mix",)
    reasons: ClassVar = {"mix": "of no part of the mix"}

    mix: str | None = option(
        None,
        "Shares of the parts, as code=30%,chat=50%,math=20%, kept at every size. Parts are the sources, or the values "
        "of `by`.",
        label="Mix",
    )
    mix_by: Literal["rows", "tokens"] = option(
        "rows",
        "What the shares of `mix` are of: rows, or tokens of the encoder or of `tokenizer`.",
        label="Mix by",
    )

    def check(self, choice: Choice) -> None:
        refuse(not self.mix, "`mix_by` needs `mix`, the shares of the parts")
        refuse(self.mix_by not in ("rows", "tokens"), f"`mix_by` is rows or tokens; got {self.mix_by!r}")
        read_shares(str(self.mix))
        for name in _APART:
            refuse(
                choice.options.get(name), f"`mix` shares out the rows, and so does `{name}`; leave one out"
            )
        refuse(
            choice.allow_copies, "`mix` keeps distinct rows, `allow_copies` keeps copies; use one of the two"
        )
        refuse(
            choice.budget.unit == "knee",
            "the knee is that of one order from far to near, which `mix` does not give; name a size",
        )

    def exclude(self, prepared: Prepared) -> None:
        shares, rows = read_shares(str(self.mix)), prepared.pool.rows
        names, group = group_rows(rows.field(str(prepared.choice.options.get("by", "source"))))
        numbers = np.full(len(names), -1)
        for number, part in enumerate(shares):
            numbers[_part_named(part, names)] = number
        part_of = numbers[group]
        strange = np.flatnonzero(part_of < 0)
        prepared.exclude(strange, "mix", [names[group[row]] for row in strange.tolist()])
        whole = lcm(*(share.denominator for share in shares.values()))
        costs = None
        if self.mix_by == "tokens":
            tokenizer = prepared.choice.options.get("tokenizer")
            costs = token_counts(rows, tokenizer, prepared.pool.request.encoder)
        weights = np.array([int(share * whole) for share in shares.values()], dtype=np.int64)
        prepared.mixture = Mixture(tuple(shares), part_of, weights, costs)

    def constrain(self, prepared: Prepared) -> None:
        """Refuses a size that a part is too small for; without one, takes as many rows as the parts allow."""
        mixture = prepared.mixture
        if mixture is None or mixture.costs is not None or prepared.choice.budget.unit != "rows":
            return
        distinct = np.setdiff1d(prepared.distinct(), prepared.given)
        sizes = np.bincount(mixture.group[distinct], minlength=len(mixture.names))
        most = mixture.most(sizes) + len(prepared.given)
        if "keep" not in prepared.choice.options:
            prepared.count = most
        elif prepared.count > most:
            raise InputError(_shortfall(mixture, sizes, prepared.count - len(prepared.given), most))

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        mixture = prepared.mixture
        if mixture is None:
            return {}
        taken = _taken(mixture, selection.rows[len(prepared.given) :])
        return {"mix": {"by": self.mix_by, "taken": dict(zip(mixture.names, taken.tolist(), strict=True))}}

    def told(self, found: Mapping[str, Any]) -> Told:
        taken = found["mix"]["taken"]
        whole = max(sum(taken.values()), 1)
        shown = ", ".join(f"{name} {percent(count / whole)} ({count:,})" for name, count in taken.items())
        return [("mix", f"{shown} of {self.mix_by}")]

    def verify(self, prepared: Prepared, selection: Selection, found: Mapping[str, Any]) -> list[Check]:
        """Every prefix keeps the shares, from the picks alone."""
        from evenly.measures.verify import Check

        mixture = prepared.mixture
        if mixture is None:
            return []
        picks = selection.rows[len(prepared.given) :]
        part, name = mixture.group[picks], "mix"
        if (part < 0).any():
            return [Check(name, False, f"row {picks[np.argmax(part < 0)] + 1} is of no part of the mix")]
        cost = np.ones(len(picks), dtype=np.int64) if mixture.costs is None else mixture.costs[picks]
        taken = np.cumsum(np.eye(len(mixture.names), dtype=np.int64)[part] * cost[:, None], axis=0)
        shares = mixture.shares / mixture.shares.sum()
        ahead = taken - taken.sum(axis=1, keepdims=True) * shares
        most = np.maximum.accumulate(cost)[:, None] * (1 + 1e-9)
        # Of tokens a part may be behind by several rows, while others that are behind as well catch up.
        wrong = ahead > most if mixture.costs is not None else np.abs(ahead) > most
        if wrong.any():
            rank, one = np.argwhere(wrong)[0].tolist()
            detail = f"after {rank + 1:,} picks {mixture.names[one]} has {taken[rank, one]:,} of {taken[rank].sum():,}"
            return [Check(name, False, f"{detail} {self.mix_by}, more than a row from its share")]
        return [Check(name, True, f"{len(mixture.names)} parts within a row of their shares in every prefix")]


def read_shares(mix: str) -> dict[str, Fraction]:
    """The share of each part, adding up to 1.

    Raises:
        InputError: not NAME=SHARE with commas between, a share that is not above 0, or another sum.
    """
    shares: dict[str, Fraction] = {}
    for text in mix.split(","):
        name, sign, amount = text.strip().rpartition("=")
        try:
            share = Fraction(amount[:-1]) / 100 if amount.endswith("%") else Fraction(amount)
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        refuse(
            not sign or not name or not 0 < share <= 1,
            f"`mix` must read NAME=SHARE with commas between, as code=30%,chat=70%; got {text.strip()!r}",
        )
        refuse(name in shares, f"`mix` names {name} twice")
        shares[name] = share
    total = sum(shares.values())
    refuse(total != 1, f"the shares of `mix` add up to {percent(float(total))}; they must be 100 %")
    return shares


def _part_named(part: str, names: tuple[str, ...]) -> int:
    """The group that a part of the mix is: by its name, or by that of its file without the ending."""
    if part in names:
        return names.index(part)
    stems = [PurePath(name).name.partition(".")[0] for name in names]
    if stems.count(part) == 1:
        return stems.index(part)
    near = get_close_matches(part, names, n=1, cutoff=0.4)
    meant = f"did you mean {near[0]}? " if near else ""
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    raise InputError(f"`mix` names {part}, which no row has; {meant}there are {shown}")


def _taken(mixture: Mixture, rows: Int64Array) -> Int64Array:
    weights = None if mixture.costs is None else mixture.costs[rows]
    return np.bincount(mixture.group[rows], weights, minlength=len(mixture.names)).astype(np.int64)


def _shortfall(mixture: Mixture, sizes: Int64Array, count: int, most: int) -> str:
    wanted = count * mixture.shares / mixture.shares.sum()
    lacking = [
        f"{name} has {size:,} of {want:,.0f} rows"
        for name, size, want in zip(mixture.names, sizes.tolist(), np.round(wanted).tolist(), strict=True)
        if size < want
    ]
    short = ", ".join(lacking)
    return (
        f"the mix cannot be kept up to {count:,} rows: {short}; `keep` at most {most:,}, or change the shares"
    )
