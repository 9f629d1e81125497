"""``avoid``: rows from outside, such as a test set, that no kept row lies near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import EXCLUDED, Control, Told, refuse
from evenly.errors import InputError
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Avoid(Control):
    """Excludes what lies within a distance of rows of a file."""

    group = EXCLUDED
    bounding = restricting = ("avoid",)
    reasons: ClassVar = {"avoid": "too near a row to stay away from"}

    avoid: str | None = option(
        None, "Rows to stay away from, such as a test set, by `distance`.", label="Rows to stay away from"
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

    def exclude(self, prepared: Prepared) -> None:
        from evenly.engine.orders import nearest_of

        name, limit, pool = str(self.avoid), self.distance or 0.0, prepared.pool
        others = pool.outside(name, "rows to avoid")
        index, distance = nearest_of(pool.points, others)
        near = np.flatnonzero(distance <= limit)
        blocked = np.intersect1d(near, prepared.given)
        if len(blocked):
            raise InputError(
                f"row {blocked[0]} must be kept but lies {distance[blocked[0]]:.4g} from a row of {name}, "
                f"within `distance` {limit:g}; lower it or drop `must`"
            )
        file = Path(name).name
        prepared.exclude(
            near, "avoid", [f"{distance[row]:.6g} from row {index[row] + 1} of {file}" for row in near]
        )
        far = distance[distance > limit]
        prepared.facts["avoid"] = {
            "name": name,
            "rows": len(others),
            "distance": limit,
            "nearest_left": float(far.min()) if len(far) else None,
        }

    def told(self, found: Mapping[str, Any]) -> Told:
        rows, nearest = found["avoid"]["rows"], found["avoid"]["nearest_left"]
        line = f"no kept row lies within {self.distance:g} of the {rows:,} rows of {self.avoid}"
        return [("avoid", line if nearest is None else f"{line}; the nearest row left is {nearest:.4g} away")]
