"""Parquet files, Arrow files and datasets: records in columns, with their types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.files import scratch_file
from evenly.rows import contents
from evenly.rows.contents import Contents, release
from evenly.types import Int64Array

Record = dict[str, Any]
TableFormat = Literal["parquet", "arrow", "dataset"]

_BLOCK_ROWS = 2048
_BLOCKS_AT_ONCE = 32
_ARROW_FILE_MAGIC = b"ARROW1"


class Table:
    """The records of one columnar source.

    Attributes:
        name: what to call the source in messages.
        table: the rows; their schema metadata (pandas, datasets) travels into what is written.
        format: ``dataset`` for one that came through `datasets`.
        names: the columns.
        mapped: the contents that the rows lie in where they are mapped; else no bytes.
        row_group_rows, codec: how the Parquet file was laid out; kept in what is written.
        streamed: the Arrow file was a stream, without an index at its end.
    """

    def __init__(
        self,
        name: str,
        table: pa.Table,
        format: TableFormat,
        *,
        mapped: Contents = b"",
        row_group_rows: int | None = None,
        codec: str = "snappy",
        streamed: bool = False,
    ) -> None:
        self.name, self.table, self.format, self.mapped = name, table, format, mapped
        self.row_group_rows, self.codec, self.streamed = row_group_rows, codec, streamed
        self.names: tuple[str, ...] = tuple(table.column_names)
        twice = next((column for column in self.names if self.names.count(column) > 1), None)
        if twice is not None:
            raise InputError(f"{name} has two columns named {twice!r}; give every column its own name")
        if table.num_rows == 0:
            raise InputError(f"{name} holds no rows; expected at least one record")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        """One record, with those of ``fields`` that there are; None for every column."""
        found: list[Record] = self._columns(fields).slice(row, 1).to_pylist()
        return found[0] if found else {}

    def records(self, fields: Sequence[str] | None = None) -> Iterator[Record]:
        """All records in order, with those of ``fields`` that there are; None for every column."""
        table = self._columns(fields)
        if not table.column_names:
            yield from ({} for _ in range(len(self)))
            return
        for number, batch in enumerate(table.to_batches(max_chunksize=_BLOCK_ROWS), start=1):
            yield from batch.to_pylist()
            if number % _BLOCKS_AT_ONCE == 0:
                release(self.mapped)

    def _columns(self, fields: Sequence[str] | None) -> pa.Table:
        return (
            self.table
            if fields is None
            else self.table.select([name for name in fields if name in self.names])
        )

    def kept(self, rows: Int64Array) -> Iterator[pa.Table]:
        """The rows of the given numbers in their order here, some at a time."""
        mask = np.zeros(len(self), dtype=bool)
        mask[rows] = True
        size = _BLOCK_ROWS * _BLOCKS_AT_ONCE
        for start in range(0, len(self), size):
            # A mask, not take: take joins the chunks of a column, and 32-bit offsets overflow at 2 GB of text.
            yield self.table.slice(start, size).filter(pa.array(mask[start : start + size]))
            release(self.mapped)


def read_parquet(name: str, data: Contents, scratch: Path | None = None) -> Table:
    """Reads a Parquet file; whatever types it has are kept. One that holds much is unpacked into a scratch file.

    Args:
        name: what to call the file in messages.
        data: its contents.
        scratch: folder for scratch files; None takes that of the system.

    Raises:
        InputError: no whole Parquet file, one without rows, or a scratch disk that fills.
    """
    mapped: Contents = b""
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
        layout = file.metadata
        groups = [layout.row_group(number) for number in range(layout.num_row_groups)]
        if sum(group.total_byte_size for group in groups) < contents.MAPPED_BYTES:
            table = file.read()
        else:
            mapped = scratch_file(lambda stream: _unpack(file, stream), scratch)
            table = pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name} is not a whole Parquet file ({_first_line(error)}); fetch or write it again"
        ) from None
    codec = groups[0].column(0).compression.lower() if groups and layout.num_columns else "snappy"
    return Table(
        name,
        table,
        "parquet",
        mapped=mapped,
        row_group_rows=groups[0].num_rows if groups else None,
        codec="none" if codec == "uncompressed" else codec,
    )


def _unpack(file: pq.ParquetFile, stream: IO[bytes]) -> None:
    """The rows of a Parquet file as an Arrow stream, which can be mapped."""
    with pa.ipc.new_stream(stream, file.schema_arrow) as writer:
        for batch in file.iter_batches(_BLOCK_ROWS * _BLOCKS_AT_ONCE):
            writer.write_batch(batch)


def read_arrow(name: str, data: Contents) -> Table:
    """Reads Arrow IPC, file or stream, whichever it is."""
    streamed = data[: len(_ARROW_FILE_MAGIC)] != _ARROW_FILE_MAGIC
    try:
        buffer = pa.py_buffer(data)
        reader = pa.ipc.open_stream(buffer) if streamed else pa.ipc.open_file(buffer)
        table = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name} is not a whole Arrow file ({_first_line(error)}); fetch or write it again"
        ) from None
    return Table(name, table, "arrow", mapped=data, streamed=streamed)


def write_tables(parts: Sequence[tuple[Table, Int64Array]], stream: IO[bytes], format: str) -> None:
    """Writes kept rows of tables of one schema one after another, laid out as the first table was."""
    like = parts[0][0]
    schema = like.table.schema
    if format == "parquet":
        with pq.ParquetWriter(stream, schema, compression=like.codec) as writer:
            for table, rows in parts:
                for group in _regrouped(table.kept(rows), like.row_group_rows or len(table)):
                    writer.write_table(group.replace_schema_metadata(schema.metadata))
        return
    pieces: Iterator[pa.Table] = (
        piece.replace_schema_metadata(schema.metadata) for table, rows in parts for piece in table.kept(rows)
    )
    if any("dictionary" in str(kind) for kind in schema.types):  # of a column or within it
        # The file format holds one dictionary per column, so all rows have to share theirs.
        pieces = iter([pa.concat_tables(pieces).unify_dictionaries()])
    with (pa.ipc.new_stream if like.streamed else pa.ipc.new_file)(stream, schema) as writer:
        for piece in pieces:
            writer.write_table(piece)


def _regrouped(pieces: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of ``size`` rows; the last may have fewer."""
    waiting: list[pa.Table] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(each.num_rows for each in waiting) >= size:
            joined = pa.concat_tables(waiting)
            whole = joined.num_rows // size * size
            yield from (joined.slice(start, size) for start in range(0, whole, size))
            waiting = [joined.slice(whole)]
    left = pa.concat_tables(waiting)
    if left.num_rows:
        yield left


def _first_line(error: BaseException) -> str:
    return str(error).partition(os.linesep)[0].rstrip(".")
