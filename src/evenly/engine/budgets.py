"""How much to keep: a count, a share, or a budget that the order is cut to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evenly.checks import check_keep, whole_number
from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array

Unit = Literal["rows", "tokens", "chars", "distance", "knee"]


@dataclass(frozen=True)
class Budget:
    """How far along the order to go.

    Attributes:
        unit: ``rows`` (count or share), ``tokens`` or ``chars`` (of the kept rows together), ``distance`` (as many
            as lie at least that far apart), or ``knee`` (where h_min(k) bends).
        text: as asked.
        amount: tokens, characters or the distance; 0 for rows and knee.
    """

    unit: Unit
    text: str
    amount: float = 0.0

    def count(self, pool_rows: int) -> int:
        """The most rows it can mean: for ``rows`` what is asked for, else all of the pool."""
        return check_keep(self.text, pool_rows) if self.unit == "rows" else pool_rows

    @property
    def has_costs(self) -> bool:
        """Whether each row has a cost of its own: tokens or characters."""
        return self.unit in ("tokens", "chars")


EVERYTHING = Budget("rows", "100%")
"""What keep is where it is left out: all that quotas, floors and near-copies leave."""


def read_budget(keep: Any) -> Budget:
    """Reads what ``keep`` says.

    Args:
        keep: "50%", 0.5, 5000, "tokens:2M", "chars:900k", "distance:0.35" or "knee".

    Raises:
        InputError: none of these. Counts and shares are checked against the pool by `Budget.count`.
    """
    text = str(keep).strip()
    unit, colon, amount = text.partition(":")
    if text == "knee":
        return Budget("knee", text)
    if not colon and any(map(str.isdigit, text)):
        return Budget("rows", text)
    if unit == "distance":
        return Budget("distance", text, _distance(amount, text))
    if unit == "tokens":
        return Budget("tokens", text, _whole(amount, text))
    if unit == "chars":
        return Budget("chars", text, _whole(amount, text))
    raise InputError(
        f"`keep` {text!r} is not known; use a share (50%), a count (5000), tokens:2M, chars:900k, distance:0.35 "
        "or knee"
    )


def _distance(amount: str, text: str) -> float:
    try:
        distance = float(amount)
    except ValueError:
        distance = math.nan
    if not (math.isfinite(distance) and distance > 0):
        raise InputError(f"`keep` {text!r} must name a distance above 0, e.g. distance:0.35")
    return distance


def _whole(amount: str, text: str) -> float:
    total = whole_number(amount)
    if total is None or total < 1:
        raise InputError(f"`keep` {text!r} must name a whole number, e.g. 2000000, 500k or 2M")
    return float(total)


def affordable(costs: Int64Array, amount: float) -> int:
    """The longest prefix that fits: (k,) costs in the order of picking to a number of picks.

    Its cost is at most the amount, and with one pick more it is above.
    """
    return int(np.searchsorted(np.cumsum(costs), amount, side="right"))


def far_enough(radii: Float64Array, distance: float) -> int:
    """The longest prefix whose picks all lie at least ``distance`` from the picks before them."""
    near = np.flatnonzero(~(radii >= distance))
    return int(near[0]) if len(near) else len(radii)
