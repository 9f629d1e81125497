"""``match_length``: kept rows as long and as short as the pool's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenly.controls.control import GROUPS, Control, refuse
from evenly.controls.quota import no_count, quotas_for
from evenly.request import option
from evenly.types import Int64Array

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared

BINS = 10
"""The deciles of the pool: fine enough to keep its histogram, coarse enough for small selections."""


@dataclass(frozen=True)
class MatchLength(Control):
    """Quotas by length, in proportion to the pool."""

    group = GROUPS
    restricting = reordering = sized = ("match_length",)

    match_length: bool = option(
        False, "Keep the pool's histogram of lengths (by deciles).", label="Pool's lengths kept"
    )

    def check(self, choice: Choice) -> None:
        refuse("keep" not in choice.options, "`match_length` shares out what `keep` says; add it")
        refuse(choice.options.get("by"), "`match_length` sets quotas by length, `by` sets others; use one")
        refuse(choice.budget.unit != "rows", no_count(choice))

    def constrain(self, prepared: Prepared) -> None:
        lengths = prepared.pool.rows.characters
        bins = length_bins(lengths)
        names = tuple(
            f"{lengths[bins == one].min()}-{lengths[bins == one].max()} characters"
            for one in range(bins.max() + 1)
        )
        prepared.groups = names, bins
        prepared.quotas = quotas_for(
            names, bins, prepared.eligible(), count=prepared.shared, quota="proportional"
        )


def length_bins(lengths: Int64Array) -> Int64Array:
    """(N,) the bin of every row between the deciles of the pool's lengths, numbered from 0 without gaps."""
    borders = np.quantile(lengths, np.linspace(0, 1, BINS + 1)[1:-1])
    _, bins = np.unique(np.searchsorted(borders, lengths, side="right"), return_inverse=True)
    return np.asarray(bins, dtype=np.int64)
