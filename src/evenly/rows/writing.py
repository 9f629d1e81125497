"""Kept rows, written unchanged, in the form of their source (each format's module) and in the order that is given.

| source | may be written as | how |
|---|---|---|
| JSON Lines | .jsonl, .ndjson | byte for byte, line endings and a byte order mark included |
| | .json | the objects byte for byte, in an array |
| JSON array | .json | every object and the white space around it byte for byte |
| | .jsonl, .ndjson | every object on one line; values, key order, number literals and escapes as they were |
| CSV | .csv | header and records byte for byte, with the quoting they had |
| session of an agent | .jsonl, .ndjson | its file as it was; one that is not kept is not written |
| Parquet | .parquet | columns, types, order, metadata, codec and row group size kept |
| Arrow | .arrow | the same; file or stream as the source was |
| dataset | .parquet, .arrow | the same, with the features of `datasets` in the metadata |

Rows of an archive are written as the files in it are.
Any compression may be put on top by the ending. Files appear whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from evenly.errors import InputError
from evenly.files import NewFiles, new_files, sha256_of
from evenly.outputs import refuse_inputs
from evenly.records import OutputRecord
from evenly.rows.compression import compressed
from evenly.rows.fileformat import RowsToWrite
from evenly.rows.folders import partition_path
from evenly.rows.formats import Kind, check_kind, format_named, kind_of
from evenly.rows.json_files import SESSION
from evenly.rows.rows import Rows, Source
from evenly.types import Int64Array


@dataclass(frozen=True)
class _Target:
    """One file to write, and the sources whose kept rows it takes."""

    path: Path
    kind: Kind
    sources: tuple[int, ...]


def check_output(rows: Rows, out: str | Path) -> list[Path]:
    """Refuses an output that `write_rows` could not write, before long work is done for it.

    Args:
        rows: the pool.
        out: a file, or a folder (it exists, or ends in "/") that gets one file per source.

    Returns:
        The files that it would write.

    Raises:
        InputError: the ending does not fit a source, sources do not fit into one file, two sources would get
            the same file, a source would be overwritten, or the folder is not there or not writable.
    """
    return [target.path for target in _targets(rows, out)]


def write_rows(
    rows: Rows, kept: Sequence[int] | Int64Array, out: str | Path, files: NewFiles | None = None
) -> list[OutputRecord]:
    """Writes kept rows to a file, or to a folder with one file per source.

    Args:
        rows: the pool.
        kept: row numbers, each once, in the order in which they are to stand.
        out: as for `check_output`. A missing folder that ends in "/" is made.
        files: takes them to their places together with others; None puts them there at once.

    Returns:
        Name (from the folder above ``out``), hash and rows of every file, in the order of the sources.

    Raises:
        InputError: as `check_output`; kept rows that are named twice or are not in the pool; a full disk or
            another failure to write, after which no new file is there.
    """
    numbers = _check_kept(kept, len(rows))
    targets = _targets(rows, out)
    folder = Path(out).resolve().name
    records = []
    with nullcontext(files) if files else new_files(make_folders=True) as new:
        for target in targets:
            if _is_session_left_out(rows, target, numbers):
                continue
            with new.open(target.path) as stream:
                with compressed(stream, target.kind.compression) as plain:
                    count = _write_sources(rows, target, numbers, plain)
                sha256 = sha256_of(stream)
            name = (
                target.path.name if target.path == Path(out) else f"{folder}/{target.path.relative_to(out)}"
            )
            records.append(OutputRecord(name=name, sha256=sha256, rows=count))
    return records


def _is_session_left_out(rows: Rows, target: _Target, kept: Int64Array) -> bool:
    """Whether a target would be a session without events: a file of its own for a row that is not kept."""
    number = target.sources[0]
    return rows.opened[number].records.format == SESSION.name and rows.starts[number] not in kept


def _check_kept(kept: Sequence[int] | Int64Array, pool_rows: int) -> Int64Array:
    numbers = np.asarray(kept)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InputError(f"kept must be row numbers; got {numbers.dtype} of shape {numbers.shape}")
    numbers = numbers.astype(np.int64)
    outside = numbers.size and (numbers.min() < 0 or numbers.max() >= pool_rows)
    if outside or len(np.unique(numbers)) < len(numbers):
        raise InputError(f"kept must be row numbers, each once, from 0 to {pool_rows - 1}")
    return numbers


def _write_sources(rows: Rows, target: _Target, kept: Int64Array, stream: IO[bytes]) -> int:
    """Writes the kept rows of a target's sources; returns how many."""
    source = np.searchsorted(rows.starts, kept, side="right") - 1
    own = np.isin(source, target.sources)
    source, kept = source[own], kept[own]
    written = RowsToWrite(
        [rows.opened[number].records for number in target.sources],
        np.searchsorted(target.sources, source),
        kept - rows.starts[source],
    )
    target.kind.format.write(written, stream)
    return len(written)


def _targets(rows: Rows, out: str | Path) -> list[_Target]:
    """Where the kept rows go, checked."""
    path = Path(out)
    if str(out).endswith(("/", os.sep)) or path.is_dir():
        if path.exists() and not path.is_dir():
            raise InputError(f"{out} is a file, not a folder; leave the / out, or name another")
        targets = [_Target(path / name, check_kind(name), (number,)) for number, name in _own_names(rows)]
        folder = path if path.is_dir() else path.parent
    else:
        if not path.suffix:
            ending = format_named(rows.opened[0].records.format).written_as[0]
            raise InputError(
                f"the output {out} has no ending, so it would be a file of no known format; write `out={out}/` for a "
                f"folder with one file per source, or `out={out}{format_named(ending).endings[0]}` for one file"
            )
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
        name = (
            "stdin.jsonl"
            if source.records.name == "standard input"
            else str(partition_path(Path(source.name)))
        )
        own = format_named(source.records.format)
        known = own.endings and kind_of(name) is not None
        names.append((number, name if known else name + format_named(own.written_as[0]).endings[0]))
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
    if len(sources) > 1 and any(source.records.format == SESSION.name for source in sources):
        raise InputError(
            "one file holds one session of an agent; name a folder (`out=kept/`) to get the files of those kept"
        )
    ways = [format_named(source.records.format).written_as for source in sources]
    shared = [name for name in ways[0] if all(name in way for way in ways)]
    for source, way in zip(sources, ways, strict=True):
        if target.kind.format.name not in way:
            endings = " or ".join(dict.fromkeys(format_named(name).endings[0] for name in shared))
            remedy = (
                f"give the output the ending {endings}"
                if shared
                else "no one file takes the rows of all sources: name a folder (`out=kept/`) to get one per source"
            )
            raise InputError(
                f"rows of {source.name} cannot be written unchanged to {target.path.name}; {remedy}"
            )
        if {form.name for form in first.own_forms}.isdisjoint(form.name for form in source.own_forms):
            raise InputError(
                f"one file takes rows of one form: {first.name} has {_forms(first)}, "
                f"{source.name} has {_forms(source)}; "
                "name a folder (`out=kept/`) to get one file per source"
            )
        if source.records.columns != first.records.columns:
            raise InputError(
                f"one file takes rows with the same columns and types: those of {source.name} differ from "
                f"{first.name}; name a folder (`out=kept/`) to get one file per source"
            )


def _forms(source: Source) -> str:
    return "; ".join(form.description for form in source.own_forms)
