"""Comma-separated values under a header line; all values are text, nothing is guessed from them.

Tab-separated values are the same with another mark between them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evenly.errors import InputError
from evenly.rows.contents import Contents, line_ends, text_end
from evenly.rows.fileformat import FileFormat, Record
from evenly.rows.json_files import is_lines
from evenly.rows.json_lines import JsonLines
from evenly.rows.textfile import BOM, Places, TextFile, decoded, write_lines
from evenly.rows.turns import unpacked
from evenly.rows.vector_field import list_blocks
from evenly.types import Float32Array

_HEADER_BYTES = 1 << 16
_QUOTED = re.compile(rb'"[^"]*"')


class Csv(TextFile):
    """The records of a CSV file, kept as their bytes, so that they are written with the quoting they had.

    A quoted field may run over several lines, so where a record ends is known once it is parsed: the first pass
    does both.
    """

    def __init__(self, name: str, data: Contents, delimiter: str = "") -> None:
        super().__init__(name, data)
        self.format = "tsv" if delimiter else "csv"
        self._places = Places()
        first = len(BOM) if data[: len(BOM)] == BOM else 0
        self._delimiter = delimiter or _delimiter(data[first : first + _HEADER_BYTES])
        self._found_rows = _csv_spans(name, data, first, self._delimiter)
        header = [column.strip() for column in next(self._found_rows, (0, 0, [], 1))[2]]
        if not header:
            raise InputError(
                f"line 1 of {name} is blank; expected a header line with the names of the columns"
            )
        twice = next((column for column in header if header.count(column) > 1), None)
        if twice is not None:
            raise InputError(
                f"the header of {name} names the column {twice!r} twice; give every column its own name"
            )
        self._header = self.names = tuple(header)

    def __len__(self) -> int:
        return len(self.starts) or self._places.expected(len(self.data))

    def _found(self) -> Iterator[Record]:
        header, places = self._header, self._places
        blank: list[int] = []
        self.blank = blank
        for start, end, fields, line in self._found_rows:
            if not fields and self.skip_blank:
                blank.append(line)
                continue
            if len(fields) != len(header):
                found = (
                    f"has {len(fields)} fields where the header has {len(header)}" if fields else "is blank"
                )
                others = "" if fields else ", or leave such lines out with `skip_empty`"
                raise InputError(f"line {line} of {self.name} {found}; mend or remove the line{others}")
            places.add(start, end)
            yield dict(zip(header, fields, strict=True))
        if not len(places):
            raise InputError(f"{self.name} holds a header and no rows; expected at least one record")
        starts, ends = places.done()
        self.opening, self.closing = self.data[: starts[0]], self.data[ends[-1] :]
        self.starts, self.ends = starts, ends

    def vector_blocks(self, name: str) -> Iterator[Float32Array] | None:
        """As elsewhere; a list of numbers is JSON in a cell."""
        return list_blocks((unpacked(record.get(name)) for record in self.records()), self.name, name)

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        with _long_fields():
            values = next(csv.reader([self.raw(row).decode()], delimiter=self._delimiter, strict=True))
        return dict(zip(self._header, values, strict=True))


def _delimiter(header: bytes) -> str:
    """A comma, or what stands outside quotes in a first line that has none: a semicolon, a tab or a bar."""
    line = _QUOTED.sub(b"", header.splitlines()[0] if header else b"")
    return next((mark for mark in (",", ";", "\t", "|") if mark.encode() in line), ",")


def _csv_spans(
    name: str, data: Contents, first: int, delimiter: str
) -> Iterator[tuple[int, int, list[str], int]]:
    """Yields start, end, fields and first line of the header and every record; blank last lines are left."""
    ends = line_ends(data)
    ends = np.append(ends, len(data)) if not len(ends) or ends[-1] < len(data) else ends
    starts = np.concatenate([[first], ends])
    last = text_end(data, b"\r\n")
    lines = (data[starts[line] : ends[line]] for line in range(len(ends)))
    reader = csv.reader(
        (decoded(name, raw, line) for line, raw in enumerate(lines)), delimiter=delimiter, strict=True
    )
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


def _read(name: str, data: Contents, scratch: Path | None) -> TextFile:
    return JsonLines(name, data) if is_lines(data) else Csv(name, data)


CSV = FileFormat("csv", (".csv",), _read, write_lines)
TSV = FileFormat("tsv", (".tsv",), lambda name, data, scratch: Csv(name, data, "\t"), write_lines)
