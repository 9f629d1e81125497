"""Columns of what one pass learns of all rows: in memory while small, in a mapped scratch file when large.

The values of some thousand rows are packed together, a list for each column, so that a long pool costs no memory of
its own. They are packed by `marshal`, in a tenth of the time that JSON takes: what it writes is read by this process
alone, and a value of any plain kind (half a character, a whole number of any size) comes back as it went in.
"""

from __future__ import annotations

import io
import marshal
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

from evenly.files import mapped, scratch_stream
from evenly.rows.contents import Contents

Scalar: TypeAlias = str | int | float | bool | None

_FORMAT = 2
"""Of `marshal`: floats by their bits, and no search for objects that are there twice, as later ones have."""

ROWS_AT_ONCE = 4096
"""Rows that are packed together, or some more: few enough to unpack them for one value."""

MEMORY_BYTES = 8 << 20
"""Packed bytes that stay in memory. Beyond, all go to a scratch file, so that a million rows cost no more."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of N rows, by name.

    Attributes:
        data: the packed values.
        places: of every column, by the number of the block, where in ``data`` its values lie; where it is not in
            a block, all its values there are None.
        last_rows: where each block ends.
    """

    data: Contents
    places: dict[str, dict[int, tuple[int, int]]]
    last_rows: list[int]
    _latest: dict[str, tuple[int, list[Scalar]]] = field(default_factory=dict)  # one lookup follows another

    def values(self, name: str, start: int, stop: int) -> Iterator[Scalar]:
        """The values of the rows ``start`` … ``stop`` - 1; None where a row has none."""
        for block in range(bisect_right(self.last_rows, start), len(self.last_rows)):
            first = self.last_rows[block - 1] if block else 0
            if first >= stop:
                return
            yield from self._block(name, block)[max(start - first, 0) : stop - first]

    def _block(self, name: str, block: int) -> list[Scalar]:
        latest = self._latest.get(name)
        if latest is None or latest[0] != block:
            place = self.places.get(name, {}).get(block)
            rows = self.last_rows[block] - (self.last_rows[block - 1] if block else 0)
            values = [None] * rows if place is None else marshal.loads(self.data[slice(*place)])
            latest = self._latest[name] = (block, values)
        return latest[1]


class ColumnsBuilder:
    """Packs columns as rows come, within a ``with`` block.

    Args:
        scratch: folder of the scratch file; None takes that of the system.
    """

    def __init__(self, scratch: Path | None) -> None:
        self._scratch = scratch
        self._waiting: dict[str, list[Any]] = {}
        self._rows = 0  # that wait
        self._places: dict[str, dict[int, tuple[int, int]]] = {}
        self._last_rows: list[int] = []
        self._stream: IO[bytes] = io.BytesIO()
        self._opened = ExitStack()

    def __enter__(self) -> ColumnsBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def add(self, rows: int, columns: dict[str, list[Any]]) -> None:
        """Takes the next rows.

        Args:
            rows: how many.
            columns: the values of each column, one a row; None in the columns left out.
        """
        for name, values in columns.items():
            waiting = self._waiting.setdefault(name, [])
            waiting.extend([None] * (self._rows - len(waiting)))
            waiting.extend(values)
        self._rows += rows
        if self._rows >= ROWS_AT_ONCE:
            self._pack()

    def done(self) -> Columns:
        """All columns of all rows."""
        self._pack()
        held = self._stream
        data = held.getvalue() if isinstance(held, io.BytesIO) else mapped(held)
        return Columns(data, self._places, self._last_rows)

    def _pack(self) -> None:
        if not self._rows:
            return
        for name, values in self._waiting.items():
            values.extend([None] * (self._rows - len(values)))
            start = self._stream.tell()
            self._stream.write(marshal.dumps(values, _FORMAT))
            place = (start, self._stream.tell())
            self._places.setdefault(name, {})[len(self._last_rows)] = place
        self._waiting.clear()
        self._last_rows.append(self._rows + (self._last_rows[-1] if self._last_rows else 0))
        self._rows = 0
        if isinstance(self._stream, io.BytesIO) and self._stream.tell() > MEMORY_BYTES:
            held = self._stream.getvalue()
            self._stream = self._opened.enter_context(scratch_stream(self._scratch))
            self._stream.write(held)
