"""Writing the selection folder: the tables of `evenly.data.manifest`, one line per pool row."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from evenly.data.leftovers import clear_leftovers
from evenly.data.manifest import MANIFEST_FILE, ORDER_SCHEMA, VIEW_CHARACTERS, VIEW_SCHEMA, file_sha256
from evenly.data.rows import Rows
from evenly.errors import InputError
from evenly.selection.tiles import steady_torch
from evenly.types import Float32Array, Int64Array, Selection

COLOUR_FIELDS = 12
"""At most this many fields of the records go into the view."""

_SAMPLE_ROWS = 4_096


def order_table(selection: Selection, ids: Sequence[str], parts: Int64Array) -> pa.Table:
    """order.parquet: rank and radius of the kept rows, keeper and distance of all, in pool order.

    Args:
        selection: the order.
        ids: N row ids.
        parts: (N,) int64, the certificate's parts; empty where it has none.
    """
    count = selection.pool_rows
    rank = np.full(count, -1, dtype=np.int64)
    rank[selection.rows] = np.arange(len(selection))
    radius = np.zeros(count)
    radius[selection.rows] = selection.radii
    return pa.table(
        [
            pa.array(np.arange(count)),
            pa.array(ids, pa.string()),
            pa.array(rank, mask=rank < 0),
            pa.array(radius, mask=(rank < 0) | ~np.isfinite(radius)),
            pa.array(selection.keeper),
            pa.array(selection.keeper_distance),
            pa.array(parts) if len(parts) else pa.nulls(count, pa.int64()),
        ],
        schema=ORDER_SCHEMA,
    )


def view_table(rows: Rows, vectors: Float32Array) -> pa.Table:
    """view.parquet: what a person sees of each row, and where it lies on a map of the pool."""
    prompts, responses, characters = [], [], []
    for text in rows.all_texts():
        prompts.append(_excerpt(text.prompt))
        responses.append(_excerpt(text.response))
        characters.append(len(text.whole))
    x, y = principal_plane(vectors)
    view = pa.table([prompts, responses, characters, x, y], schema=VIEW_SCHEMA)
    for name in rows.scalar_fields()[:COLOUR_FIELDS]:
        values = rows.field(name)
        kinds = {type(value) for value in values if value is not None}
        plain = values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
        view = view.append_column(f"field:{name}", pa.array(plain))
    return view


def _excerpt(text: str) -> str:
    return text if len(text) <= VIEW_CHARACTERS else text[: VIEW_CHARACTERS - 1] + "…"


def principal_plane(vectors: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The first two principal components of (N, d) rows, fitted on a sample: x and y, (N,) float32 each."""
    with steady_torch():
        sample = torch.from_numpy(vectors[:: max(1, len(vectors) // _SAMPLE_ROWS)]).double()
        centre = sample.mean(0)
        sample -= centre
        _, basis = torch.linalg.eigh(sample.T @ sample)
        axes = basis[:, -2:].flip(1)
        # A component's sign is arbitrary: the largest entry is made positive, so that maps agree between runs.
        axes *= torch.sign(axes[axes.abs().argmax(0), torch.arange(axes.shape[1])])
        plane = np.zeros((len(vectors), 2), dtype=np.float32)
        found = torch.from_numpy(vectors) @ axes.float() - (centre @ axes).float()
        plane[:, : axes.shape[1]] = found.numpy()
    return plane[:, 0], plane[:, 1]


def write_table(table: pa.Table, path: Path) -> str:
    """Writes a Parquet file and returns its SHA-256."""
    with one_line_errors(path):
        pq.write_table(table, path, compression="zstd")
    return file_sha256(path)


def check_folder(folder: Path) -> None:
    """Refuses a place for a selection folder that holds something else.

    Raises:
        InputError: a file, or a folder that select did not write.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).is_file():
        raise InputError(f"{folder} holds other files; the record of the selection goes there: move it")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the record of the selection goes there: move it")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``folder`` once everything in it is written; else nothing changes."""
    clear_leftovers(folder)
    check_folder(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    with one_line_errors(folder):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if folder.exists():
                folder.replace(old)
            temporary.replace(folder)
        finally:
            for left in (temporary, old):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Turns what the system says of a path that cannot be written into one clear line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be written: {reason}; make room or name another place") from None


def read_measures(path: Path) -> dict[str, Any]:
    """measures.json of a selection folder.

    Raises:
        InputError: it is missing or was changed.
    """
    try:
        measures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); select again") from None
    if not isinstance(measures, dict):
        raise InputError(f"{path} must hold a JSON object; found a {type(measures).__name__}; select again")
    return measures
