"""What a file format brings: how its rows are read, and how kept ones are written.

A format is one module of this room with one `FileFormat` in it, and one line in the list of `evenly.rows.formats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from evenly.rows.contents import Contents
from evenly.rows.vector_field import list_blocks
from evenly.types import BoolArray, Float32Array, Int64Array

Record = dict[str, Any]


class Records:
    """The records of one source, parsed when they are asked for and never kept.

    Attributes:
        format: name of its `FileFormat`.
        name: what to call the source in messages.
        names: the columns that every record has; None where every record brings its own keys.
        skip_blank: whether blank lines are left out and not refused; set before the first pass.
        blank: the numbers of the lines that were left out, from 1.
    """

    format: str
    name: str
    names: tuple[str, ...] | None = None
    skip_blank: bool = False
    blank: Sequence[int] = ()
    _numbers: Int64Array | None = None

    def __len__(self) -> int:
        """How many there are; before the end of the first pass an estimate where only that pass can tell."""
        raise NotImplementedError

    def first_pass(self) -> tuple[Record, Callable[[Sequence[str] | None], Iterator[Record]]]:
        """All records in order, each parsed once. Records are asked for by number only after it.

        Returns:
            The first record with all its fields, and what gives all records, the first among them, with at least
            the fields that it is told; None stands for all.
        """
        raise NotImplementedError

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        """One record, with at least those of ``fields`` that there are; None for every field."""
        raise NotImplementedError

    def records(
        self, fields: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """The records ``start`` … ``stop`` - 1 in order (to the end for None); ``fields`` as above."""
        raise NotImplementedError

    def number(self, row: int) -> int:
        """What a record is called in the source, from 1: its number among all records, or its line."""
        return row + 1 if self._numbers is None else int(self._numbers[row])

    @property
    def numbers(self) -> Sequence[int]:
        """`number` of every record."""
        return range(1, len(self) + 1) if self._numbers is None else self._numbers.tolist()

    def leave_out(self, rows: Sequence[int]) -> None:
        """Has some records, by their place, no longer there; the others keep what they are called."""
        left = np.delete(np.arange(len(self)), rows)
        self._numbers = left + 1 if self._numbers is None else self._numbers[left]
        self._keep(left)

    def _keep(self, rows: Int64Array) -> None:
        """Keeps the records of these places alone."""
        raise NotImplementedError

    @property
    def columns(self) -> Any:
        """What must be equal for rows of two sources to go into one file."""
        return self.names

    def media(self, names: Sequence[str]) -> BoolArray | None:
        """(N,) bool, the rows that hold something in one of these columns; None where records say it themselves."""
        return None

    def vector_blocks(self, name: str) -> Iterator[Float32Array] | None:
        """A field of vectors, (n, d) float32 for some rows at a time; None where no record has the field.

        Raises:
            InputError: something else in it, or lists of different lengths (names the row).
        """
        return list_blocks((record.get(name) for record in self.records()), self.name, name)


@dataclass(frozen=True, eq=False)
class RowsToWrite:
    """The rows that go into one file, in their order there.

    Attributes:
        sources: all whose rows may go into it, even those that give none; the first decides over its style.
        source: (k,) int64, the source of each row, by its place among them.
        row: (k,) int64, its number there.
    """

    sources: Sequence[Records]
    source: Int64Array
    row: Int64Array

    def __len__(self) -> int:
        return len(self.row)

    @property
    def rising(self) -> bool:
        """Whether the rows are in the order of their sources, so that each source is gone through once."""
        behind = np.diff(self.source)
        return bool(((behind > 0) | ((behind == 0) & (np.diff(self.row) > 0))).all())

    def runs(self) -> Iterator[tuple[Records, Int64Array]]:
        """Stretches of rows of one source, (n,) int64 numbers; where `rising`, one of each source, maybe empty."""
        if self.rising:
            borders = np.searchsorted(self.source, np.arange(1, len(self.sources)))
            yield from zip(self.sources, np.split(self.row, borders), strict=True)
            return
        borders = np.flatnonzero(np.diff(self.source)) + 1
        for start, rows in zip([0, *borders.tolist()], np.split(self.row, borders), strict=True):
            yield self.sources[int(self.source[start])], rows


@dataclass(frozen=True)
class FileFormat:
    """A format of files.

    Attributes:
        name: of the format.
        endings: of file names, with their dot, in lower case.
        read: opens decompressed contents: takes what to call the source, the contents, and a folder for scratch
            files (None for the system's). Whatever it finds wrong is an InputError.
        write: writes rows of sources that may be written in this format.
        also: formats beside its own that its rows can be written in unchanged.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[str, Contents, Path | None], Records]
    write: Callable[[RowsToWrite, IO[bytes]], None]
    also: tuple[str, ...] = ()

    @property
    def written_as(self) -> tuple[str, ...]:
        """All formats that its rows can be written in, the best first."""
        return (self.name, *self.also) if self.endings else self.also
