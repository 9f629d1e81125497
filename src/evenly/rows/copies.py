"""Rows that share a text: exact copies, and rows that differ elsewhere (another image, another label).

Equal text is not an equal row, and an equal vector is not an equal text. Two rows are copies where they are equal as a
whole, the order of keys and ids aside.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.rows.index import ID_FIELDS
from evenly.rows.turns import missing
from evenly.types import Int64Array

if TYPE_CHECKING:
    from evenly.rows.rows import Rows

_CALL_IDS = ("tool_call_id", "tool_use_id", "toolCallId", "call_id")


@dataclass(frozen=True, eq=False)
class SameText:
    """What is known of the rows that share the embedded text with an earlier row.

    Attributes:
        rows: (n,) int64, rising: those that differ in some field from every earlier row of the same text.
        fields: the fields in which ``rows`` differ from the first row of their text, and how many of them do.
        first: (N,) int64, for every row of the pool the first that equals it as a whole: itself but for copies.
        text: (N,) int64, for every row of the pool the first of the same text.
    """

    rows: Int64Array
    fields: dict[str, int]
    first: Int64Array
    text: Int64Array

    @property
    def copies(self) -> int:
        """How many rows equal an earlier one as a whole."""
        return int(np.count_nonzero(self.first != np.arange(len(self.first))))

    def hidden(self, first_equal: Int64Array) -> Int64Array:
        """The rows that are no copies and have the vector of an earlier row all the same, rising.

        Args:
            first_equal: (N,) int64, for every row the first of an equal vector.
        """
        own = np.arange(len(self.first))
        return np.flatnonzero((first_equal != own) & (self.first == own))


def same_text(rows: Rows) -> SameText:
    """Looks at the rows that share a text, and at no other; each of them is parsed once more."""
    whole = np.ascontiguousarray(rows.keys).view("V32").ravel()
    _, leader, of, counts = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    first, text = np.arange(len(rows)), leader[of.ravel()].astype(np.int64)
    leaders: dict[int, dict[str, bytes]] = {}
    seen: dict[bytes, int] = {}
    others: list[int] = []
    fields: Counter[str] = Counter()
    for row in np.flatnonzero(counts[of.ravel()] > 1).tolist():
        parts = _parts(rows.record(row))
        one = _digest([int(text[row]), *sorted((name, part.hex()) for name, part in parts.items())])
        first[row] = seen.setdefault(one, row)
        known = leaders.setdefault(int(text[row]), parts)
        if first[row] == row and known is not parts:
            others.append(row)
            fields.update(name for name in {**known, **parts} if known.get(name) != parts.get(name))
    return SameText(np.array(others, dtype=np.int64), dict(fields.most_common()), first, text)


def _parts(record: Mapping[str, Any]) -> dict[str, bytes]:
    """What stands for each field of a record but its ids and those that are null or NaN."""
    return {
        str(name): _digest(value)
        for name, value in record.items()
        if name not in ID_FIELDS and not missing(value)
    }


def _digest(value: Any) -> bytes:
    written = json.dumps(_without_ids(value), sort_keys=True, default=repr)
    return hashlib.blake2b(written.encode(), digest_size=16).digest()


def _without_ids(value: Any) -> Any:
    """A value without the ids of calls, which every run makes anew."""
    if isinstance(value, Mapping):
        is_call = "function" in value or value.get("type") == "tool_use"
        return {
            str(name): _without_ids(part)
            for name, part in value.items()
            if name not in _CALL_IDS and not (is_call and name == "id")
        }
    return [_without_ids(part) for part in value] if isinstance(value, list | tuple) else value
