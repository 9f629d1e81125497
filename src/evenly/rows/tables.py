"""Records in columns, with their types: what Parquet files, Arrow files and datasets have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenly.errors import InputError
from evenly.rows import vector_field
from evenly.rows.contents import Contents, release
from evenly.rows.fileformat import Record, Records, RowsToWrite
from evenly.rows.vector_field import check_widths
from evenly.types import BoolArray, Float32Array, Int64Array

BLOCK_ROWS = 2048
"""Rows that become Python objects at a time."""

BLOCKS_AT_ONCE = 32
"""Blocks that are gone through before the memory of mapped contents is given back."""


MOST_TAKEN_BYTES = 1 << 30
"""Of rows that are joined to be put in order: well below what 32-bit offsets of texts can hold."""


class Table(Records):
    """The records of one columnar source.

    Attributes:
        table: the rows; their schema metadata (pandas, datasets) travels into what is written.
        mapped: the contents that the rows lie in where they are mapped; else no bytes.
        row_group_rows, codec: how the Parquet file was laid out; kept in what is written.
        streamed: the Arrow file was a stream, without an index at its end.
    """

    names: tuple[str, ...]

    def __init__(
        self,
        name: str,
        table: pa.Table,
        format: str,
        *,
        mapped: Contents = b"",
        row_group_rows: int | None = None,
        codec: str = "snappy",
        streamed: bool = False,
    ) -> None:
        self.name, self.table, self.format, self.mapped = name, table, format, mapped
        self.row_group_rows, self.codec, self.streamed = row_group_rows, codec, streamed
        self.names = _names(name, table.schema)
        twice = next((column for column in self.names if self.names.count(column) > 1), None)
        if twice is not None:
            raise InputError(f"{name} has two columns named {twice!r}; give every column its own name")
        if table.num_rows == 0:
            raise InputError(f"{name} holds no rows; expected at least one record")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> pa.Schema:
        return self.table.schema

    def first_pass(self) -> tuple[Record, Callable[[Sequence[str] | None], Iterator[Record]]]:
        """The columns asked for, and those that hold one plain value a row; others are not read."""
        plain = [column.name for column in self.table.schema if _is_plain(column.type)]
        return self.record(0), lambda fields: self.records(None if fields is None else [*fields, *plain])

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        return next(self.records(fields, row, row + 1), {})

    def records(
        self, fields: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        chosen = [name for name in self.names if fields is None or name in fields]
        stop = len(self) if stop is None else stop
        if not chosen:
            yield from ({} for _ in range(start, stop))
            return
        table = self.table.select(chosen).slice(start, stop - start)
        for number, batch in enumerate(table.to_batches(max_chunksize=BLOCK_ROWS), start=1):
            yield from _objects(batch)
            if number % BLOCKS_AT_ONCE == 0:
                release(self.mapped)

    def media(self, names: Sequence[str]) -> BoolArray:
        held = np.zeros(len(self), dtype=bool)
        for column in (self.table.column(name) for name in names if name in self.names):
            kind = column.type
            listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
            there = pc.greater(pc.list_value_length(column), 0) if listed else column.is_valid()
            held |= pc.fill_null(there, False).to_numpy()
        return held

    def vector_blocks(self, name: str) -> Iterator[Float32Array] | None:
        if name not in self.names:
            return None
        values = self.table.column(name)
        kind = values.type
        nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not nested or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
            raise InputError(f"the column {name!r} of {self.name} holds {kind}; expected lists of numbers")
        lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy()
        check_widths(lengths, lengths[0], 0, self.name, name)
        size = vector_field.ROWS_AT_ONCE
        parts = (chunk.slice(start, size) for chunk in values.chunks for start in range(0, len(chunk), size))
        return (np.asarray(part.flatten(), dtype=np.float32).reshape(len(part), -1) for part in parts)

    def _keep(self, rows: Int64Array) -> None:
        self.table = pa.concat_tables(list(self.kept(rows)))

    def kept(self, rows: Int64Array) -> Iterator[pa.Table]:
        """The rows of the given rising numbers, some at a time."""
        mask = np.zeros(len(self), dtype=bool)
        mask[rows] = True
        size = BLOCK_ROWS * BLOCKS_AT_ONCE
        for start in range(0, len(self), size):
            # A mask, not take: take joins the chunks of a column, and 32-bit offsets overflow at 2 GB of text.
            wanted = pa.array(mask[start : start + size])
            kept = _without_views(self.table.slice(start, size)).filter(wanted)
            # Only where it must be: to its own types, Arrow breaks structures with a field of nulls alone.
            yield kept if kept.schema == self.table.schema else kept.cast(self.table.schema)
            release(self.mapped)


def _names(name: str, schema: pa.Schema) -> tuple[str, ...]:
    """The names of the columns; refuses names, of fields within columns too, that are not UTF-8."""
    kinds = list(schema.types)
    try:
        while kinds:
            kind = kinds.pop()
            inner = [kind.field(number) for number in range(kind.num_fields)]
            kinds += [field.type for field in inner if field.name is not None]
        return tuple(schema.names)
    except UnicodeDecodeError:
        raise InputError(f"{name} has a field whose name is not UTF-8; fetch or write it again") from None


def _objects(batch: pa.RecordBatch) -> list[Record]:
    """The rows as Python has them; dates that it has not (past 9999, an unknown time zone) as text."""
    try:
        rows: list[Record] = batch.to_pylist()
    except (ArithmeticError, LookupError, ValueError, pa.ArrowException):
        columns = [_told(column) if pa.types.is_temporal(column.type) else column for column in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    return rows


def _told(dates: pa.Array) -> pa.Array:
    kind = dates.type
    if pa.types.is_timestamp(kind):
        dates = dates.cast(pa.timestamp(kind.unit))  # the time in UTC, whatever the zone is
    return dates.cast(pa.string())


def _without_views(table: pa.Table) -> pa.Table:
    """The same rows with plain texts and bytes for views of them, which cannot be filtered."""
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    if not any(kind in plain for kind in table.schema.types):
        return table
    return table.cast(
        pa.schema([column.with_type(plain.get(column.type, column.type)) for column in table.schema])
    )


def tables_of(written: RowsToWrite) -> Iterator[Iterator[pa.Table]]:
    """The rows that go into a file, some at a time: of each source by itself, or of all in an order of their own."""
    sources = cast(Sequence[Table], written.sources)
    if not written.rising:
        yield _in_own_order(sources, written)
        return
    for table, rows in cast(Iterator[tuple[Table, Int64Array]], written.runs()):
        yield table.kept(rows)


def _in_own_order(sources: Sequence[Table], written: RowsToWrite) -> Iterator[pa.Table]:
    """Rows in whatever order, `BLOCK_ROWS` at a time, so that no more of them are in memory together."""
    schema = sources[0].table.schema
    # Batches lie in one piece each: taken from a whole column, texts are joined, and 32-bit offsets overflow at 2 GB.
    size = BLOCK_ROWS * BLOCKS_AT_ONCE
    batches = [batch for source in sources for batch in source.table.to_batches(max_chunksize=size)]
    # The place of every row among those of all batches together.
    before = np.cumsum([0, *(len(source) for source in sources)])
    place = before[written.source] + written.row
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    waiting = [place[start : start + BLOCK_ROWS] for start in range(0, len(place), BLOCK_ROWS)][::-1]
    while waiting:
        places = waiting.pop()
        of = np.searchsorted(starts, places, side="right") - 1
        order = np.argsort(of, kind="stable")
        pieces = []
        for number in np.unique(of).tolist():
            wanted = pa.array(places[order[of[order] == number]] - starts[number])
            taken = _without_views(pa.Table.from_batches([batches[number]])).take(wanted)
            pieces.append(taken.replace_schema_metadata(schema.metadata))
        if len(places) > 1 and sum(piece.nbytes for piece in pieces) > MOST_TAKEN_BYTES:
            waiting += [places[len(places) // 2 :], places[: len(places) // 2]]
            continue
        joined = pa.concat_tables(pieces).unify_dictionaries().combine_chunks()
        ordered = joined.take(pa.array(np.argsort(order)))
        yield ordered if ordered.schema == schema else ordered.cast(schema)
        for source in sources:
            release(source.mapped)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column's values can be grouped and coloured by: one value a row, or a list of texts."""
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_type
        return pa.types.is_string(inner) or (pa.types.is_dictionary(kind) and _is_plain(inner))
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
