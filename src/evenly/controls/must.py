"""``must``: rows that are kept first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenly.controls.control import KEPT, Control, refuse
from evenly.controls.quota import names_of
from evenly.errors import InputError
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Must(Control):
    """Rows with a value in a field, kept in the order of the pool before any other is picked."""

    group = KEPT
    restricting = reordering = ("must",)

    must: tuple[str, ...] = option(
        (), "FIELD=VALUE: rows that are kept first. May be repeated.", label="Rows that must be kept"
    )

    def check(self, choice: Choice) -> None:
        for condition in self.must:
            refuse(
                "=" not in condition, f"`must` {condition!r} must read FIELD=VALUE, for example source=gold"
            )
        refuse(
            choice.start is not None,
            "`start` names the first pick, but rows of `must` come before it; leave one out",
        )

    def fields(self) -> tuple[str, ...]:
        return tuple(condition.partition("=")[0] for condition in self.must)

    def exclude(self, prepared: Prepared) -> None:
        rows = prepared.pool.rows
        kept = np.zeros(len(rows), dtype=bool)
        for condition in self.must:
            name, _, value = condition.partition("=")
            matches = np.array([value in names_of(found) for found in rows.field(name)])
            if not matches.any():
                raise InputError(f"`must` {condition}: no row has this value; check the spelling")
            kept |= matches
        prepared.given = np.flatnonzero(kept)

    def carried(self) -> None:
        """They are among the rows kept before."""
        return
