"""A JSON file that is one array of objects, alone or in an object; the white space between them is kept as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from typing import IO, Any, cast

import numpy as np

from evenly.errors import InputError
from evenly.rows.contents import Contents
from evenly.rows.fileformat import Record, RowsToWrite
from evenly.rows.forms import recognise
from evenly.rows.textfile import Places, TextFile, an_object, decoded, kind_of_value
from evenly.rows.turns import names_of
from evenly.types import Int64Array

_DECODER = json.JSONDecoder()
_LIST_OF_OBJECTS = re.compile(r"\[\s*\{")
_SPACE = re.compile(r"[ \t\r\n]*")
_SHOWN_NAMES = 8  # of an object that holds no rows: enough to see what it is
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
        return an_object(json.loads(self.raw(row).decode()), f"row {self.number(row)} of {self.name}")

    def line(self, row: int) -> bytes:
        return _LINE_BREAK.sub(lambda found: b", " if found[1] else b"", self.raw(row)) + b"\n"

    @property
    def line_opening(self) -> bytes:
        return b""


def _elements(name: str, text: str, places: Places) -> Iterator[Record]:
    """The elements of the array that ``text`` holds, at the top or in an object; notes the place of each."""
    place = _skip(text, 1 if text.startswith("\ufeff") else 0)
    if text[place : place + 1] == "{":
        place = yield from _members(name, text, _skip(text, place + 1), places)
    elif text[place : place + 1] == "[":
        place = yield from _array(name, text, _skip(text, place + 1), places)
    else:
        value, _ = _DECODER.raw_decode(text, place)
        raise _no_array(name, value)
    rest = _skip(text, place)
    if text[rest : rest + 1] == "[":
        raise InputError(
            f"{name} holds more than one array; write one, or one object a line, for example: "
            "jq -c '.[]' FILE > rows.jsonl"
        )
    if rest != len(text):
        raise json.JSONDecodeError("Extra data behind the array", text, rest)


def _array(name: str, text: str, place: int, places: Places) -> Generator[Record, None, int]:
    """The elements of an array from its first on; returns the place behind its bracket."""
    more = text[place : place + 1] != "]"
    while more:
        value, end = _DECODER.raw_decode(text, place)
        record = an_object(value, f"row {len(places) + 1} of {name}")
        places.add(place, end)
        yield record
        place, more = _after(text, end, "]")
    return place + 1


def _members(name: str, text: str, place: int, places: Places) -> Generator[Record, None, int]:
    """The elements of the one list of objects that an object holds; returns the place behind its brace."""
    lists: list[str] = []
    others: dict[str, Any] = {}
    more = text[place : place + 1] != "}"
    while more:
        key, end = _DECODER.raw_decode(text, place)
        if text[(end := _skip(text, end)) : end + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, end)
        place = _skip(text, end + 1)
        if _LIST_OF_OBJECTS.match(text, place):
            lists.append(str(key))
            if len(lists) > 1:
                raise InputError(
                    f"{name} holds two lists of objects, {' and '.join(lists)}; "
                    "write the one that holds the rows to a file of its own"
                )
            end = yield from _array(name, text, _skip(text, place + 1), places)
        else:
            others[str(key)], end = _DECODER.raw_decode(text, place)
        place, more = _after(text, end, "}")
    if not lists and text.startswith("{", _skip(text, place + 1)):
        raise InputError(
            f"{name} holds objects one after the other; write one a line, for example: jq -c . FILE > rows.jsonl"
        )
    if not lists:
        raise _no_array(name, others)
    return place + 1


def _after(text: str, end: int, closing: str) -> tuple[int, bool]:
    """The place of what follows an element, and whether that is another element."""
    place = _skip(text, end)
    if text[place : place + 1] == ",":
        return _skip(text, place + 1), True
    if text[place : place + 1] != closing:
        raise json.JSONDecodeError(f"Expecting ',' or '{closing}'", text, place)
    return place, False


def _no_array(name: str, value: Any) -> InputError:
    expected = (
        "expected an array of objects, an object with one list of objects in it, or one object on every line"
    )
    if not isinstance(value, dict) or not value:
        return InputError(f"{name} holds {kind_of_value(value)} at the top level; {expected}")
    kinds = set(map(type, value.values()))
    if len(value) > 1 and (kinds == {list} or kinds == {dict}):
        by = "index" if kinds == {dict} and recognise(next(iter(value.values()))) else "columns"
        return InputError(
            f"{name} holds an object of {len(value)} {'columns' if by == 'columns' else 'rows'}; {expected}. With "
            f"pandas: read_json(FILE, orient={by!r}).to_json('rows.jsonl', orient='records', lines=True)"
        )
    found = names_of([*value][:_SHOWN_NAMES]) + (" …" if len(value) > _SHOWN_NAMES else "")
    return InputError(f"{name} holds an object at the top level (with {found}); {expected}")


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


def write_array(written: RowsToWrite, stream: IO[bytes]) -> None:
    """An array with the brackets and spaces of its first source that is one."""
    sources = cast(Sequence[TextFile], written.sources)
    style = next((records for records in sources if records.format == "json"), None)
    opening, separator, closing = (
        (style.opening, style.separator, style.closing) if style else (b"[\n", b",\n", b"\n]\n")
    )
    stream.write(opening)
    following = False
    for records, kept in cast(Iterator[tuple[TextFile, Int64Array]], written.runs()):
        for row in records.in_order(kept.tolist()):
            stream.write((separator if following else b"") + records.raw(row).strip())
            following = True
    stream.write(closing)
