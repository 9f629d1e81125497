"""What a person at a terminal sees when something is done; `shown_progress` is what they see while it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from evenly.bars import shown_progress as shown_progress


def removed_line(removed: Sequence[object]) -> str | None:
    """Which files of an older run are gone; None where there are none."""
    return f"removed {', '.join(map(str, removed))}, which an older run wrote" if removed else None


def print_json(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def printable(text: str, most: int = 160) -> str:
    """Row text on one line, safe for a terminal: control and direction characters are shown as escapes."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
