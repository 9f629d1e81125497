"""view.parquet: what a person sees of each row, and where it lies on a map of the pool.

After the columns of `VIEW_SCHEMA` comes one column ``field:NAME`` for each scalar field of the records worth
colouring by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evenly.engine.blocks import slices
from evenly.files import write_table
from evenly.folder.order import ROWS_AT_ONCE
from evenly.rows.index import EXCERPT_CHARACTERS
from evenly.rows.rows import Rows
from evenly.types import Float32Array, Int64Array

VIEW_FILE = "view.parquet"
VIEW_SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),  # excerpt, at most VIEW_CHARACTERS
        ("response", pa.string()),  # excerpt, at most VIEW_CHARACTERS; empty for plain text
        ("characters", pa.int64()),  # length of the whole text
        (
            "x",
            pa.float32(),
        ),  # where the row lies on the map of the pool; measures.json says how it was laid out
        ("y", pa.float32()),
    ]
)
VIEW_CHARACTERS = EXCERPT_CHARACTERS
FIELD_PREFIX = "field:"

COLOUR_FIELDS = 12
"""At most this many fields of the records go into the view."""

SHOWN_ROWS = 60_000
"""Rows of a page: about what it draws at 60 frames a second, and its texts stay within 20 MB."""

_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def write_view(rows: Rows, places: Float32Array, path: Path) -> str:
    """Writes view.parquet: what a person sees of each row, and where it lies on a map of the pool.

    Args:
        rows: the pool.
        places: (N, 2) float32, where each row lies on the map.
        path: of the file.

    Returns:
        Its SHA-256.
    """
    fields = {
        name: _TYPES[next(iter(kinds))] if len(kinds) == 1 else pa.string()
        for name, kinds in list(rows.scalar_fields().items())[:COLOUR_FIELDS]
    }
    own = [(f"{FIELD_PREFIX}{name}", kind) for name, kind in fields.items()]
    schema = pa.schema([*VIEW_SCHEMA, *own])

    def table(block: slice) -> pa.Table:
        prompts, responses = rows.excerpts(block.start, block.stop)
        return pa.table(
            [
                prompts,
                responses,
                rows.characters[block],
                places[block, 0],
                places[block, 1],
                *(
                    pa.array([_as(kind, value) for value in rows.field(name, block.start, block.stop)], kind)
                    for name, kind in fields.items()
                ),
            ],
            schema=schema,
        )

    return write_table(path, map(table, slices(len(rows), ROWS_AT_ONCE)), schema)


def _as(kind: pa.DataType, value: Any) -> Any:
    if kind != pa.string() or value is None:
        return value
    # JSON can escape half of a character, which no file of text can hold.
    return str(value).encode("utf-8", "backslashreplace").decode()


def shown_rows(pool_rows: int, limit: int = SHOWN_ROWS) -> Int64Array:
    """The rows that a page shows: all of them, or above the limit a random sample (seed 0), in pool order."""
    if pool_rows <= limit:
        return np.arange(pool_rows)
    return np.sort(np.random.default_rng(0).choice(pool_rows, size=limit, replace=False))
