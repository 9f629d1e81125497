"""JSON Lines, JSON arrays and CSV, held as the bytes of the file and the place of every record in them.

Records are parsed when they are asked for and never kept, so a pool costs the size of its files at most, and a
kept record can be written exactly as it was read: its number literals, escapes, quoting and spaces included.
Contents may be mapped; all but JSON arrays are then gone through without ever being in memory as a whole.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from evenly.errors import InputError
from evenly.rows import contents
from evenly.rows.contents import Contents, is_blank, line_ends, text_end
from evenly.rows.formats import Format
from evenly.types import Int64Array

Record = dict[str, Any]

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, eq=False)
class TextFile:
    """The records of one text file.

    Attributes:
        name: what to call the file in messages.
        data: its bytes, decompressed; in memory or mapped.
        starts, ends: (N,) int64, record i is ``data[starts[i]:ends[i]]``.
        opening, separator, closing: the bytes before, between and after the records.
        names: the columns that every record has; None where every record brings its own keys.
    """

    name: str
    data: Contents = field(repr=False)
    starts: Int64Array
    ends: Int64Array
    opening: bytes = b""
    separator: bytes = b""
    closing: bytes = b""
    names: tuple[str, ...] | None = None
    format: ClassVar[Format]

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, row: int) -> bytes:
        """The bytes of a record; with its line ending in the formats of lines."""
        return self.data[self.starts[row] : self.ends[row]]

    @property
    def line_break(self) -> bytes:
        """That of the first line."""
        first = self.data.find(b"\n")
        return b"\r\n" if self.data[:first].endswith(b"\r") else b"\n"

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        """Parses one record. ``fields`` is a hint that only these are needed; text formats read all."""
        raise NotImplementedError

    def records(self, fields: Sequence[str] | None = None) -> Iterator[Record]:
        """All records in order; ``fields`` as above."""
        return map(self.record, self.in_order(range(len(self))))

    def in_order(self, rows: Sequence[int]) -> Iterator[int]:
        """Rising row numbers, one at a time; gives the memory of mapped contents back behind them."""
        done = 0
        for row in rows:
            yield row
            if self.ends[row] - done >= contents.AT_ONCE_BYTES:
                contents.release(self.data)
                done = self.ends[row]


class JsonLines(TextFile):
    """One object per line. The last may lack its line break; blank lines may follow it, and no other line."""

    format: ClassVar[Format] = "jsonl"

    @classmethod
    def scan(cls, name: str, data: Contents) -> JsonLines:
        """Finds the lines; what they hold is checked when it is read."""
        check_text(name, data)
        first = len(_BOM) if data[: len(_BOM)] == _BOM else 0
        after_breaks = line_ends(data)
        end = text_end(data)
        # Line breaks behind the last record belong to it (the first) and to the closing (the rest).
        inner = after_breaks[after_breaks <= end]
        ending = after_breaks[len(inner) : len(inner) + 1]
        ends = np.concatenate([inner, ending if len(ending) else [len(data)]]).astype(np.int64)
        starts = np.concatenate([[first], ends[:-1]]).astype(np.int64)
        if end <= first:
            raise InputError(f"{name} is empty; expected one JSON object per line")
        return cls(name, data, starts, ends, opening=data[:first], closing=data[ends[-1] :])

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        try:
            value = json.loads(self.raw(row).decode())
        except json.JSONDecodeError as error:
            if not self.raw(row).strip():
                raise InputError(f"line {row + 1} of {self.name} is blank; remove it") from None
            column = min(error.pos, len(error.doc.rstrip())) + 1
            raise InputError(
                f"line {row + 1} of {self.name} is not JSON: {error.msg}, column {column}; mend it"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"line {row + 1} of {self.name} is not UTF-8; save the file as UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"line {row + 1} of {self.name} cannot be read: {error}; remove the line"
            ) from None
        return _object(value, f"line {row + 1} of {self.name}")


class JsonArray(TextFile):
    """One array of objects, with the white space between them kept as it is."""

    format: ClassVar[Format] = "json"

    @classmethod
    def scan(cls, name: str, data: Contents) -> JsonArray:
        """Parses every element once, to find where it ends."""
        check_text(name, data)
        text = _decoded(name, data)
        spans: list[tuple[int, int]] = []
        try:
            _scan_array(name, text, spans)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise InputError(f"{name} is not JSON: {error.msg}, {where}; mend the file there") from None
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"row {len(spans) + 1} of {name} cannot be read: {error}; remove the row"
            ) from None
        if not spans:
            raise InputError(f"{name} is an empty array; expected at least one record")
        edges = _byte_offsets(text, np.array(spans, dtype=np.int64).reshape(-1), len(data))
        starts, ends = edges[0::2].copy(), edges[1::2].copy()
        between = data[ends[0] : starts[1]] if len(spans) > 1 else b",\n"
        return cls(name, data, starts, ends, data[: starts[0]], between, data[ends[-1] :])

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        record: Record = json.loads(self.raw(row).decode())
        return record


def _scan_array(name: str, text: str, spans: list[tuple[int, int]]) -> None:
    """Appends the span in characters of every element of the array that ``text`` holds."""
    place = _skip(text, 1 if text.startswith("\ufeff") else 0)
    if text[place : place + 1] != "[":
        value, _ = _DECODER.raw_decode(text, place)
        raise InputError(
            f"{name} holds {_kind(value)} at the top level; expected an array of objects "
            "(if every line is an object, name the file .jsonl)"
        )
    place = _skip(text, place + 1)
    more = text[place : place + 1] != "]"
    while more:
        value, end = _DECODER.raw_decode(text, place)
        _object(value, f"row {len(spans) + 1} of {name}")
        spans.append((place, end))
        place = _skip(text, end)
        more = text[place : place + 1] == ","
        if more:
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, place)
    rest = _skip(text, place + 1)
    if rest != len(text):
        raise json.JSONDecodeError("Extra data behind the array", text, rest)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _byte_offsets(text: str, characters: Int64Array, size: int) -> Int64Array:
    """Turns rising offsets in characters into offsets in UTF-8 bytes."""
    if size == len(text):
        return characters
    before = np.concatenate([[0], characters[:-1]])
    lengths = [
        len(text[start:end].encode()) for start, end in zip(before.tolist(), characters.tolist(), strict=True)
    ]
    return np.cumsum(np.array(lengths, dtype=np.int64))


class Csv(TextFile):
    """Comma-separated values under a header line; all values are text, nothing is guessed from them.

    A record is kept as its bytes, so it is written with the quoting it had.
    """

    format: ClassVar[Format] = "csv"

    @classmethod
    def scan(cls, name: str, data: Contents) -> Csv:
        """Parses every line once, because a quoted field may run over several."""
        check_text(name, data)
        first = len(_BOM) if data[: len(_BOM)] == _BOM else 0
        spans = _csv_spans(name, data, first)
        header = next(spans, (0, 0, [], 1))[2]
        if not header:
            raise InputError(
                f"line 1 of {name} is blank; expected a header line with the names of the columns"
            )
        twice = next((column for column in header if header.count(column) > 1), None)
        if twice is not None:
            raise InputError(
                f"the header of {name} names the column {twice!r} twice; give every column its own name"
            )
        places: list[tuple[int, int]] = []
        for start, end, fields, line in spans:
            if len(fields) != len(header):
                found = (
                    f"has {len(fields)} fields where the header has {len(header)}" if fields else "is blank"
                )
                raise InputError(f"line {line} of {name} {found}; mend or remove the line")
            places.append((start, end))
        if not places:
            raise InputError(f"{name} holds a header and no rows; expected at least one record")
        starts, ends = np.array(places, dtype=np.int64).T.copy()
        return cls(name, data, starts, ends, data[: starts[0]], b"", data[ends[-1] :], tuple(header))

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        with _long_fields():
            values = next(csv.reader([self.raw(row).decode()], strict=True))
        return dict(zip(self.names or (), values, strict=True))


def _csv_spans(name: str, data: Contents, first: int) -> Iterator[tuple[int, int, list[str], int]]:
    """Yields start, end, fields and first line of the header and every record; blank last lines are left."""
    ends = line_ends(data)
    ends = np.append(ends, len(data)) if not len(ends) or ends[-1] < len(data) else ends
    starts = np.concatenate([[first], ends])
    last = text_end(data, b"\r\n")
    lines = (data[starts[line] : ends[line]] for line in range(len(ends)))
    reader = csv.reader((_decoded(name, raw, line) for line, raw in enumerate(lines)), strict=True)
    while starts[reader.line_num] < last:
        line = reader.line_num
        try:
            with _long_fields():
                fields = next(reader)
        except csv.Error as error:
            raise InputError(
                f"line {line + 1} of {name} starts a record that is not CSV: {error}; mend its quotes"
            ) from None
        yield int(starts[line]), int(starts[reader.line_num]), fields, line + 1


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lifts the csv module's limit of 131,072 characters a field, which is global, for a moment."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def check_text(name: str, data: Contents) -> None:
    """Refuses empty files and NUL bytes, naming the line."""
    if is_blank(data):
        raise InputError(f"{name} is empty; expected at least one record")
    place = contents.find_byte(data, b"\0")
    if place >= 0:
        line = data[:place].count(b"\n") + 1
        raise InputError(
            f"line {line} of {name} holds a NUL byte; it is not UTF-8 text, or it is damaged: save it again"
        )


def _decoded(name: str, data: Contents, line: int = 0) -> str:
    """Decodes UTF-8, naming the line that is none, where ``data`` begins at a line numbered from 0."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        line += data[: error.start].count(b"\n") + 1
        raise InputError(f"line {line} of {name} is not UTF-8; save the file as UTF-8") from None


def _object(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise InputError(f"{where} is {_kind(value)}; expected an object with named fields")
    return value


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return words.get(type(value), "a number")
