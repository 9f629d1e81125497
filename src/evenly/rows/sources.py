"""Opens what the user names (files, globs, standard input, datasets) as one pool of rows."""

from __future__ import annotations

import glob
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from evenly.checks import not_known
from evenly.errors import InputError, first_line
from evenly.request import PARTS, Part
from evenly.rows.archives import is_archive, read_archive
from evenly.rows.contents import read_contents
from evenly.rows.dictionaries import Dictionaries
from evenly.rows.fileformat import Records
from evenly.rows.folders import files_of, is_beside, partition
from evenly.rows.formats import check_kind, kind_of, known_endings
from evenly.rows.forms import READ_FIELDS, Form, RowByRow, recognise
from evenly.rows.hub import DATASET, open_dataset
from evenly.rows.index import IndexBuilder
from evenly.rows.json_files import JSON_LINES
from evenly.rows.rows import Rows, Source, names_in_ids, texts_of
from evenly.rows.tables import Table
from evenly.rows.templates import form_of_text
from evenly.rows.turns import MEDIA, has_media, names_of
from evenly.types import Int64Array, Progress, silent

STANDARD_INPUT = "-"
_PROGRESS_ROWS = 4096
_Opened = tuple[str, Path | None, str, Records]
"""Name, path, hash and records of a source."""


def read_rows(
    sources: Sequence[str],
    *,
    text: str | None = None,
    part: Part = "all",
    split: str | None = None,
    skip_empty: bool = False,
    fields: Sequence[str] = (),
    stdin: BinaryIO | None = None,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Rows:
    """Reads all sources as one pool and checks every record of them, each parsed once.

    Args:
        sources: files (.json array, .jsonl or .ndjson, .csv, .tsv, .parquet, .arrow; each plain or .gz, .bz2, .xz,
            .zst; a .zip or .tar of JSON Lines, or of one such file), globs (sorted within each), "-" for JSON Lines on
            standard input, folders saved by `datasets`, folders that `datasets.load_dataset` reads, or ids of
            Hugging Face datasets (NAME or NAME:CONFIG).
        text: what the text of a record is, where its form does not say it: fields with commas between them
            (of several the last is the response) or a Jinja template. None to recognise it (see forms.py).
        part: the part of the text that is wanted; every row must have some.
        split: which split of a dataset; for datasets only.
        skip_empty: leaves out rows without text and blank lines (see `Rows.left_out`), which are else errors.
        fields: fields that will be asked for (`Rows.field`): they need not be parsed for again.
        stdin: standard input, unless it is that of the process.
        scratch: folder for what large compressed files hold and for what is learnt of many rows; None takes the
            system's for temporary files.
        progress: called with stage "read" and rows, per source.

    Returns:
        The pool, in the order of the sources. Memory: about 60 bytes a row, and the contents of files that hold
        less than 64 MiB; larger ones are mapped. JSON arrays are in memory as a whole while they are read.

    Raises:
        InputError: nothing to read, something unreadable, a record without text, mixed forms in a source.
    """
    named = form_of_text(text) if text is not None else None
    found, splits, beside = _expand(sources, split)
    opened = [_open(name, split, stdin, scratch) for name in found]
    if split is not None and not splits and not any(records.format == DATASET.name for *_, records in opened):
        raise InputError(f"a split ({split}) was named, but no source is a dataset; leave it out for files")
    rows = _pool(opened, _Reading(named, part, skip_empty, progress), fields, scratch)
    rows.passed_over = beside
    rows.beside(_partitioned(rows))
    return rows


def _partitioned(rows: Rows) -> dict[str, list[str | None]]:
    """The fields that folders name (lang=en/), for every row; not those that rows have themselves."""
    parts = [partition(source.path) if source.path else {} for source in rows.opened]
    own = {
        name
        for source, part in zip(rows.opened, parts, strict=True)
        if part
        for name in source.records.record(0)
    }
    return {
        name: [
            part.get(name)
            for part, source in zip(parts, rows.opened, strict=True)
            for _ in range(len(source))
        ]
        for name in dict.fromkeys(name for part in parts for name in part if name not in own)
    }


def read_records(name: str) -> list[dict[str, Any]]:
    """The records of a file as they are, whatever they say: for a file of scores.

    Raises:
        InputError: not there, or unreadable.
    """
    *_, records = _open(name, None, None, None)
    return list(records.first_pass()[1](None))


def rows_of(records: Any, *, text: str | None = None, part: Part = "all") -> Rows:
    """Makes a pool of records that are in memory already.

    Args:
        records: a ``datasets.Dataset``, a data frame of pandas or Polars, or any iterable of texts or of
            dictionaries, each with fields of its own.
        text, part: as in `read_rows`.

    Raises:
        InputError: as `read_rows`, or the records are something else.
    """
    named = form_of_text(text) if text is not None else None
    return _pool([("dataset", None, "", _in_memory(records))], _Reading(named, part), (), None)


def part_of(rows: Rows, numbers: Int64Array, *, text: str | None = None, part: Part = "all") -> Rows:
    """Some rows of a pool, in memory, as a pool of their own whose sources keep their names.

    Args:
        rows: the pool.
        numbers: (M,) ascending row numbers; sources that give none are left out.
        text, part: as in `read_rows`.
    """
    opened: list[_Opened] = []
    for source, first, end in zip(rows.opened, rows.starts, rows.starts[1:], strict=False):
        own = numbers[(numbers >= first) & (numbers < end)]
        if len(own):
            records = Dictionaries(source.records.name, (rows.record(int(number)) for number in own))
            opened.append((source.name, source.path, source.sha256, records))
    named = form_of_text(text) if text is not None else None
    return _pool(opened, _Reading(named, part), (), None)


def _in_memory(records: Any) -> Records:
    splits = getattr(records, "column_names", None)
    if isinstance(records, Mapping):
        if isinstance(splits, Mapping):
            named = ", ".join(map(str, records))
            raise InputError(
                f"rows hold the splits {named}; give one of them, as in rows[{next(iter(records))!r}]"
            )
        raise InputError("rows must be a datasets.Dataset or a list of dictionaries; got one dictionary")
    if hasattr(records, "with_format") and hasattr(records, "select"):
        return Table("dataset", records.with_format("arrow")[:], DATASET.name)
    if hasattr(records, "with_format"):
        raise InputError(
            "rows must be there at once, and an IterableDataset streams them; give list(rows), or list(rows.take(N))"
        )
    if hasattr(records, "columns") and hasattr(records, "head"):
        return Table("dataset", _table_of(records), DATASET.name)
    if isinstance(records, str | bytes) or not isinstance(records, Iterable):
        given = type(records).__name__
        raise InputError(
            f"rows must be a datasets.Dataset, a data frame, or a list of dictionaries or texts; got {given}"
        )
    return Dictionaries("dataset", ({"text": row} if isinstance(row, str) else row for row in records))


def _table_of(frame: Any) -> pa.Table:
    """A data frame of pandas or Polars as a table."""
    if hasattr(frame, "collect"):
        raise InputError("a lazy frame holds no rows yet; give frame.collect()")
    try:
        return (
            frame.to_arrow()
            if hasattr(frame, "to_arrow")
            else pa.Table.from_pandas(frame, preserve_index=False)
        )
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f'the data frame cannot be read ({first_line(error)}); give frame.to_dict("records")'
        ) from None


@dataclass(frozen=True)
class _Reading:
    """How sources are read; see `read_rows`."""

    named: Form | None
    part: Part
    skip_empty: bool = False
    progress: Progress = silent

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise not_known("`part`", self.part, PARTS)


def _pool(opened: Sequence[_Opened], reading: _Reading, fields: Sequence[str], scratch: Path | None) -> Rows:
    with IndexBuilder(fields, scratch) as index:
        checked = [_check(source, reading, index) for source in opened]
        left_out = {source.name: empty for source, empty, _ in checked if empty}
        sources = [source for source, *_ in checked]
        names = names_in_ids([source.name for source in sources])
        media = sum(count for *_, count in checked)
        return Rows(sources, index.done(names), reading.part, left_out, media=media)


def _expand(sources: Sequence[str], split: str | None) -> tuple[list[str], bool, list[str]]:
    """The names of all files and datasets, whether folders of files were asked for their split, and what globs found
    that lies beside data and holds none."""
    if isinstance(sources, str | bytes) or not sources:
        raise InputError(
            f"sources must be a list of at least one file, glob, folder or dataset id; got {sources!r}"
        )
    names: list[str] = []
    beside: list[str] = []
    splits = False
    for source in map(str, sources):
        if Path(source).is_dir() and (files := files_of(Path(source), split)) is not None:
            names.extend(files)
            splits = True
            continue
        if not glob.has_magic(source) or Path(source).exists():
            names.append(source)
            continue
        # Path.glob takes no absolute pattern.
        matched = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        found = [name for name in matched if not is_beside(Path(name))]
        if not found:
            raise InputError(f"no file matches {source}; check the pattern and the folder it starts from")
        names.extend(found)
        beside.extend(name for name in matched if name not in found)
    places: dict[str, str] = {}
    for name in names:
        place = name if name == STANDARD_INPUT else str(Path(name).resolve())
        if place in places:
            raise InputError(f"{places[place]} is given twice; name every source once")
        places[place] = name
    return names, splits, beside


def _open(name: str, split: str | None, stdin: BinaryIO | None, scratch: Path | None) -> _Opened:
    if name == STANDARD_INPUT:
        data = (stdin or sys.stdin.buffer).read()
        lines = JSON_LINES.read("standard input", data, scratch)
        return name, None, hashlib.sha256(data).hexdigest(), lines
    path = Path(name)
    if path.is_file() and is_archive(name):
        sha256, member, data = read_archive(path, name, scratch)
        return name, path, sha256, check_kind(member).format.read(name, data, scratch)
    if path.is_file():
        kind = check_kind(name)
        sha256, data = read_contents(path, kind.compression, name, scratch)
        return name, path, sha256, kind.format.read(name, data, scratch)
    if not path.is_dir() and (kind_of(name) is not None or is_archive(name)):
        raise InputError(
            f"{name} does not exist; check the name and the folder it is looked for in ({Path.cwd()})"
        )
    if path.exists() and not path.is_dir():
        raise InputError(f"{name} is neither a file nor a folder; to read JSON Lines from a pipe, name it -")
    records, sha256 = open_dataset(name, split, known_endings())
    return name, path if path.is_dir() else None, sha256, records


def _check(opened: _Opened, reading: _Reading, index: IndexBuilder) -> tuple[Source, list[int], int]:
    """Goes over a source once: finds the form of its records, reads their texts, and has the index learn of them.

    Returns:
        The source, the numbers of the rows and lines that were left out of it, and how many rows hold media.
    """
    name, path, sha256, records = opened
    records.skip_blank = reading.skip_empty
    first, all_records = records.first_pass()
    form = reading.named or RowByRow()
    # The whole first record: of tables only the columns wanted follow, and an error should name all.
    texts_of(form, first, records.number(0), records.name)
    wanted = index.begin_source(first, form.fields or ())
    reads = READ_FIELDS if reading.named is None else form.fields
    empty: list[int] = []
    media = 0
    columns = records.media(MEDIA)
    found_records = all_records(None if reads is None else [*reads, *wanted])
    for row, record in enumerate(found_records):
        found = texts_of(form, record, records.number(row), records.name)
        text = found.part(reading.part)
        if not text.strip():
            empty.append(row)
            if reading.skip_empty:
                continue
        _check_surrogates(found.whole, records.number(row), records.name)
        index.add(record, found, text)
        media += found.media or (has_media(record) if columns is None else bool(columns[row]))
        if (row + 1) % _PROGRESS_ROWS == 0:
            reading.progress("read", row + 1, max(row + 1, len(records)))
    reading.progress("read", len(records), len(records))
    if empty and (not reading.skip_empty or len(empty) == len(records)):
        raise _without_text(records, empty, form, reading.part)
    left_out = sorted([*records.blank, *(records.number(row) for row in empty)])
    if empty:
        records.leave_out(empty)
    index.end_source(records.numbers)
    own_forms = tuple(form.seen.values()) if isinstance(form, RowByRow) else (recognise(first) or form,)
    return Source(name, path, sha256, records, form, own_forms), left_out, media


def _without_text(records: Records, empty: list[int], form: Form, part: Part) -> InputError:
    number = records.number(empty[0])
    if part == "response" and not form.has_response:
        raise InputError(
            f"{records.name} has the form {form.description}, which has no response; use `part=all`"
        )
    if part == "all":
        others = f" (and {len(empty) - 1} more rows)" if len(empty) > 1 else ""
        found = names_of(records.record(empty[0]))
        return InputError(
            f"row {number} of {records.name}{others} has no text in {form.description or 'any form'}; found: {found}. "
            "Remove the row, name the field as `text`, or leave such rows out with `skip_empty`"
        )
    return InputError(
        f"{len(empty)} of {len(records)} rows of {records.name} have an empty {part}, the first is row "
        f"{number}; remove them, leave them out with `skip_empty`, or use `part=all`"
    )


def _check_surrogates(text: str, number: int, name: str) -> None:
    """JSON can escape half of a character, which no encoder and no UTF-8 file can hold."""
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])[1:-1]
        raise InputError(
            f"row {number} of {name} holds {half}, half of a character; mend or remove the row"
        ) from None
