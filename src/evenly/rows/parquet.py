"""Parquet files: columns, types, order, metadata, codec and row group size are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError, first_line
from evenly.files import scratch_file
from evenly.rows import contents, tables
from evenly.rows.contents import Contents
from evenly.rows.fileformat import FileFormat, RowsToWrite
from evenly.rows.tables import Table, tables_of


def _read(name: str, data: Contents, scratch: Path | None) -> Table:
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
            # Without threads of Arrow's own: a process that ends while they start (an error in the first row) is
            # aborted, with status 134 in place of its own.
            table = file.read(use_threads=False)
        else:
            mapped = scratch_file(lambda stream: _unpack(file, stream), scratch)
            table = pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} is not a whole Parquet file ({first_line(error)}); fetch or write it again"
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
        for batch in file.iter_batches(tables.BLOCK_ROWS * tables.BLOCKS_AT_ONCE, use_threads=False):
            writer.write_batch(batch)


def _write(written: RowsToWrite, stream: IO[bytes]) -> None:
    like = cast(Table, written.sources[0])
    schema = like.table.schema
    with pq.ParquetWriter(stream, schema, compression=like.codec) as writer:
        for pieces in tables_of(written):
            for group in _regrouped(pieces, like.row_group_rows or len(like)):
                writer.write_table(group.replace_schema_metadata(schema.metadata))


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


PARQUET = FileFormat("parquet", (".parquet",), _read, _write)
