"""view.parquet: what a person sees of each row, and where it lies on a map of the pool.

After the columns of `VIEW_SCHEMA` comes one column ``field:NAME`` for each scalar field of the records worth
colouring by.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from evenly.engine.blocks import slices, steady_torch
from evenly.engine.mapped import release, tensor_of
from evenly.files import write_table
from evenly.folder.order import ROWS_AT_ONCE
from evenly.rows.index import EXCERPT_CHARACTERS
from evenly.rows.rows import Rows
from evenly.types import Float32Array

VIEW_FILE = "view.parquet"
VIEW_SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),  # excerpt, at most VIEW_CHARACTERS
        ("response", pa.string()),  # excerpt, at most VIEW_CHARACTERS; empty for plain text
        ("characters", pa.int64()),  # length of the whole text
        ("x", pa.float32()),  # first two principal components of the vectors the order was made on
        ("y", pa.float32()),
    ]
)
VIEW_CHARACTERS = EXCERPT_CHARACTERS
FIELD_PREFIX = "field:"

COLOUR_FIELDS = 12
"""At most this many fields of the records go into the view."""

_SAMPLE_ROWS = 4_096
_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def write_view(rows: Rows, vectors: Float32Array, path: Path) -> str:
    """Writes view.parquet: what a person sees of each row, and where it lies on a map of the pool.

    Args:
        rows: the pool.
        vectors: (N, d) float32.
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
    place = principal_plane(vectors)

    def table(block: slice) -> pa.Table:
        prompts, responses = rows.excerpts(block.start, block.stop)
        x, y = place(vectors[block])
        release(vectors)
        return pa.table(
            [
                prompts,
                responses,
                rows.characters[block],
                x,
                y,
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


def principal_plane(vectors: Float32Array) -> Callable[[Float32Array], tuple[Float32Array, Float32Array]]:
    """Fits the first two principal components of (N, d) rows on a sample.

    Returns:
        A map from (B, d) rows to x and y, (B,) float32 each.
    """
    with steady_torch():
        sample = tensor_of(vectors[:: max(1, len(vectors) // _SAMPLE_ROWS)]).double()
        centre = sample.mean(0)
        sample -= centre
        _, basis = torch.linalg.eigh(sample.T @ sample)
        axes = basis[:, -2:].flip(1)
        # A component's sign is arbitrary: the largest entry is made positive, so that maps agree between runs.
        axes *= torch.sign(axes[axes.abs().argmax(0), torch.arange(axes.shape[1])])
        middle = (centre @ axes).float()

    def place(rows: Float32Array) -> tuple[Float32Array, Float32Array]:
        plane = np.zeros((len(rows), 2), dtype=np.float32)
        with steady_torch():
            plane[:, : axes.shape[1]] = (tensor_of(rows) @ axes.float() - middle).numpy()
        return plane[:, 0], plane[:, 1]

    return place
