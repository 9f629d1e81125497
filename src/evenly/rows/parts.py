"""Where the parts of a pool go that are written one file each."""

from __future__ import annotations

from pathlib import Path

from evenly.rows.rows import Rows

_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".arrow")


def part_place(out: str, name: str, rows: Rows) -> str:
    """One file per part for a single file, else a folder per part with one file per source."""
    if len(rows.opened) == 1 and rows.opened[0].path is not None and rows.opened[0].path.is_file():
        suffixes = "".join(rows.opened[0].path.suffixes[-2:])
        known = [ending for ending in _ENDINGS if ending in suffixes]
        if known:
            return str(Path(out) / f"{name}{suffixes[suffixes.index(known[0]) :]}")
    return str(Path(out) / name) + "/"
