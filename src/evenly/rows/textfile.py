"""JSON and CSV held as the bytes of the file and the place of every record in them.

Records are parsed when they are asked for and never kept, so a pool costs the size of its files at most, and a
kept record can be written exactly as it was read: its number literals, escapes, quoting and spaces included.
Contents may be mapped; all but JSON arrays are then gone through without ever being in memory as a whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import IO, Any, cast

import numpy as np

from evenly.errors import InputError
from evenly.rows import contents
from evenly.rows.contents import Contents, is_blank
from evenly.rows.fileformat import Record, Records, RowsToWrite
from evenly.rows.turns import is_turns
from evenly.types import Int64Array

BOM = b"\xef\xbb\xbf"

MAPPED_AROUND = 64 << 10
"""Bytes that Linux maps around a byte that is read, so that reading far from the last record costs so many more."""


class TextFile(Records):
    """The records of one text file.

    Attributes:
        data: its bytes, decompressed; in memory or mapped.
        starts, ends: (N,) int64, record i is ``data[starts[i]:ends[i]]``; known from the end of the first pass.
        opening, separator, closing: the bytes before, between and after the records.
    """

    def __init__(self, name: str, data: Contents) -> None:
        check_text(name, data)
        self.name, self.data = name, data
        self.starts: Int64Array = np.zeros(0, dtype=np.int64)
        self.ends = self.starts
        self.opening, self.separator, self.closing = b"", b"", b""
        self._latest, self._touched = 0, 0

    def __len__(self) -> int:
        return len(self.starts)

    def first_pass(self) -> tuple[Record, Callable[[Sequence[str] | None], Iterator[Record]]]:
        found = self._found()
        first = next(found)
        return first, lambda fields: chain((first,), found)

    def _found(self) -> Iterator[Record]:
        """All records as they are found, at least one; their places are known at the end."""
        raise NotImplementedError

    def _keep(self, rows: Int64Array) -> None:
        self.starts, self.ends = self.starts[rows], self.ends[rows]

    def raw(self, row: int) -> bytes:
        """The bytes of a record; with its line ending in the formats of lines."""
        return self.data[self.starts[row] : self.ends[row]]

    def line(self, row: int) -> bytes:
        """A record as a line of its own, with its line ending where it has one."""
        return self.raw(row)

    @property
    def line_opening(self) -> bytes:
        """What stands before the first line where records are written as lines."""
        return self.opening

    @property
    def line_break(self) -> bytes:
        """That of the first line."""
        first = self.data.find(b"\n")
        return b"\r\n" if self.data[:first].endswith(b"\r") else b"\n"

    def records(
        self, fields: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        return map(self.record, self.in_order(range(*slice(start, stop).indices(len(self)))))

    def in_order(self, rows: Sequence[int]) -> Iterator[int]:
        """Row numbers, one at a time; gives the memory of mapped contents back behind them."""
        for row in rows:
            yield row
            start, end = int(self.starts[row]), int(self.ends[row])
            self._touched += end - start + min(abs(start - self._latest), MAPPED_AROUND)
            self._latest = end
            if self._touched >= contents.AT_ONCE_BYTES:
                contents.release(self.data)
                self._touched = 0


class Places:
    """Where the records lie that a pass has found so far."""

    def __init__(self) -> None:
        self._starts, self._ends = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Takes the place of the next record."""
        self._starts.append(start)
        self._ends.append(end)

    def done(self) -> tuple[Int64Array, Int64Array]:
        """Starts and ends, (N,) int64 each."""
        return np.array(self._starts, dtype=np.int64), np.array(self._ends, dtype=np.int64)

    def expected(self, size: int) -> int:
        """How many records there will be in so many bytes or characters, if the rest is like what was found."""
        return len(self) * size // max(self._ends[-1], 1) if len(self) else 0


def write_lines(written: RowsToWrite, stream: IO[bytes]) -> None:
    """Writes records as lines, with the opening and the line break of the first source."""
    first = cast(TextFile, written.sources[0])
    stream.write(first.line_opening)
    ended = True
    for records, kept in cast(Iterator[tuple[TextFile, Int64Array]], written.runs()):
        for row in records.in_order(kept.tolist()):
            if not ended:
                stream.write(first.line_break)
            line = records.line(row)
            stream.write(line)
            ended = line.endswith(b"\n")


def check_text(name: str, data: Contents) -> None:
    """Refuses empty files, UTF-16 and NUL bytes, naming the line."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{name} is UTF-16; save it as UTF-8, for example: iconv -f UTF-16 -t UTF-8")
    if is_blank(data):
        raise InputError(f"{name} is empty; expected at least one record")
    place = contents.find_byte(data, b"\0")
    if place >= 0:
        line = data[:place].count(b"\n") + 1
        raise InputError(
            f"line {line} of {name} holds a NUL byte; it is not UTF-8 text, or it is damaged: save it again"
        )


def decoded(name: str, data: Contents, line: int = 0) -> str:
    """Decodes UTF-8, naming the line that is none, where ``data`` begins at a line numbered from 0."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        line += data[: error.start].count(b"\n") + 1
        raise InputError(f"line {line} of {name} is not UTF-8; save the file as UTF-8") from None


def an_object(value: Any, where: str) -> Record:
    """A record: an object, or a conversation that is a list of turns and nothing beside."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and is_turns(value):
        return {"messages": value}
    example = ' such as {"text": …}' if isinstance(value, str) else ""
    raise InputError(f"{where} is {kind_of_value(value)}; expected an object with named fields{example}")


def kind_of_value(value: Any) -> str:
    words = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return words.get(type(value), "a number")
