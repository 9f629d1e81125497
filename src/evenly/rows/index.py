"""What one pass over all rows learns: all that later steps want of every row, so that none is parsed again for it.

Keys look vectors up; lengths, ids, excerpts and plain values of fields are kept as columns; an even sample of texts
tells what is usual in the pool.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evenly.rows.columns import Columns, ColumnsBuilder, Scalar
from evenly.rows.noise import SpreadSample
from evenly.rows.shared import SharedSample, SharedText
from evenly.rows.turns import RecordError
from evenly.rows.whole import Texts
from evenly.types import Int64Array

KeyArray: TypeAlias = npt.NDArray[np.uint64]
"""(n, 4) uint64: 32 bytes of BLAKE2b of each text's UTF-8."""

ID_FIELDS = ("id", "_id", "uid")

EXCERPT_CHARACTERS = 280
"""Of prompt and response each, for the view of the pool: some lines of a page."""

SHORT_CHARACTERS = 80
"""What is longer is text to read and no value to group or colour by."""

LONGEST_CHARACTERS = 2000
"""A field that nobody asked for with a longer text is not kept: the rows of a block wait in memory."""

MOST_LONG_AHEAD = 1000
"""So many more long texts than short values, and a field that nobody asked for is not kept on: it is one of texts."""

MOST_FIELDS = 64
"""Fields whose values are kept without having been asked for: the view takes the first dozen that are fit."""

ROWS_AT_ONCE = 256
"""Records that wait to be learnt of together: one at a time takes twice as long, and each may hold a long vector."""

CHARACTERS_AT_ONCE = 4 << 20
"""Characters of their texts, at most."""

_ID_BYTES = 16
"""Of what stands for an id while it is not known whether all of them differ: two of a billion collide once in 10^20."""

PROMPT, RESPONSE, FIELD = "prompt", "response", "field:"
_PLAIN = {str, int, float, bool, type(None)}


def text_key(text: str) -> bytes:
    """32 bytes that stand for a text.

    Raises:
        UnicodeEncodeError: it holds half a character.
    """
    return hashlib.blake2b(text.encode("utf-8"), digest_size=32).digest()


def key_array(keys: bytes | bytearray) -> KeyArray:
    """Keys one after another as (n, 4) uint64."""
    return np.frombuffer(keys, dtype="<u8").reshape(-1, 4)


@dataclass
class FieldFacts:
    """What was seen of one field.

    Attributes:
        kinds: of its values: str, int, float, bool.
        short, long: rows where it holds a short value, and a long text.
        whole: whether every value is kept; else it must be read again.
        plain: whether every value is one to group or colour by.
    """

    kinds: set[type] = field(default_factory=set)
    short: int = 0
    long: int = 0
    whole: bool = True
    plain: bool = True

    def see(self, values: list[Scalar] | None, *, asked: bool) -> None:
        """Takes the values of the next rows; None where one of them is no plain value.

        Args:
            values: as `scalar` gives them.
            asked: whether the field is kept however long its values are.
        """
        if values is None:
            self.plain = self.whole = False
            return
        kinds = set(map(type, values))
        present = len(values) - (values.count(None) if type(None) in kinds else 0)
        lengths = [len(value) for value in values if isinstance(value, str)] if str in kinds else []
        long = sum(length > SHORT_CHARACTERS for length in lengths)
        self.long += long
        self.short += present - long
        if not asked and (
            max(lengths, default=0) > LONGEST_CHARACTERS or self.long - self.short > MOST_LONG_AHEAD
        ):
            self.whole = False
        if int in kinds and any(type(value) is int and not -(2**63) <= value < 2**63 for value in values):
            kinds.add(str)  # a whole number that no column of numbers holds is text
        self.kinds |= kinds - {type(None)}


@dataclass(frozen=True, eq=False)
class Index:
    """What is known of the N rows of a pool.

    Attributes:
        keys: (N, 4) uint64, of the text of the chosen part.
        characters: (N,) int64, length of the whole text.
        id_fields: of every source, the field that names its rows by ids of their own; None for "NAME:NUMBER".
        fields: the fields with plain values, in order of appearance.
        columns: excerpts of prompt and response, and the values of the fields.
        sample: texts that tell what is usual.
        shared: what the texts of the chosen part of every source share.
    """

    keys: KeyArray
    characters: Int64Array
    id_fields: tuple[str | None, ...]
    fields: dict[str, FieldFacts]
    columns: Columns
    sample: SpreadSample
    shared: tuple[SharedText, ...]


class IndexBuilder:
    """Collects what `Index` holds, within a ``with`` block.

    Args:
        asked: fields whose values are wanted in any case.
        scratch: folder for scratch files; None takes that of the system.
    """

    def __init__(self, asked: Sequence[str], scratch: Path | None) -> None:
        self._asked = {*asked, *ID_FIELDS}
        self._nested = [name for name in dict.fromkeys(asked) if "." in name]
        self._keys, self._characters = bytearray(), array("q")
        self._columns = ColumnsBuilder(scratch)
        self._fields: dict[str, FieldFacts] = {}
        self._sample = SpreadSample()
        self._sharing = SharedSample()
        self._shared: list[SharedText] = []
        self._ids: dict[str, bytearray] = {}
        self._texts: frozenset[str] = frozenset()
        self._records: list[dict[str, Any]] = []
        self._of_records: list[Texts] = []
        self._held = 0
        self._sources: list[
            tuple[str | None, bytearray, Sequence[int]]
        ] = []  # field, keys and row numbers of each source's ids

    def __enter__(self) -> IndexBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._columns.__exit__(kind, error, trace)

    def begin_source(self, first: dict[str, Any], texts: Sequence[str]) -> list[str]:
        """Takes up a source.

        Args:
            first: its first record, which says what field may hold ids.
            texts: the fields that hold its text; their values are not kept, unless they were asked for.

        Returns:
            The fields wanted of every record.
        """
        self._ids = {name: bytearray() for name in ID_FIELDS if name in first}
        self._texts = frozenset(texts) - self._asked
        self._sharing = SharedSample()
        for name in self._texts:
            self._fields.setdefault(name, FieldFacts()).whole = False
        return [*self._asked, *map(root_of, self._nested)]

    def add(self, record: dict[str, Any], texts: Texts, text: str) -> None:
        """Takes the next row: its record, its texts, and the text of the chosen part."""
        key = text_key(text)
        self._keys += key
        self._sharing.add(key, text)
        self._records.append(record)
        self._of_records.append(texts)
        self._held += len(texts.whole)
        if len(self._records) == ROWS_AT_ONCE or self._held > CHARACTERS_AT_ONCE:
            self._learn()

    def _learn(self) -> None:
        """Learns of the rows that wait, a column at a time."""
        records, texts = self._records, self._of_records
        self._characters.extend([len(each.whole) for each in texts])
        self._sample.add(texts)
        for name in tuple(self._ids):
            keys = _id_keys([record.get(name) for record in records])
            if keys is None:
                del self._ids[name]
            else:
                self._ids[name] += keys
        columns: dict[str, list[Any]] = {
            PROMPT: [excerpt(each.prompt) for each in texts],
            RESPONSE: [excerpt(each.response) for each in texts],
        }
        seen = dict.fromkeys(chain.from_iterable(records))
        for name in (*seen, *(name for name in self._nested if root_of(name) in seen and name not in seen)):
            if name not in self._texts:
                facts = self._facts_of(name)
                values = (
                    _plain_values([value_at(record, name) for record in records]) if facts.plain else None
                )
                facts.see(values, asked=name in self._asked)
                if values is not None and facts.whole:
                    columns[FIELD + name] = values
        self._columns.add(len(records), columns)
        self._records, self._of_records, self._held = [], [], 0

    def _facts_of(self, name: str) -> FieldFacts:
        if name not in self._fields:
            kept = sum(facts.whole for facts in self._fields.values())
            self._fields[name] = FieldFacts(whole=name in self._asked or kept < MOST_FIELDS)
        return self._fields[name]

    def end_source(self, numbers: Sequence[int]) -> None:
        """Ends a source whose rows have these numbers: its ids are those of the first field whose values all differ."""
        self._learn()
        found = ((name, keys) for name, keys in self._ids.items() if _all_differ(keys))
        self._shared.append(self._sharing.found())
        self._sources.append((*next(found, (None, bytearray())), numbers))

    def done(self, names: Sequence[str]) -> Index:
        """What was found.

        Args:
            names: of the sources, as ids of their rows begin where these have none of their own.
        """
        ids = [name for name, _, _ in self._sources]
        if len(ids) > 1 and any(ids):
            keys = bytearray()
            for source, (own, own_keys, own_numbers) in zip(names, self._sources, strict=True):
                numbered = (_id_key(f"{source}:{at}") for at in own_numbers)
                keys += own_keys if own else b"".join(numbered)
            if not _all_differ(keys):
                ids = [None] * len(ids)
        return Index(
            keys=key_array(self._keys),
            characters=np.array(self._characters, dtype=np.int64),
            id_fields=tuple(ids),
            fields=self._fields,
            columns=self._columns.done(),
            sample=self._sample,
            shared=tuple(self._shared),
        )


def excerpt(text: str) -> str:
    """The beginning of a text, for people to look at."""
    return text if len(text) <= EXCERPT_CHARACTERS else text[: EXCERPT_CHARACTERS - 1] + "…"


def scalar(value: Any) -> Scalar:
    """A value one can group or colour by; RecordError where it is none."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if isinstance(value, list | tuple | dict | bytes):
        raise RecordError(f"holds {type(value).__name__}, not one value,")
    return str(value)


def root_of(name: str) -> str:
    """The field that holds a field within it: "meta" for "meta.lang"."""
    return name.partition(".")[0]


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field, or of one within fields: "meta.lang"; None where a record lacks it."""
    if name in record or "." not in name:
        return record.get(name)
    value: Any = record
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _plain_values(values: list[Any]) -> list[Scalar] | None:
    """The values as `scalar` gives them; None where one is none."""
    if set(map(type, values)) <= _PLAIN:
        return values
    try:
        return [scalar(value) for value in values]
    except RecordError:
        return None


def _id_key(value: str) -> bytes:
    return hashlib.blake2b(value.encode("utf-8"), digest_size=_ID_BYTES).digest()


def _all_differ(keys: bytearray) -> bool:
    """Whether no two of the keys of ids are equal; sorts them where they are, for a copy would be as large."""
    whole = np.frombuffer(keys, dtype=f"V{_ID_BYTES}")
    whole.sort()
    return not bool((whole[1:] == whole[:-1]).any())


def _id_keys(values: list[Any]) -> bytes | None:
    """What stands for each of some ids; None where one is none."""
    if any(not isinstance(value, str | int) or value == "" for value in values):
        return None
    try:
        return b"".join([_id_key(str(value)) for value in values])
    except UnicodeEncodeError:
        return None
