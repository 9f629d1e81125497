"""The pool: the rows of all sources in the order given, their texts, ids and fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from evenly.errors import InputError
from evenly.records import SourceRecord
from evenly.rows.formats import Compression
from evenly.rows.forms import Form, Part, RecordError, Texts, recognise
from evenly.rows.index import ID_FIELDS, Index, KeyArray, all_differ, key_array, text_key
from evenly.rows.tables import Table
from evenly.rows.textfiles import TextFile
from evenly.rows.vector_field import Room, field_vectors
from evenly.types import Float32Array, Int64Array

Records = TextFile | Table
Scalar = str | int | float | bool | None

SHORT_CHARACTERS = 80
_PROBED_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Source:
    """One source of the pool.

    Attributes:
        name: as the user gave it; the matched path for a glob.
        path: of its file or folder; None for standard input and datasets by id.
        sha256: of its bytes.
        compression: of its file.
        records: what it holds.
        form: where the text of its records is, by ``--text`` or recognised.
        index: what checking its records found out.
    """

    name: str
    path: Path | None
    sha256: str
    compression: Compression
    records: Records
    form: Form
    index: Index

    def __len__(self) -> int:
        return len(self.records)

    @property
    def own_form(self) -> Form:
        """The form that its first record has, whatever ``--text`` says; ``form`` where that is none known."""
        return recognise(tuple(self.records.record(0))) or self.form


class Rows:
    """All rows one may choose from. Records are parsed when asked for; only the bytes of the files are held.

    Args:
        sources: at least one, checked by `evenly.rows.sources.read_rows`.
        part: which part of the text `texts` gives.
    """

    def __init__(self, sources: Sequence[Source], part: Part = "all") -> None:
        self._sources = tuple(sources)
        self._part = part
        self._starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sources(self) -> list[SourceRecord]:
        """Name, hash, rows and form of every source, in order."""
        return [
            SourceRecord(
                name=source.name, sha256=source.sha256, rows=len(source), form=source.form.description
            )
            for source in self._sources
        ]

    @property
    def opened(self) -> tuple[Source, ...]:
        """The sources with their records."""
        return self._sources

    @property
    def starts(self) -> Int64Array:
        """(sources + 1,) int64: source s holds the rows starts[s] … starts[s + 1] - 1."""
        return self._starts

    def all_texts(self) -> Iterator[Texts]:
        """Prompt, response and whole text of every row, parsed as one goes."""
        return (texts for texts, _ in self.texts_and_fields(()))

    def texts_and_fields(self, names: Sequence[str]) -> Iterator[tuple[Texts, dict[str, Any]]]:
        """The texts of every row, and its record with at least those of the named fields that it has."""
        for source in self._sources:
            needed = None if source.form.fields is None else (*source.form.fields, *names)
            for number, record in enumerate(source.records.records(needed), start=1):
                yield texts_of(source.form, record, number, source.records.name), record

    def texts(self) -> RowTexts:
        """The text of the chosen part of every row, N of them, each parsed when it is asked for."""
        return RowTexts(self, self._part)

    @cached_property
    def keys(self) -> KeyArray:
        """(N, 4) uint64, what stands for the text of the chosen part of every row."""
        return np.concatenate([source.index.keys for source in self._sources])

    @cached_property
    def characters(self) -> Int64Array:
        """(N,) int64, characters of the whole text of every row."""
        return np.concatenate([source.index.characters for source in self._sources])

    def prompts(self) -> list[str]:
        """The prompt of every row, N of them."""
        return [texts.prompt for texts in self.all_texts()]

    def responses(self) -> list[str]:
        """The response of every row, N of them; empty where there is none."""
        return [texts.response for texts in self.all_texts()]

    def pair(self, row: int) -> tuple[str, str]:
        """Prompt and response of one row."""
        return self.row_texts(row)[:2]

    def row_texts(self, row: int) -> Texts:
        """Prompt, response and whole text of one row."""
        source, local = self.locate(row)
        record = source.records.record(local, source.form.fields)
        return texts_of(source.form, record, local + 1, source.records.name)

    def messages(self, row: int) -> list[dict[str, str]]:
        """One row as turns with ``role`` and ``content`` for chat templates, by the record's own form.

        A row of plain text is one turn of the user.
        """
        source, local = self.locate(row)
        record = source.records.record(local)
        return (recognise(tuple(record)) or source.form).messages(record)

    def record(self, row: int) -> dict[str, Any]:
        """One row as it was read, with all its fields."""
        source, local = self.locate(row)
        return source.records.record(local)

    @cached_property
    def ids(self) -> RowIds:
        """An id for every row, unique in the pool.

        The record's own ``id``, ``_id`` or ``uid`` where every record of its source has one and all ids of
        the pool are different; else "NAME:NUMBER", the row's number in its source from 1 (in JSON Lines its
        line). NAME is the file name, or the source as given where two sources have the same file name.
        """
        short = [PurePath(source.name).name or source.name for source in self._sources]
        names = short if len(set(short)) == len(short) else [source.name for source in self._sources]
        fields = [source.index.id_field for source in self._sources]
        if any(fields) and not all_differ(self._id_keys(names)):
            fields = [None] * len(fields)
        return RowIds(self, names, fields)

    def _id_keys(self, names: list[str]) -> KeyArray:
        """(N, 4) keys of the rows' own ids, and of "NAME:NUMBER" in the sources without."""
        return np.concatenate(
            [
                source.index.id_keys
                if source.index.id_field
                else key_array(b"".join(text_key(f"{name}:{at}") for at in range(1, len(source) + 1)))
                for name, source in zip(names, self._sources, strict=True)
            ]
        )

    def field(self, name: str) -> list[Scalar]:
        """One field of every row: text, number, truth value, or None where a record lacks it.

        A list of texts (labels) reads as its values with ", " between them. Values of CSV are text.

        Raises:
            InputError: no record has the field, or it holds an object or another list (names the row).
        """
        values: list[Scalar] = []
        found = False
        for source in self._sources:
            found = found or name in (source.records.names or ())
            for number, record in enumerate(source.records.records((name,)), start=1):
                found = found or name in record
                try:
                    values.append(scalar(record.get(name)))
                except RecordError as error:
                    raise InputError(
                        f"row {number} of {source.records.name} {error} in the field {name!r}; name another"
                    ) from None
        if not found:
            raise self._no_field(name)
        return values

    def scalar_fields(self) -> list[str]:
        """Fields fit for groups and colours, in order of appearance.

        They hold a short scalar (at most `SHORT_CHARACTERS` characters) in more than half of up to a thousand
        rows spread evenly over the pool. Ids and the fields that hold the text are left out.
        """
        probed = np.unique(np.linspace(0, len(self) - 1, min(len(self), _PROBED_ROWS)).astype(np.int64))
        taken = {
            field
            for source in self._sources
            for form in (source.form, source.own_form)
            for field in form.fields or ()
        }
        counts: dict[str, int] = {}
        for row in probed.tolist():
            for name, value in self.record(row).items():
                counts[name] = counts.get(name, 0) + _is_short(value)
        return [
            name
            for name, count in counts.items()
            if 2 * count > len(probed) and name not in {*taken, *ID_FIELDS}
        ]

    def vectors(self, name: str, room: Room = lambda dimension: None) -> Float32Array:
        """One field that holds a list of numbers in every row, as (N, d) float32.

        Args:
            name: of the field.
            room: where the vectors go.

        Raises:
            InputError: no such field, something else in it, or lists of different lengths (names the row).
        """
        vectors = field_vectors([source.records for source in self._sources], name, room)
        if vectors is None:
            raise self._no_field(name)
        return vectors

    def locate(self, row: int) -> tuple[Source, int]:
        """The source of a row, and its number in it from 0."""
        if not 0 <= row < len(self):
            raise InputError(f"row {row} is not in the pool of {len(self)} rows")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._sources[number], int(row - self._starts[number])

    def _no_field(self, name: str) -> InputError:
        found = dict.fromkeys(field for source in self._sources for field in source.records.record(0))
        return InputError(f"no record has a field {name!r}; found: {', '.join(found)}")


class RowTexts(Sequence[str]):
    """The text of every row of a pool, parsed when it is asked for."""

    def __init__(self, rows: Rows, part: Part) -> None:
        self._rows, self._part = rows, part

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return self._rows.row_texts(row).part(self._part)

    def __iter__(self) -> Iterator[str]:
        return (texts.part(self._part) for texts in self._rows.all_texts())


class RowIds(Sequence[str]):
    """The id of every row of a pool, made when it is asked for; see `Rows.ids`."""

    def __init__(self, rows: Rows, names: list[str], fields: list[str | None]) -> None:
        self._rows, self._names, self._fields = rows, names, fields

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        source, local = self._rows.locate(row)
        number = self._rows.opened.index(source)
        field = self._fields[number]
        return (
            f"{self._names[number]}:{local + 1}"
            if field is None
            else str(source.records.record(local, (field,))[field])
        )

    def __iter__(self) -> Iterator[str]:
        for source, name, field in zip(self._rows.opened, self._names, self._fields, strict=True):
            if field is None:
                yield from (f"{name}:{number}" for number in range(1, len(source) + 1))
            else:
                yield from (str(record[field]) for record in source.records.records((field,)))


def texts_of(form: Form, record: dict[str, Any], number: int, name: str) -> Texts:
    """The texts of a record; says which row of which source does not have the form."""
    try:
        return form.texts(record)
    except RecordError as error:
        raise InputError(f"row {number} of {name} {error}") from None


def form_of_record(record: dict[str, Any], name: str) -> Form:
    """The form of the first record of a source, or an error that says what it has."""
    form = recognise(tuple(record))
    if form is None:
        raise InputError(
            f"row 1 of {name} has no form that is known; found: {', '.join(map(str, record)) or 'no field'}. "
            "Name the field with --text"
        )
    return form


def scalar(value: Any) -> Scalar:
    """A value one can group or colour by; RecordError where it is none."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if isinstance(value, list | tuple | dict | bytes):
        raise RecordError(f"holds {type(value).__name__}, not one value,")
    return str(value)


def _is_short(value: Any) -> bool:
    try:
        found = scalar(value)
    except RecordError:
        return False
    return found is not None and len(str(found)) <= SHORT_CHARACTERS
