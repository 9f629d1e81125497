"""A selection folder, read: what the page, the atlas and the figures are made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.folder.manifest import (
    MANIFEST_FILE,
    MEASURES_FILE,
    ORDER_FILE,
    ORDER_SCHEMA,
    SET_ASIDE_FILE,
    SET_ASIDE_SCHEMA,
    VIEW_FILE,
    VIEW_SCHEMA,
    Manifest,
    read_manifest,
)
from evenly.types import Float64Array, Int64Array

FIELD_PREFIX = "field:"


class SavedTexts:
    """A text column of N rows in a Parquet file. Of a long pool's texts only those asked for are in memory.

    Args:
        path: of the file.
        name: of the column. What is missing in it reads as an empty text.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._file = _open_parquet(path)
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
            with _one_line(self._path):
                column = self._file.read_row_group(group, [self._name])[self._name]
                texts = column.cast(pa.string()).fill_null("").combine_chunks()
            self._latest = group, texts
        return self._latest[1]


@dataclass(frozen=True, eq=False)
class SavedSelection:
    """The files of a selection folder as arrays; N pool rows in pool order, distances in the metric's unit.

    Attributes:
        manifest: how the selection was made.
        ids: of the N rows.
        rank: (N,) int64, the order of picking; -1 where not kept.
        radius: (N,) float64, NaN where not kept and for a first pick.
        keeper: (N,) int64, nearest kept row; N + i for anchor i.
        keeper_distance: (N,) float64.
        prompt, response: excerpts of the N rows; untrusted text.
        characters: (N,) int64, lengths of the whole texts.
        coordinates: (N, 2) float64, first two principal components.
        fields: the records' scalar fields by name, columns of length N.
        measures: `measures.json`, empty where there is none.
        set_aside: rows that a control kept from being picked, with ``row``, ``reason`` and ``detail``; maybe empty.
    """

    manifest: Manifest
    ids: SavedTexts
    rank: Int64Array
    radius: Float64Array
    keeper: Int64Array
    keeper_distance: Float64Array
    prompt: SavedTexts
    response: SavedTexts
    characters: Int64Array
    coordinates: Float64Array
    fields: dict[str, pa.ChunkedArray]
    measures: dict[str, Any]
    set_aside: pa.Table

    def __len__(self) -> int:
        return len(self.rank)

    def picks(self) -> Int64Array:
        """The kept row numbers in the order of picking, (k,) int64."""
        kept = np.flatnonzero(self.rank >= 0)
        return kept[np.argsort(self.rank[kept])]


def read_selection(folder: Path) -> SavedSelection:
    """Reads the folder that select wrote.

    Raises:
        InputError: a file is missing, is not what select wrote, or does not fit the others.
    """
    manifest = read_manifest(folder)
    order = _read_numbers(folder / ORDER_FILE, ORDER_SCHEMA, manifest)
    view = _read_numbers(folder / VIEW_FILE, VIEW_SCHEMA, manifest)
    measures = _read_measures(folder / MEASURES_FILE)
    return SavedSelection(
        manifest=manifest,
        ids=SavedTexts(folder / ORDER_FILE, "id"),
        rank=order["rank"].fill_null(-1).to_numpy(),
        radius=order["radius"].fill_null(float("nan")).to_numpy(),
        keeper=order["keeper"].to_numpy(),
        keeper_distance=order["keeper_distance"].to_numpy(),
        prompt=SavedTexts(folder / VIEW_FILE, "prompt"),
        response=SavedTexts(folder / VIEW_FILE, "response"),
        characters=view["characters"].fill_null(0).to_numpy(),
        coordinates=np.stack([view["x"].to_numpy(), view["y"].to_numpy()], axis=1).astype(np.float64),
        fields={
            name.removeprefix(FIELD_PREFIX): view[name]
            for name in view.column_names
            if name.startswith(FIELD_PREFIX)
        },
        measures=measures,
        set_aside=_read_set_aside(folder / SET_ASIDE_FILE, len(order)),
    )


def _read_numbers(path: Path, schema: pa.Schema, manifest: Manifest) -> pa.Table:
    """The columns of a schema but its texts, and the records' fields."""
    file = _open_parquet(path)
    names = file.schema_arrow.names
    missing = [name for name in schema.names if name not in names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it was changed since select wrote it")
    if file.metadata.num_rows != manifest.pool_rows:
        raise InputError(
            f"{path} holds {file.metadata.num_rows} rows, the manifest says {manifest.pool_rows}: not of one run"
        )
    numbers = pa.schema([column for column in schema if column.type != pa.string()])
    own = [name for name in names if name not in schema.names]
    with _one_line(path):
        table = file.read([*numbers.names, *own])
        typed = table.select(numbers.names).cast(numbers)
    return pa.table(
        {**dict(zip(numbers.names, typed.columns, strict=True)), **{name: table[name] for name in own}}
    )


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        with _one_line(path):
            return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} holds {MANIFEST_FILE} but no {path.name}; run select again"
        ) from None


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turns what the library says of a damaged file into one line."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is not a Parquet file ({error}); it was changed since select wrote it"
        ) from None


def _read_set_aside(path: Path, pool_rows: int) -> pa.Table:
    if not path.is_file():
        return SET_ASIDE_SCHEMA.empty_table()
    try:
        table = pq.read_table(path).select(SET_ASIDE_SCHEMA.names).cast(SET_ASIDE_SCHEMA)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); it was changed since select wrote it") from None
    rows = table["row"].to_numpy()
    if len(rows) and not 0 <= rows.min() <= rows.max() < pool_rows:
        raise InputError(
            f"{path} names rows outside the pool of {pool_rows}; it was changed since select wrote it"
        )
    return table


def _read_measures(path: Path) -> dict[str, Any]:
    try:
        measures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error}); it was changed since select wrote it") from None
    if not isinstance(measures, dict):
        raise InputError(f"{path} must hold a JSON object; found a {type(measures).__name__}")
    return measures
