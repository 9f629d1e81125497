"""A JSON file that is one array of objects, with the white space between them kept as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from evenly.errors import InputError
from evenly.rows.contents import Contents
from evenly.rows.fileformat import FileFormat, Record
from evenly.rows.textfile import Places, TextFile, an_object, decoded, kind_of_value
from evenly.types import Int64Array

_SPACE = re.compile(r"[ \t\r\n]*")
# A line break cannot stand inside a JSON string, so white space from one on is between tokens.
_LINE_BREAK = re.compile(rb"(,?)[\r\n]\s*")


class JsonArray(TextFile):
    """The records of an array. Where one ends is known once it is parsed, so the first pass does both."""

    format = "json"

    def __init__(self, name: str, data: Contents) -> None:
        super().__init__(name, data)
        self._places = Places()

    def __len__(self) -> int:
        return len(self.starts) or self._places.expected(len(self.data))

    def _found(self) -> Iterator[Record]:
        text = decoded(self.name, self.data)
        try:
            yield from _elements(self.name, text, self._places)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise InputError(f"{self.name} is not JSON: {error.msg}, {where}; mend the file there") from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"row {len(self._places) + 1} of {self.name} cannot be read: {error}; remove the row"
            ) from None
        if not len(self._places):
            raise InputError(f"{self.name} is an empty array; expected at least one record")
        data = self.data
        spans = np.stack(self._places.done(), axis=1).reshape(-1)
        edges = _byte_offsets(text, spans, len(data))
        starts, ends = edges[0::2].copy(), edges[1::2].copy()
        self.separator = data[ends[0] : starts[1]] if len(starts) > 1 else b",\n"
        self.opening, self.closing = data[: starts[0]], data[ends[-1] :]
        self.starts, self.ends = starts, ends

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        record: Record = json.loads(self.raw(row).decode())
        return record

    def line(self, row: int) -> bytes:
        return _LINE_BREAK.sub(lambda found: b", " if found[1] else b"", self.raw(row)) + b"\n"

    @property
    def line_opening(self) -> bytes:
        return b""


def _elements(name: str, text: str, places: Places) -> Iterator[Record]:
    """The elements of the array that ``text`` holds; notes the place in characters of each."""
    decoder = json.JSONDecoder()
    place = _skip(text, 1 if text.startswith("\ufeff") else 0)
    if text[place : place + 1] != "[":
        value, _ = decoder.raw_decode(text, place)
        raise InputError(
            f"{name} holds {kind_of_value(value)} at the top level; expected an array of objects "
            "(if every line is an object, name the file .jsonl)"
        )
    place = _skip(text, place + 1)
    more = text[place : place + 1] != "]"
    while more:
        value, end = decoder.raw_decode(text, place)
        record = an_object(value, f"row {len(places) + 1} of {name}")
        places.add(place, end)
        yield record
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


def _write(parts: Sequence[tuple[TextFile, Int64Array]], stream: IO[bytes]) -> None:
    """An array with the brackets and spaces of its first source that is one."""
    style = next((records for records, _ in parts if records.format == "json"), None)
    opening, separator, closing = (
        (style.opening, style.separator, style.closing) if style else (b"[\n", b",\n", b"\n]\n")
    )
    stream.write(opening)
    following = False
    for records, kept in parts:
        for row in records.in_order(kept.tolist()):
            stream.write((separator if following else b"") + records.raw(row).strip())
            following = True
    stream.write(closing)


def _read(name: str, data: Contents, scratch: Path | None) -> JsonArray:
    return JsonArray(name, data)


JSON_ARRAY = FileFormat("json", (".json",), _read, _write, also=("jsonl",))
