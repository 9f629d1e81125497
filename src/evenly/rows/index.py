"""What one pass over a source learns of its rows: enough to look their vectors up, to measure their lengths and
to name them, without parsing them again."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evenly.types import Int64Array

KeyArray: TypeAlias = npt.NDArray[np.uint64]
"""(n, 4) uint64: 32 bytes of BLAKE2b of each text's UTF-8."""

ID_FIELDS = ("id", "_id", "uid")


def text_key(text: str) -> bytes:
    """32 bytes that stand for a text.

    Raises:
        UnicodeEncodeError: it holds half a character.
    """
    return hashlib.blake2b(text.encode("utf-8"), digest_size=32).digest()


def key_array(keys: bytes | bytearray) -> KeyArray:
    """Keys one after another as (n, 4) uint64."""
    return np.frombuffer(bytes(keys), dtype="<u8").reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class Index:
    """What is known of the rows of a source.

    Attributes:
        keys: (n, 4) uint64, of the text of the chosen part.
        characters: (n,) int64, length of the whole text.
        id_field: the field that names every row of the source by an id of its own, or None.
        id_keys: (n, 4) uint64, of these ids; (0, 4) without.
    """

    keys: KeyArray
    characters: Int64Array
    id_field: str | None
    id_keys: KeyArray


class IndexBuilder:
    """Collects what `Index` holds, a row at a time.

    Args:
        first: the first record, which says what field may hold ids.
    """

    def __init__(self, first: Mapping[str, Any]) -> None:
        self._id_fields = {name: bytearray() for name in ID_FIELDS if name in first}
        self._keys, self._characters = bytearray(), array("q")

    @property
    def id_fields(self) -> tuple[str, ...]:
        """Fields that may hold ids still."""
        return tuple(self._id_fields)

    def add(self, record: Mapping[str, Any], text: str, characters: int) -> None:
        """Takes the next row: its record, the text of the chosen part, and the length of the whole."""
        self._keys += text_key(text)
        self._characters.append(characters)
        for name in self.id_fields:
            key = _id_key(record.get(name))
            if key is None:
                del self._id_fields[name]
            else:
                self._id_fields[name] += key

    def done(self) -> Index:
        """What was found; ids only from the first field whose values all differ."""
        found = ((name, key_array(keys)) for name, keys in self._id_fields.items())
        field, ids = next(
            ((name, keys) for name, keys in found if all_differ(keys)),
            (None, np.empty((0, 4), dtype=np.uint64)),
        )
        return Index(key_array(self._keys), np.array(self._characters, dtype=np.int64), field, ids)


def all_differ(keys: KeyArray) -> bool:
    """Whether no two of (n, 4) keys are equal."""
    whole = np.sort(np.ascontiguousarray(keys).view("V32").ravel())
    return not bool((whole[1:] == whole[:-1]).any())


def _id_key(value: Any) -> bytes | None:
    if not isinstance(value, str | int) or value == "":
        return None
    try:
        return text_key(str(value))
    except UnicodeEncodeError:
        return None
