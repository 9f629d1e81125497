"""Arrow IPC, file or stream: columns, types, order, metadata and which of the two it is are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from evenly.errors import InputError, first_line
from evenly.rows.contents import Contents
from evenly.rows.fileformat import FileFormat, RowsToWrite
from evenly.rows.tables import Table, tables_of

_FILE_MAGIC = b"ARROW1"


def _read(name: str, data: Contents, scratch: Path | None) -> Table:
    streamed = data[: len(_FILE_MAGIC)] != _FILE_MAGIC
    try:
        buffer = pa.py_buffer(data)
        reader = pa.ipc.open_stream(buffer) if streamed else pa.ipc.open_file(buffer)
        table = reader.read_all()
        table.validate(
            full=True
        )  # a damaged file may read, and end the process once its values are looked at
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} is not a whole Arrow file ({first_line(error)}); fetch or write it again"
        ) from None
    return Table(name, table, "arrow", mapped=data, streamed=streamed)


def _write(written: RowsToWrite, stream: IO[bytes]) -> None:
    like = cast(Table, written.sources[0])
    schema = like.table.schema
    pieces: Iterator[pa.Table] = (
        piece.replace_schema_metadata(schema.metadata) for pieces in tables_of(written) for piece in pieces
    )
    if any("dictionary" in str(kind) for kind in schema.types):  # of a column or within it
        # The file format holds one dictionary per column, so all rows have to share theirs.
        pieces = iter([pa.concat_tables(pieces).unify_dictionaries()])
    with (pa.ipc.new_stream if like.streamed else pa.ipc.new_file)(stream, schema) as writer:
        for piece in pieces:
            writer.write_table(piece)


ARROW = FileFormat("arrow", (".arrow",), _read, _write)
