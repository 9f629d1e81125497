"""A field of the records that holds vectors: (N, d) numbers, taken a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenly.errors import InputError
from evenly.rows.tables import Table
from evenly.rows.textfiles import TextFile
from evenly.types import Float32Array, Int64Array

Room = Callable[[int], Float32Array | None]
"""From the dimension d to (N, d) float32 room that vectors are written to; None for an array in memory."""

ROWS_AT_ONCE = 4096


def field_vectors(sources: Sequence[TextFile | Table], name: str, room: Room) -> Float32Array | None:
    """One field that holds a list of numbers in every row.

    Args:
        sources: the records, in order.
        name: of the field.
        room: where the vectors go.

    Returns:
        (N, d) float32; None where a source has no such field.

    Raises:
        InputError: something else in it, or lists of different lengths (names the row).
    """
    vectors: Float32Array | None = None
    count, at = sum(map(len, sources)), 0
    for records in sources:
        found = _table_blocks(records, name) if isinstance(records, Table) else _text_blocks(records, name)
        if found is None:
            return None
        for block in found:
            if vectors is None:
                given = room(block.shape[1])
                vectors = np.empty((count, block.shape[1]), dtype=np.float32) if given is None else given
            if block.shape[1] != vectors.shape[1]:
                widths = " or ".join(map(str, sorted((block.shape[1], vectors.shape[1]))))
                raise InputError(f"vectors in {name!r} are {widths} long; use one encoder")
            vectors[at : at + len(block)] = block
            at += len(block)
    return vectors


def _table_blocks(table: Table, name: str) -> Iterator[Float32Array] | None:
    if name not in table.names:
        return None
    values = table.table.column(name)
    kind = values.type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not nested or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"the column {name!r} of {table.name} holds {kind}; expected lists of numbers")
    lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy()
    _check_widths(lengths, lengths[0], 0, table.name, name)
    parts = (
        chunk.slice(start, ROWS_AT_ONCE)
        for chunk in values.chunks
        for start in range(0, len(chunk), ROWS_AT_ONCE)
    )
    return (np.asarray(part.flatten(), dtype=np.float32).reshape(len(part), -1) for part in parts)


def _text_blocks(records: TextFile, name: str) -> Iterator[Float32Array] | None:
    values = (record.get(name) for record in records.records())
    first = next(values)
    if not isinstance(first, list):
        kinds = {type(value) for value in chain((first,), values)}
        if kinds == {type(None)}:
            return None
        if list not in kinds:
            raise InputError(f"the field {name!r} of {records.name} holds no lists of numbers")
    return _lists(
        chain((first,), values), -1 if not isinstance(first, list) else len(first), records.name, name
    )


def _lists(values: Iterator[Any], width: int, source: str, name: str) -> Iterator[Float32Array]:
    at = 0
    while block := list(islice(values, ROWS_AT_ONCE)):
        lengths = np.array([len(value) if isinstance(value, list) else -1 for value in block])
        _check_widths(lengths, width, at, source, name)
        try:
            yield np.array(block, dtype=np.float32)
        except (TypeError, ValueError):
            raise InputError(f"the field {name!r} of {source} holds lists that are not of numbers") from None
        at += len(block)


def _check_widths(lengths: Int64Array, width: int, at: int, source: str, name: str) -> None:
    """Refuses vectors that are missing (-1), empty, or not as long as that of row 1, naming the first row.

    Args:
        lengths: of some consecutive rows.
        width: of row 1.
        at: number of the first of these rows, from 0.
        source, name: of the records and the field.
    """
    wrong = (lengths != width) | (lengths < 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "no vector" if lengths[row] < 0 else f"{lengths[row]} numbers"
        raise InputError(
            f"row {at + row + 1} of {source} has {found} in {name!r} where row 1 has {max(width, 0)}; "
            "every row needs a vector, all equally long"
        )
