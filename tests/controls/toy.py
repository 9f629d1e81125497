"""A control made for a test, and the command line with it: ``python -m tests.controls.toy select …``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import evenly.controls
from evenly.controls.control import Control, Told, refuse
from evenly.request import option


@dataclass(frozen=True)
class Shortest(Control):
    """Excludes rows of few characters, and promises that none is kept."""

    group = "Toys"
    bounding = restricting = ("shortest",)
    reasons: ClassVar = {"shortest": "too short to learn from"}

    shortest: int = option(0, "Characters that a row has at least.", label="Characters at least")

    def check(self, choice: Any) -> None:
        refuse(self.shortest < 0, f"`shortest` must be at least 0; got {self.shortest}")

    def exclude(self, prepared: Any) -> None:
        characters = prepared.pool.rows.characters
        short = np.flatnonzero(characters < self.shortest)
        prepared.exclude(short, "shortest", [f"{characters[row]} characters" for row in short])

    def found(self, prepared: Any, selection: Any) -> dict[str, Any]:
        return {"shortest": int(prepared.pool.rows.characters[selection.rows].min())}

    def told(self, found: Mapping[str, Any]) -> Told:
        return [("shortest", f"the shortest kept row has {found['shortest']} characters")]

    def verify(self, prepared: Any, selection: Any, found: Mapping[str, Any]) -> list[Any]:
        from evenly.measures.verify import Check

        least = int(prepared.pool.rows.characters[selection.rows].min())
        return [Check("shortest", least >= self.shortest, f"{least} characters, asked {self.shortest}")]


if __name__ == "__main__":
    evenly.controls.CONTROLS = (*evenly.controls.CONTROLS, Shortest)
    from evenly.cli import main

    main(sys.argv[1:])
