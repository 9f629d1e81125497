"""``anchors``: rows that count as kept already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenly.controls.control import KEPT, Control, Told, refuse
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.types import Selection


@dataclass(frozen=True)
class Anchors(Control):
    """Rows from outside the pool that the order goes on from. They are not written."""

    group = KEPT
    restricting = reordering = ("anchors",)

    anchors: str | None = option(
        None,
        "Rows that count as kept already: a file, a selection folder, or vectors.npy.",
        label="Rows that count as kept",
    )

    def check(self, choice: Choice) -> None:
        refuse(
            choice.start is not None,
            "`start` names the first pick, but `anchors` come before it; leave one out",
        )

    def exclude(self, prepared: Prepared) -> None:
        prepared.anchors = prepared.pool.outside(str(self.anchors), "anchors")

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        count = 0 if prepared.anchors is None else len(prepared.anchors)
        return {"anchors": {"name": self.anchors, "rows": count}}

    def told(self, found: Mapping[str, Any]) -> Told:
        return [("anchors", f"{found['anchors']['rows']:,} rows of {self.anchors} count as kept")]
