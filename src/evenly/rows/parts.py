"""Where the parts of a pool go that are written one file each."""

from __future__ import annotations

from pathlib import Path

from evenly.rows.formats import ending_of
from evenly.rows.rows import Rows


def part_place(out: str, name: str, rows: Rows) -> str:
    """One file per part for a single file, else a folder per part with one file per source."""
    if len(rows.opened) == 1 and rows.opened[0].path is not None and rows.opened[0].path.is_file():
        return str(Path(out) / f"{name}{ending_of(rows.opened[0].path.name)}")
    return str(Path(out) / name) + "/"
