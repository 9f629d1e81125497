"""A selection folder, read: what the page, the atlas and the figures are made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.data.manifest import (
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
from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array

FIELD_PREFIX = "field:"


@dataclass(frozen=True, eq=False)
class SavedSelection:
    """The files of a selection folder as arrays; N pool rows in pool order, distances in the metric's unit.

    Attributes:
        manifest: how the selection was made.
        ids: (N,) the rows' ids, a string column.
        rank: (N,) int64, the order of picking; -1 where not kept.
        radius: (N,) float64, NaN where not kept and for a first pick.
        keeper: (N,) int64, nearest kept row; N + i for anchor i.
        keeper_distance: (N,) float64.
        prompt, response: (N,) excerpts, string columns; untrusted text.
        characters: (N,) int64, lengths of the whole texts.
        coordinates: (N, 2) float64, first two principal components.
        fields: the records' scalar fields by name, columns of length N.
        measures: `measures.json`, empty where there is none.
        set_aside: rows that a control kept from being picked, with ``row``, ``reason`` and ``detail``; maybe empty.
    """

    manifest: Manifest
    ids: pa.ChunkedArray
    rank: Int64Array
    radius: Float64Array
    keeper: Int64Array
    keeper_distance: Float64Array
    prompt: pa.ChunkedArray
    response: pa.ChunkedArray
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
    order = _read_table(folder / ORDER_FILE, ORDER_SCHEMA, manifest)
    view = _read_table(folder / VIEW_FILE, VIEW_SCHEMA, manifest)
    measures = _read_measures(folder / MEASURES_FILE)
    return SavedSelection(
        manifest=manifest,
        ids=order["id"],
        rank=order["rank"].fill_null(-1).to_numpy(),
        radius=order["radius"].fill_null(float("nan")).to_numpy(),
        keeper=order["keeper"].to_numpy(),
        keeper_distance=order["keeper_distance"].to_numpy(),
        prompt=view["prompt"].fill_null(""),
        response=view["response"].fill_null(""),
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


def _read_table(path: Path, schema: pa.Schema, manifest: Manifest) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} holds {MANIFEST_FILE} but no {path.name}; run select again"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is not a Parquet file ({error}); it was changed since select wrote it"
        ) from None
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it was changed since select wrote it")
    if table.num_rows != manifest.pool_rows:
        raise InputError(
            f"{path} holds {table.num_rows} rows, the manifest says {manifest.pool_rows}: not of one run"
        )
    own = [name for name in table.column_names if name not in schema.names]
    typed = table.select(schema.names).cast(schema)
    return pa.table(
        {**dict(zip(schema.names, typed.columns, strict=True)), **{name: table[name] for name in own}}
    )


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
