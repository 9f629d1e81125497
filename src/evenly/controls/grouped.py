"""What controls that share out the rows kept have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.controls.control import Control, Told
from evenly.types import Int64Array

if TYPE_CHECKING:
    from evenly.controls.prepared import Prepared
    from evenly.engine.quotas import Quotas
    from evenly.measures.verify import Check
    from evenly.types import Selection


@dataclass(frozen=True)
class Grouped(Control):
    """A control that puts `quotas` on a pool."""

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        quotas = prepared.quotas
        if quotas is None:
            return {}
        pool = np.bincount(quotas.group, minlength=len(quotas.names))
        kept = _kept(quotas, prepared, selection)
        return {
            "groups": {
                name: {"kept": int(kept[group]), "pool": int(pool[group])}
                for group, name in enumerate(quotas.names)
            }
        }

    def told(self, found: Mapping[str, Any], most: int) -> Told:
        groups = found["groups"]
        shown = [f"{name} {of['kept']:,} of {of['pool']:,}" for name, of in list(groups.items())[:most]]
        more = f", and {len(groups) - most} more groups" if len(groups) > most else ""
        return [("groups", f"{', '.join(shown)}{more}")]

    def verify(self, prepared: Prepared, selection: Selection) -> list[Check]:
        from evenly.measures.verify import Check

        quotas = prepared.quotas
        if quotas is None:
            return []
        kept = _kept(quotas, prepared, selection)
        wrong = np.flatnonzero((kept < quotas.least) | (kept > quotas.most))
        detail = f"{len(quotas.names)} groups as asked"
        if len(wrong):
            name, one = quotas.names[wrong[0]], wrong[0]
            detail = f"group {name!r} gives {kept[one]}, not {quotas.least[one]} to {quotas.most[one]}"
        return [Check("quotas", not len(wrong), detail)]


def _kept(quotas: Quotas, prepared: Prepared, selection: Selection) -> Int64Array:
    """(G,) picks of each group; given rows count against no quota."""
    return np.bincount(quotas.group[selection.rows[len(prepared.given) :]], minlength=len(quotas.names))
