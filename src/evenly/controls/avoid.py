"""``avoid``: rows from outside, such as a test set, that no kept row lies near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import EXCLUDED, Control, Told, refuse
from evenly.controls.outside import named_files
from evenly.errors import InputError
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Avoid(Control):
    """Excludes what lies within a distance of rows of files."""

    group = EXCLUDED
    bounding = restricting = ("avoid",)
    reasons: ClassVar = {"avoid": "too near a row to stay away from"}

    avoid: tuple[str, ...] = option(
        (),
        "Rows to stay away from by `distance`, such as a test set: FILE or NAME=FILE; may be repeated.",
        label="Rows to stay away from",
    )
    distance: float | None = option(
        None, "No kept row lies this near to a row of `avoid`.", label="By at least"
    )

    def check(self, choice: Choice) -> None:
        distance = self.distance
        refuse(distance is None, "`avoid` needs `distance`, how far to stay away")
        refuse(not self.avoid, "`distance` needs `avoid`, what to stay away from")
        refuse(
            distance is not None and not 0 <= distance < float("inf"),
            f"`distance` must be at least 0 and finite; got {distance}",
        )
        named_files("avoid", self.avoid)

    def exclude(self, prepared: Prepared) -> None:
        files = named_files("avoid", self.avoid)
        told = [self._exclude(prepared, name, file) for name, file in files.items()]
        prepared.facts["avoid"] = {"distance": self.distance, "files": told}

    def _exclude(self, prepared: Prepared, name: str, file: str) -> dict[str, Any]:
        """Excludes what is near the rows of one file, and says what was found."""
        from evenly.engine.orders import nearest_of

        limit, pool = self.distance or 0.0, prepared.pool
        others = pool.outside(file, "rows to avoid")
        index, distance = nearest_of(pool.points, others)
        near = np.flatnonzero(distance <= limit)
        blocked = np.intersect1d(near, prepared.given)
        if len(blocked):
            raise InputError(
                f"row {blocked[0]} must be kept but lies {distance[blocked[0]]:.4g} from a row of {file}, "
                f"within `distance` {limit:g}; lower it or drop `must`"
            )
        prepared.exclude(
            near, "avoid", [f"{distance[row]:.6g} from row {index[row] + 1} of {name}" for row in near]
        )
        found: dict[str, Any] = {"name": name, "rows": len(others), "near": len(near), "nearest_left": None}
        if len(near) < len(distance):
            row = int(np.argmin(np.where(distance > limit, distance, np.inf)))
            found["nearest_left"] = float(distance[row])
            found["closest"] = {"row": pool.rows.ids[row], "other": int(index[row]) + 1}
        return found

    def told(self, found: Mapping[str, Any]) -> Told:
        saved = found["avoid"]
        files = saved.get("files", [{**saved, "name": ", ".join(self.avoid)}])  # version 0.1.0 knew one
        return [("avoid" if len(files) == 1 else f"avoid {one['name']}", self._line(one)) for one in files]

    def _line(self, one: Mapping[str, Any]) -> str:
        line = f"no kept row lies within {self.distance:g} of the {one['rows']:,} rows of {one['name']}"
        if one["nearest_left"] is None:
            return line
        line += f"; the nearest row left is {one['nearest_left']:.4g} away"
        if closest := one.get("closest"):
            line += f": {closest['row']}, from row {closest['other']:,}"
        return line
