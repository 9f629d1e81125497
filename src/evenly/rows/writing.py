"""Kept rows, written unchanged and in their original order, in the form of their source.

| source | may be written as | how |
|---|---|---|
| JSON Lines | .jsonl, .ndjson | byte for byte, line endings and a byte order mark included |
| | .json | the objects byte for byte, in an array |
| JSON array | .json | every object and the white space around it byte for byte |
| | .jsonl, .ndjson | every object on one line; values, key order, number literals and escapes as they were |
| CSV | .csv | header and records byte for byte, with the quoting they had |
| Parquet | .parquet | columns, types, order, metadata, codec and row group size kept |
| Arrow | .arrow | the same; file or stream as the source was |
| dataset | .parquet, .arrow | the same, with the features of `datasets` in the metadata |

Any compression may be put on top by the ending. Files appear whole or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from evenly.errors import InputError
from evenly.files import NewFiles, new_files, refuse_inputs, sha256_of
from evenly.records import OutputRecord
from evenly.rows.compression import compressor
from evenly.rows.formats import Format, Kind, check_kind
from evenly.rows.rows import Rows, Source
from evenly.rows.tables import Table, write_tables
from evenly.rows.textfiles import TextFile
from evenly.types import Int64Array

WRITTEN_AS: dict[str, tuple[Format, ...]] = {
    "json": ("json", "jsonl"),
    "jsonl": ("jsonl", "json"),
    "csv": ("csv",),
    "parquet": ("parquet",),
    "arrow": ("arrow",),
    "dataset": ("parquet", "arrow"),
}
# A line break cannot stand inside a JSON string, so white space from one on is between tokens.
_LINE_BREAK = re.compile(rb"(,?)[\r\n]\s*")


@dataclass(frozen=True)
class _Target:
    """One file to write, and the sources whose kept rows it takes."""

    path: Path
    kind: Kind
    sources: tuple[int, ...]


def check_output(rows: Rows, out: str | Path) -> None:
    """Refuses an output that `write_rows` could not write, before long work is done for it.

    Args:
        rows: the pool.
        out: a file, or a folder (it exists, or ends in "/") that gets one file per source.

    Raises:
        InputError: the ending does not fit a source, sources do not fit into one file, two sources would get
            the same file, a source would be overwritten, or the folder is not there or not writable.
    """
    _targets(rows, out)


def write_rows(
    rows: Rows, kept: Sequence[int] | Int64Array, out: str | Path, files: NewFiles | None = None
) -> list[OutputRecord]:
    """Writes kept rows to a file, or to a folder with one file per source.

    Args:
        rows: the pool.
        kept: rising row numbers.
        out: as for `check_output`. A missing folder that ends in "/" is made.
        files: takes them to their places together with others; None puts them there at once.

    Returns:
        Name (from the folder above ``out``), hash and rows of every file, in the order of the sources.

    Raises:
        InputError: as `check_output`; kept rows that do not rise or are not in the pool; a full disk or
            another failure to write, after which no new file is there.
    """
    numbers = _check_kept(kept, len(rows))
    targets = _targets(rows, out)
    folder = Path(out).resolve().name
    records = []
    with nullcontext(files) if files else new_files(make_folders=True) as new:
        for target in targets:
            with new.open(target.path) as stream:
                with compressor(stream, target.kind.compression) as plain:
                    count = _write_sources(rows, target, numbers, plain)
                sha256 = sha256_of(stream)
            name = target.path.name if target.path == Path(out) else f"{folder}/{target.path.name}"
            records.append(OutputRecord(name=name, sha256=sha256, rows=count))
    return records


def _check_kept(kept: Sequence[int] | Int64Array, pool_rows: int) -> Int64Array:
    numbers = np.asarray(kept)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InputError(f"kept must be row numbers; got {numbers.dtype} of shape {numbers.shape}")
    if numbers.size and (
        numbers[0] < 0 or numbers[-1] >= pool_rows or (np.diff(numbers.astype(np.int64)) < 1).any()
    ):
        raise InputError(f"kept must be rising row numbers, each once, from 0 to {pool_rows - 1}")
    return numbers.astype(np.int64)


def _write_sources(rows: Rows, target: _Target, kept: Int64Array, stream: IO[bytes]) -> int:
    """Writes the kept rows of a target's sources; returns how many."""
    sources = [rows.opened[number] for number in target.sources]
    bounds = [np.searchsorted(kept, rows.starts[[number, number + 1]]) for number in target.sources]
    local = [
        kept[start:end] - rows.starts[number]
        for (start, end), number in zip(bounds, target.sources, strict=True)
    ]
    parts = [(source.records, part) for source, part in zip(sources, local, strict=True)]
    tables = [(records, part) for records, part in parts if isinstance(records, Table)]
    if tables:
        write_tables(tables, stream, target.kind.format)
    else:
        texts = [(records, part) for records, part in parts if isinstance(records, TextFile)]
        write = _write_array if target.kind.format == "json" else _write_lines
        write(texts, stream)
    return sum(map(len, local))


def _write_lines(parts: Sequence[tuple[TextFile, Int64Array]], stream: IO[bytes]) -> None:
    """JSON Lines and CSV: the lines as they are."""
    first = parts[0][0]
    if first.format != "json":
        stream.write(first.opening)
    broken = True
    for records, kept in parts:
        for row in records.in_order(kept.tolist()):
            if not broken:
                stream.write(first.line_break)
            raw = records.raw(row)
            stream.write(_LINE_BREAK.sub(_one_line, raw) + b"\n" if records.format == "json" else raw)
            broken = records.format == "json" or raw.endswith(b"\n")


def _one_line(match: re.Match[bytes]) -> bytes:
    return b", " if match[1] else b""


def _write_array(parts: Sequence[tuple[TextFile, Int64Array]], stream: IO[bytes]) -> None:
    """A JSON array, with the brackets and spaces of its first source where that is one."""
    style = next((records for records, _ in parts if records.format == "json"), None)
    opening, separator, closing = (
        (style.opening, style.separator, style.closing) if style else (b"[\n", b",\n", b"\n]\n")
    )
    stream.write(opening)
    following = False
    for records, kept in parts:
        for row in records.in_order(kept.tolist()):
            stream.write((separator if following else b"") + records.raw(row).strip())
            following = True
    stream.write(closing)


def _targets(rows: Rows, out: str | Path) -> list[_Target]:
    """Where the kept rows go, checked."""
    path = Path(out)
    if str(out).endswith(("/", os.sep)) or path.is_dir():
        if path.exists() and not path.is_dir():
            raise InputError(f"{out} is a file, not a folder; leave the / out, or name another")
        targets = [_Target(path / name, check_kind(name), (number,)) for number, name in _own_names(rows)]
        folder = path if path.is_dir() else path.parent
    else:
        targets = [_Target(path, check_kind(str(out)), tuple(range(len(rows.opened))))]
        _check_one_file(rows.opened, targets[0])
        folder = path.parent
    inputs = [(source.name, source.path) for source in rows.opened if source.path is not None]
    for target in targets:
        refuse_inputs(target.path, inputs)
    if not folder.is_dir():
        raise InputError(f"the folder {folder} of the output {out} does not exist; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {folder} of the output {out} may not be written to; name another")
    return targets


def _own_names(rows: Rows) -> list[tuple[int, str]]:
    """The file name of every source within an output folder."""
    names = []
    for number, source in enumerate(rows.opened):
        name = "stdin.jsonl" if source.records.name == "standard input" else Path(source.name).name
        names.append((number, f"{name}.parquet" if source.records.format == "dataset" else name))
    taken: dict[str, str] = {}
    for number, name in names:
        given = rows.opened[number].name
        if name.casefold() in taken:
            raise InputError(
                f"{taken[name.casefold()]} and {given} would both be written as {name}; "
                "rename one, or select from them one at a time"
            )
        taken[name.casefold()] = given
    return names


def _check_one_file(sources: Sequence[Source], target: _Target) -> None:
    first = sources[0]
    for source in sources:
        allowed = WRITTEN_AS[source.records.format]
        if target.kind.format not in allowed:
            endings = " or ".join(f".{ending}" for ending in allowed)
            raise InputError(
                f"rows of {source.name} cannot be written unchanged to {target.path.name}; "
                f"give the output the ending {endings}"
            )
        if source.own_form.name != first.own_form.name:
            raise InputError(
                f"one file takes rows of one form: {first.name} has {first.own_form.description}, "
                f"{source.name} has {source.own_form.description}; "
                "name a folder (--out kept/) to get one file per source"
            )
        _check_same_columns(first, source)


def _check_same_columns(first: Source, source: Source) -> None:
    ours, theirs = source.records, first.records
    if isinstance(ours, Table) and isinstance(theirs, Table):
        same = ours.table.schema.equals(theirs.table.schema)
    else:
        same = ours.names == theirs.names
    if not same:
        raise InputError(
            f"one file takes rows with the same columns and types: those of {source.name} differ from "
            f"{first.name}; name a folder (--out kept/) to get one file per source"
        )
