"""``band``: only rows whose score lies within bounds, such as a pass rate of neither 0 nor 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import SCORES, Control, Told, refuse
from evenly.controls.scored import is_file_of_scores, read_scores
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.measures.verify import Check
    from evenly.types import Selection


@dataclass(frozen=True)
class ScoreBand(Control):
    """Excludes rows whose score lies outside two bounds, which belong to the band."""

    group = SCORES
    bounding = restricting = ("band",)
    reasons: ClassVar = {"band": "score outside the band"}

    band: tuple[str, str] | None = option(
        None,
        "Only rows whose score lies within (pass_rate 0.2:0.8); FIELD as for `quality`.",
        metavar="FIELD LOW:HIGH",
        label="Scores within",
    )

    def _parts(self) -> tuple[str, float, float]:
        """The field and the bounds."""
        given: tuple[str, ...] = self.band or ()
        refuse(
            len(given) != 2 or isinstance(given, str),
            f"`band` takes two values, FIELD LOW:HIGH; got {given!r}",
        )
        name, (low, _, high) = given[0], given[1].partition(":")
        try:
            bounds = float(low), float(high)
        except ValueError:
            bounds = (np.nan, np.nan)
        refuse(
            not bounds[0] <= bounds[1],
            f"`band` must read FIELD LOW:HIGH, for example pass_rate 0.2:0.8; got {' '.join(given)}",
        )
        return name, *bounds

    def check(self, choice: Choice) -> None:
        self._parts()

    def fields(self) -> tuple[str, ...]:
        name, *_ = self._parts()
        return () if is_file_of_scores(name) else (name,)

    def exclude(self, prepared: Prepared) -> None:
        name, low, high = self._parts()
        scores = read_scores("band", prepared.pool.rows, name)
        outside = np.flatnonzero((scores < low) | (scores > high))
        outside = np.setdiff1d(outside, prepared.given)
        prepared.exclude(
            outside, "band", [f"{name} {scores[row]:g} is outside {low:g} to {high:g}" for row in outside]
        )

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        name, *_ = self._parts()
        kept = read_scores("band", prepared.pool.rows, name)[selection.rows]
        return {"band": {"field": name, "least": float(kept.min()), "most": float(kept.max())}}

    def told(self, found: Mapping[str, Any]) -> Told:
        one = found["band"]
        return [("band", f"{one['field']} of kept rows from {one['least']:g} to {one['most']:g}")]

    def verify(self, prepared: Prepared, selection: Selection, found: Mapping[str, Any]) -> list[Check]:
        from evenly.measures.verify import Check

        name, low, high = self._parts()
        picks = selection.rows[len(prepared.given) :]
        scores = np.array(
            [float(str(value)) for value in read_scores("band", prepared.pool.rows, name)[picks]]
        )
        outside = np.flatnonzero((scores < low) | (scores > high))
        detail = f"{name} of {len(picks):,} picks within {low:g} to {high:g}"
        if len(outside):
            detail = f"row {picks[outside[0]]} has {name} {scores[outside[0]]:g}, outside {low:g} to {high:g}"
        return [Check("band", not len(outside), detail)]
