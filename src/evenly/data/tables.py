"""Parquet files, Arrow files and datasets: records in columns, with their types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.types import Float32Array, Int64Array

Record = dict[str, Any]
TableFormat = Literal["parquet", "arrow", "dataset"]

_BLOCK_ROWS = 2048
_ARROW_FILE_MAGIC = b"ARROW1"


class Table:
    """The records of one columnar source.

    Attributes:
        name: what to call the source in messages.
        table: the rows; their schema metadata (pandas, datasets) travels into what is written.
        format: ``dataset`` for one that came through `datasets`.
        names: the columns.
        row_group_rows, codec: how the Parquet file was laid out; kept in what is written.
        streamed: the Arrow file was a stream, without an index at its end.
    """

    def __init__(
        self,
        name: str,
        table: pa.Table,
        format: TableFormat,
        *,
        row_group_rows: int | None = None,
        codec: str = "snappy",
        streamed: bool = False,
    ) -> None:
        self.name, self.table, self.format = name, table, format
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
        for batch in table.to_batches(max_chunksize=_BLOCK_ROWS):
            yield from batch.to_pylist()

    def _columns(self, fields: Sequence[str] | None) -> pa.Table:
        return (
            self.table
            if fields is None
            else self.table.select([name for name in fields if name in self.names])
        )

    def kept(self, rows: Int64Array) -> pa.Table:
        """The rows of the given numbers in their order here."""
        mask = np.zeros(len(self), dtype=bool)
        mask[rows] = True
        # A mask, not take: take joins the chunks of a column, and 32-bit offsets overflow at 2 GB of text.
        return self.table.filter(pa.array(mask))


def read_parquet(name: str, data: bytes) -> Table:
    """Reads a Parquet file; whatever types it has are kept."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        layout = file.metadata
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name} is not a whole Parquet file ({_first_line(error)}); fetch or write it again"
        ) from None
    groups, columns = layout.num_row_groups, layout.num_columns
    codec = layout.row_group(0).column(0).compression.lower() if groups and columns else "snappy"
    rows = layout.row_group(0).num_rows if groups else None
    return Table(
        name, table, "parquet", row_group_rows=rows, codec="none" if codec == "uncompressed" else codec
    )


def read_arrow(name: str, data: bytes) -> Table:
    """Reads Arrow IPC, file or stream, whichever it is."""
    streamed = not data.startswith(_ARROW_FILE_MAGIC)
    try:
        reader = pa.ipc.open_stream(data) if streamed else pa.ipc.open_file(data)
        table = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name} is not a whole Arrow file ({_first_line(error)}); fetch or write it again"
        ) from None
    return Table(name, table, "arrow", streamed=streamed)


def write_tables(parts: Sequence[pa.Table], stream: IO[bytes], format: str, like: Table) -> None:
    """Writes tables of one schema one after another, laid out as ``like`` was."""
    schema = parts[0].schema
    if format == "parquet":
        with pq.ParquetWriter(stream, schema, compression=like.codec) as writer:
            for part in parts:
                writer.write_table(
                    part.replace_schema_metadata(schema.metadata), row_group_size=like.row_group_rows
                )
        return
    with (pa.ipc.new_stream if like.streamed else pa.ipc.new_file)(stream, schema) as writer:
        # The file format holds one dictionary per column, so parts have to share theirs.
        joined = pa.concat_tables([part.replace_schema_metadata(schema.metadata) for part in parts])
        writer.write_table(joined.unify_dictionaries())


def vectors_of(table: Table, column: str) -> Float32Array:
    """A column of equally long lists of numbers as (N, d) float32.

    Raises:
        InputError: the column holds something else, or lists of different lengths (names the row).
    """
    values = table.table.column(column)
    kind = values.type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not nested or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"the column {column!r} of {table.name} holds {kind}; expected lists of numbers")
    lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy()
    check_widths(lengths, table.name, column)
    numbers = [np.asarray(chunk.flatten(), dtype=np.float32) for chunk in values.chunks]
    return np.concatenate(numbers).reshape(len(table), -1)


def check_widths(lengths: Int64Array, name: str, column: str) -> None:
    """Refuses vectors that are missing (-1), empty, or not as long as that of row 1, naming the first row."""
    wrong = (lengths != lengths[0]) | (lengths < 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "no vector" if lengths[row] < 0 else f"{lengths[row]} numbers"
        raise InputError(
            f"row {row + 1} of {name} has {found} in {column!r} where row 1 has {max(lengths[0], 0)}; "
            "every row needs a vector, all equally long"
        )


def _first_line(error: BaseException) -> str:
    return str(error).partition(os.linesep)[0].rstrip(".")
