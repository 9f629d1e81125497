"""Rows that share a text: exact copies, and rows that differ elsewhere (another image, another label).

Equal text is not an equal row. Two rows are copies where they are equal as a whole, the order of keys and ids aside.
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

_CALL_IDS = ("tool_call_id", "tool_use_id")


@dataclass(frozen=True, eq=False)
class SameText:
    """What is known of the rows that share the embedded text with an earlier row.

    Attributes:
        rows: (n,) int64, rising: those that differ in some field from every earlier row of the same text.
        copies: how many others there are, which equal an earlier row as a whole.
        fields: the fields in which ``rows`` differ from the first row of their text, and how many of them do.
    """

    rows: Int64Array
    copies: int
    fields: dict[str, int]


def same_text(rows: Rows) -> SameText:
    """Looks at the rows that share a text, and at no other; each of them is parsed once more."""
    whole = np.ascontiguousarray(rows.keys).view("V32").ravel()
    _, first, of, counts = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[of] > 1)
    leaders: dict[int, dict[str, bytes]] = {}
    seen: set[bytes] = set()
    others: list[int] = []
    fields: Counter[str] = Counter()
    for row in shared.tolist():
        text = int(first[of[row]])
        parts = _parts(rows.record(row))
        known = len(seen)
        seen.add(_digest([text, *sorted((name, part.hex()) for name, part in parts.items())]))
        leader = leaders.setdefault(text, parts)
        if len(seen) > known and leader is not parts:
            others.append(row)
            fields.update(name for name in {**leader, **parts} if leader.get(name) != parts.get(name))
    copies = len(shared) - len(leaders) - len(others)
    return SameText(np.array(others, dtype=np.int64), copies, dict(fields.most_common()))


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
