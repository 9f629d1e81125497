"""``dedup``: no two kept rows are near-copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import EXCLUDED, Control, Told, check_above_0, refuse
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.measures.verify import Check
    from evenly.types import Selection


@dataclass(frozen=True)
class Dedup(Control):
    """A row nearer than this to a kept row (or anchor) is not picked; that one stands for it."""

    bounding = reordering = ("dedup",)
    reasons: ClassVar = {"dedup": "near-copy of a kept row"}

    dedup: float | None = option(
        None, "Drop rows nearer than this to a kept row.", group=EXCLUDED, label="Near-copies closer than"
    )

    @property
    def distance(self) -> float:
        return self.dedup or 0.0

    def check(self, choice: Choice) -> None:
        refuse(choice.allow_copies, "`dedup` removes copies, `allow_copies` keeps them; use one of the two")
        check_above_0("dedup", self.dedup)

    def constrain(self, prepared: Prepared) -> None:
        prepared.keep_apart(self.distance)

    def dropped(self, prepared: Prepared, selection: Selection) -> dict[int, str]:
        ids, near = prepared.pool.rows.ids, {}
        for row in np.flatnonzero(self._near(selection)).tolist():
            keeper = int(selection.keeper[row])
            name = ids[keeper] if keeper < len(ids) else f"anchor {keeper - len(ids) + 1}"
            near[row] = f"{selection.keeper_distance[row]:.6g} from {name}, which is kept"
        return near

    def _near(self, selection: Selection) -> Any:
        return selection.dropped() & (selection.keeper_distance < self.distance)

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        return {"near_copies": int(self._near(selection).sum())}

    def told(self, found: Mapping[str, Any], most: int) -> Told:
        return [("dedup", f"{found['near_copies']:,} near-copies of kept rows dropped")]

    def verify(self, prepared: Prepared, selection: Selection) -> list[Check]:
        return [apart_check(self.distance, prepared, selection)]


def apart_check(least: float, prepared: Prepared, selection: Selection) -> Check:
    """Whether every row that was picked lies at least so far from those before it."""
    from evenly.measures.verify import Check

    nearest = float(selection.radii[len(prepared.given) :].min(initial=np.inf))
    # Radii are checked against the vectors elsewhere; equality to the last bit is of this machine alone.
    enough = nearest >= least * (1 - 1e-6)
    return Check("least distance", enough, f"{nearest:.9g}; asked {least:.9g}")
