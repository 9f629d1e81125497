"""``guard``: the loneliest rows, which are noise more often than not, are excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenly.controls.control import EXCLUDED, Control, read_share, refuse
from evenly.request import option
from evenly.types import metric_distance

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Guard(Control):
    """Excludes a share of the rows by the distance to their 10th neighbour; rows that must be kept are spared."""

    group = EXCLUDED
    bounding = restricting = ("guard",)
    reasons: ClassVar = {"guard": "among the loneliest"}

    guard: str | None = option(
        None,
        "Exclude the loneliest share of rows (5%), by the distance to their 10th neighbour.",
        label="Loneliest rows excluded",
    )

    def check(self, choice: Choice) -> None:
        self._share()

    def exclude(self, prepared: Prepared) -> None:
        from evenly.engine.loneliest import NEIGHBOURS, loneliest, lonely_rows

        points, share = prepared.pool.points, self._share()
        if prepared.choice.options.get("density"):  # which needs the distances of all rows
            radius = prepared.pool.neighbour_radius
            lonely = lonely_rows(radius, share)
            far = radius[lonely]
        else:
            lonely, far = loneliest(points, share)
        spared = np.isin(lonely, prepared.given)
        shown = metric_distance(np.square(far[~spared]), points.metric)
        prepared.exclude(
            lonely[~spared],
            "guard",
            [f"among the {self.guard} loneliest: neighbour {NEIGHBOURS} is {one:.4g} away" for one in shown],
        )

    def _share(self) -> float:
        share = read_share("guard", self.guard)
        refuse(share == 1.0, "`guard` 100% excludes all rows; give a smaller share, for example 5%")
        return share
