"""A field of the records that holds vectors: (N, d) numbers, taken a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.errors import InputError
from evenly.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from evenly.rows.fileformat import Records

Room = Callable[[int], Float32Array | None]
"""From the dimension d to (N, d) float32 room that vectors are written to; None for an array in memory."""

ROWS_AT_ONCE = 4096


def field_vectors(sources: Sequence[Records], name: str, room: Room) -> Float32Array | None:
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
        found = records.vector_blocks(name)
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


def list_blocks(given: Iterable[Any], source: str, name: str) -> Iterator[Float32Array] | None:
    """The vectors of a field as its values come, one a row; see `Records.vector_blocks`."""
    values = iter(given)
    first = next(values)
    if not isinstance(first, list):
        kinds = {type(value) for value in chain((first,), values)}
        if kinds == {type(None)}:
            return None
        if list not in kinds:
            raise InputError(
                f"the field {name!r} of {source} holds no lists of numbers; name another, or give the vectors as "
                "`encoder=vectors:FILE.npy`"
            )
    return _lists(chain((first,), values), -1 if not isinstance(first, list) else len(first), source, name)


def _lists(values: Iterator[Any], width: int, source: str, name: str) -> Iterator[Float32Array]:
    at = 0
    while block := list(islice(values, ROWS_AT_ONCE)):
        lengths = np.array([len(value) if isinstance(value, list) else -1 for value in block])
        check_widths(lengths, width, at, source, name)
        try:
            numbers = np.array(block)
            if numbers.dtype.kind not in "fiub":
                raise TypeError
            yield numbers.astype(np.float32)
        except (TypeError, ValueError):
            raise InputError(
                f"the field {name!r} of {source} holds lists that are not of real numbers alone; mend them, or give "
                "the vectors as `encoder=vectors:FILE.npy`"
            ) from None
        at += len(block)


def check_widths(lengths: Int64Array, width: int, at: int, source: str, name: str) -> None:
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
