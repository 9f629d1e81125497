"""Reading the files of a selection folder: what is missing or damaged in them is one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.types import Int64Array


class TextColumn:
    """A text column of N rows in a Parquet file. Of a long pool's texts only those asked for are in memory.

    Args:
        path: of the file.
        name: of the column. What is missing in it reads as an empty text.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._file = open_table(path)
        groups = self._file.metadata.num_row_groups
        counts = [self._file.metadata.row_group(group).num_rows for group in range(groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._latest: tuple[int, pa.Array] | None = None  # one lookup often follows another near it

    def __getitem__(self, row: int) -> str:
        return self.take(np.array([row]))[0]

    def take(self, rows: Int64Array) -> list[str]:
        """The texts of some rows, in their order. Cost: the blocks of the file that hold them are read."""
        group_of = np.searchsorted(self._starts, rows, side="right") - 1
        found = np.empty(len(rows), dtype=object)
        for group in np.unique(group_of).tolist():
            here = np.flatnonzero(group_of == group)
            at = pa.array(rows[here] - self._starts[group])
            found[here] = self._group(group).take(at).to_pylist()
        return list(found)

    def whole(self) -> pa.ChunkedArray:
        """All N texts."""
        return pa.chunked_array([self._group(group) for group in range(len(self._starts) - 1)], pa.string())

    def _group(self, group: int) -> pa.Array:
        if self._latest is None or self._latest[0] != group:
            with one_line(self._path):
                column = self._file.read_row_group(group, [self._name])[self._name]
                texts = column.cast(pa.string()).fill_null("").combine_chunks()
            self._latest = group, texts
        return self._latest[1]


def read_numbers(path: Path, schema: pa.Schema, pool_rows: int) -> pa.Table:
    """The columns of a schema but its texts, and the records' fields."""
    file = open_table(path)
    names = file.schema_arrow.names
    missing = [name for name in schema.names if name not in names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it was changed since select wrote it")
    if file.metadata.num_rows != pool_rows:
        raise InputError(
            f"{path} holds {file.metadata.num_rows} rows, the manifest says {pool_rows}: not of one run"
        )
    numbers = pa.schema([column for column in schema if column.type != pa.string()])
    own = [name for name in names if name not in schema.names]
    with one_line(path):
        table = file.read([*numbers.names, *own])
        typed = table.select(numbers.names).cast(numbers)
    return pa.table(
        {**dict(zip(numbers.names, typed.columns, strict=True)), **{name: table[name] for name in own}}
    )


def open_table(path: Path) -> pq.ParquetFile:
    """A Parquet file of a selection folder.

    Raises:
        InputError: it is missing or is none.
    """
    try:
        with one_line(path):
            return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path.parent} holds manifest.json but no {path.name}; run select again") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        InputError: it is none.
        FileNotFoundError: it is not there.
    """
    with one_line(path, "JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold a JSON object; found a {type(found).__name__}")
    return found


@contextmanager
def one_line(path: Path, form: str = "a Parquet file") -> Iterator[None]:
    """Turns what libraries say of a damaged file into one line."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path} is not {form} ({reason}); it was changed since select wrote it") from None
