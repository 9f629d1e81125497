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
    from evenly.types import Selection


@dataclass(frozen=True)
class Dedup(Control):
    """A row nearer than this to a kept row (or anchor) is not picked; that one stands for it."""

    group = EXCLUDED
    bounding = reordering = ("dedup",)
    reasons: ClassVar = {"dedup": "near-copy of a kept row"}

    dedup: float | None = option(
        None, "Drop rows nearer than this to a kept row.", label="Near-copies closer than"
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

    def told(self, found: Mapping[str, Any]) -> Told:
        return [
            ("dedup", f"{found['near_copies']:,} rows nearer than {self.distance:g} to a kept row dropped")
        ]
