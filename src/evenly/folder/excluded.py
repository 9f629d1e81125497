"""excluded.parquet: rows that a control kept from being picked, and why."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.files import write_table
from evenly.folder.reading import one_line

EXCLUDED_FILE = "excluded.parquet"
OLD_EXCLUDED_FILE = "set_aside.parquet"
"""Its name in folders of version 0.1.0."""

EXCLUDED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("reason", pa.string()),  # the control that kept it from being picked: guard, avoid, floor, dedup
        ("detail", pa.string()),  # what it found, e.g. "0.24 from row 293 of test.jsonl"
    ]
)


def write_excluded(excluded: pa.Table, folder: Path) -> str:
    """Writes a table of `EXCLUDED_SCHEMA`. Returns its SHA-256."""
    return write_table(folder / EXCLUDED_FILE, excluded.cast(EXCLUDED_SCHEMA))


def excluded_path(folder: Path) -> Path:
    """Where the table of a selection folder is, or would be."""
    old = folder / OLD_EXCLUDED_FILE
    return old if old.is_file() else folder / EXCLUDED_FILE


def read_excluded(folder: Path, pool_rows: int) -> pa.Table:
    """The excluded rows of a selection folder, in pool order; none where it has no such file.

    Raises:
        InputError: the file was changed.
    """
    path = excluded_path(folder)
    if not path.is_file():
        return EXCLUDED_SCHEMA.empty_table()
    with one_line(path):
        table = pq.read_table(path).select(EXCLUDED_SCHEMA.names).cast(EXCLUDED_SCHEMA)
    rows = table["row"].to_numpy()
    if len(rows) and not 0 <= rows.min() <= rows.max() < pool_rows:
        raise InputError(
            f"{path} names rows outside the pool of {pool_rows}; it was changed since select wrote it"
        )
    return table
