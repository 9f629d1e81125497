"""The pool: the rows of all sources in the order given, their texts, ids and fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np

from evenly.errors import InputError
from evenly.records import SourceRecord
from evenly.request import Part
from evenly.rows.columns import ROWS_AT_ONCE, Scalar
from evenly.rows.copies import SameText, same_text
from evenly.rows.fileformat import Records
from evenly.rows.forms import READ_FIELDS, Form, RowByRow, recognise
from evenly.rows.hub import DATASET
from evenly.rows.index import (
    FIELD,
    ID_FIELDS,
    PROMPT,
    RESPONSE,
    Index,
    KeyArray,
    key_array,
    root_of,
    scalar,
    text_key,
    value_at,
)
from evenly.rows.noise import noise_reasons
from evenly.rows.shared import TOLD, without_shared
from evenly.rows.turns import RecordError, names_of
from evenly.rows.vector_field import Room, field_vectors
from evenly.rows.whole import Texts, WholeRow
from evenly.types import Float32Array, Int64Array
from evenly.words import counted, percent

SOURCE = "source"
"""The field that every row has: the short name of its source, unless its records have a field of that name."""


@dataclass(frozen=True, eq=False)
class Source:
    """One source of the pool.

    Attributes:
        name: as the user gave it; the matched path for a glob.
        path: of its file or folder; None for standard input and datasets by id.
        sha256: of its bytes.
        records: what it holds.
        form: where the text of its records is, by ``--text`` or recognised record by record.
        own_forms: the forms that its records have whatever ``--text`` says (then that of the first alone); ``form``
            where that is none known.
    """

    name: str
    path: Path | None
    sha256: str
    records: Records
    form: Form
    own_forms: tuple[Form, ...]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The fields that must be read of a record for its text; None for all."""
        return READ_FIELDS if isinstance(self.form, RowByRow) else self.form.fields


class Rows:
    """All rows one may choose from. Records are parsed when asked for; only the bytes of the files are held.

    Args:
        sources: at least one, checked by `evenly.rows.sources.read_rows`.
        index: what that pass learnt of their rows.
        part: which part of the text `texts` gives.
        left_out: by source, the numbers of the rows and lines without text that are not among them.
        phrases: what is taken out of the texts that `texts` gives; see `evenly.rows.shared`.
        media: how many rows hold images, sounds or films.

    Attributes:
        passed_over: files that a pattern found and that hold no rows.
    """

    has_texts = True
    """Whether there is more than vectors."""

    def __init__(
        self,
        sources: Sequence[Source],
        index: Index,
        part: Part = "all",
        left_out: Mapping[str, list[int]] | None = None,
        phrases: frozenset[str] = frozenset(),
        *,
        media: int = 0,
    ) -> None:
        self._sources, self._index = tuple(sources), index
        self._part = part
        self.phrases = phrases
        self.left_out = dict(left_out or {})
        self.media = media
        self.passed_over: Sequence[str] = ()
        self._starts = np.cumsum([0, *map(len, sources)])
        self._beside: dict[str, Sequence[Scalar]] = {}

    def beside(self, columns: Mapping[str, Sequence[Scalar]]) -> None:
        """Gives the rows further fields, N values each, that their records do not hold."""
        self._beside = {**self._beside, **columns}

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
    def has_datasets(self) -> bool:
        """Whether a source is a dataset, which has splits; of a folder of files those of one are the sources."""
        return any(source.records.format == DATASET.name for source in self._sources)

    @property
    def starts(self) -> Int64Array:
        """(sources + 1,) int64: source s holds the rows starts[s] … starts[s + 1] - 1."""
        return self._starts

    def all_texts(self) -> Iterator[Texts]:
        """Prompt, response and whole text of every row, parsed as one goes."""
        for source in self._sources:
            for number, record in enumerate(source.records.records(source.reads), start=1):
                yield texts_of(source.form, record, number, source.records.name)

    def texts(self) -> RowTexts:
        """The text of the chosen part of every row, N of them, each parsed when it is asked for."""
        return RowTexts(self, self._part, self.phrases)

    @property
    def part(self) -> Part:
        """Which part of the text is chosen."""
        return self._part

    @property
    def keys(self) -> KeyArray:
        """(N, 4) uint64, what stands for what `texts` gives of every row."""
        return self._stripped[0] if self.phrases else self._index.keys

    @cached_property
    def _stripped(self) -> tuple[KeyArray, int]:
        """The keys where phrases are taken out, and how many rows hold nothing else; all rows are parsed for it."""
        keys, nothing_else = bytearray(), 0
        for texts in self.all_texts():
            text = texts.part(self._part)
            left = without_shared(text, self.phrases)
            nothing_else += left is None
            keys += text_key(left or text)
        return key_array(keys), nothing_else

    def stripped(self, phrases: frozenset[str] | None = None) -> Rows:
        """The same rows, whose `texts` are without some phrases; None takes those that its sources share.

        Those of all sources are taken out of every row, so that equal texts stay equal. A row that holds nothing else
        keeps its text.
        """
        own = frozenset[str]().union(*(shared.phrases for shared in self._index.shared))
        taken = own if phrases is None else phrases
        made = Rows(self._sources, self._index, self._part, self.left_out, taken, media=self.media)
        made.passed_over = self.passed_over
        made.beside(self._beside)
        return made

    def shared_lines(self) -> list[str]:
        """Which sources share how much of their text, for people."""
        told = [
            f"{name} {percent(shared.share)} of the words"
            for name, shared in zip(self.source_names, self._index.shared, strict=True)
            if shared.share >= TOLD or (self.phrases and shared.phrases)
        ]
        if not told:
            return []
        what = f"text that many rows of a source share, such as a template: {', '.join(told)}"
        if not self.phrases:
            return [f"{what}; `strip_shared` embeds the rest"]
        alone = self._stripped[1]
        more = f"; {counted(alone, 'row')} of shared text alone, embedded with it" if alone else ""
        return [f"embedded without {what}{more}"]

    @cached_property
    def same_text(self) -> SameText:
        """The rows that share the embedded text with an earlier one, looked at whole."""
        return same_text(self)

    @property
    def characters(self) -> Int64Array:
        """(N,) int64, characters of the whole text of every row."""
        return self._index.characters

    def excerpts(self, start: int, stop: int) -> tuple[list[str], list[str]]:
        """The beginnings of prompt and response of the rows ``start`` … ``stop`` - 1; nothing is parsed."""
        columns = self._index.columns
        prompt, response = (list(columns.values(name, start, stop)) for name in (PROMPT, RESPONSE))
        return cast(list[str], prompt), cast(list[str], response)

    def noise(self, numbers: Sequence[int] | Int64Array) -> list[str | None]:
        """Why each of some rows looks like noise, or None: judged by its whole text beside a sample of the pool's."""
        sample = self._index.sample
        found = [self.row_texts(row) for row in np.asarray(numbers).tolist()]
        answers = [texts.response for texts in found] if sample.answered else None
        return noise_reasons([texts.whole for texts in found], answers=answers, usual=sample.texts)

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
        record = source.records.record(local, source.reads)
        return texts_of(source.form, record, local + 1, source.records.name)

    def whole(self, row: int) -> WholeRow:
        """One row with nothing left out, by its own form whatever ``--text`` says: what trainers and exports take."""
        source, local = self.locate(row)
        record = source.records.record(local)
        try:
            return (recognise(record) or source.form).whole(record)
        except RecordError as error:
            raise InputError(f"row {local + 1} of {source.records.name} {error}") from None

    def as_asked(self, row: int) -> WholeRow:
        """One row with nothing left out, prompt and answer as ``--text`` says where it was given."""
        source, local = self.locate(row)
        try:
            return source.form.whole(source.records.record(local))
        except RecordError as error:
            raise InputError(f"row {local + 1} of {source.records.name} {error}") from None

    def record(self, row: int) -> dict[str, Any]:
        """One row as it was read, with all its fields."""
        source, local = self.locate(row)
        return source.records.record(local)

    @property
    def ids(self) -> RowIds:
        """An id for every row, unique in the pool.

        The record's own ``id``, ``_id`` or ``uid`` where every record of its source has one and all ids of
        the pool are different; else "NAME:NUMBER", the row's number in its source from 1 (in JSON Lines its
        line). NAME is the file name, or the source as given where two sources have the same file name.
        """
        return RowIds(self, names_in_ids([source.name for source in self._sources]), self._index.id_fields)

    def field(self, name: str, start: int = 0, stop: int | None = None) -> list[Scalar]:
        """One field of every row, or of the rows ``start`` … ``stop`` - 1: text, number, truth value, or None.

        None stands where a record lacks it. "meta.lang" is the field ``lang`` within ``meta``, where no record has a
        field of that whole name. A list of texts (labels) reads as its values with ", " between them.
        Values of CSV are text. Fields named to `read_rows`, and those fit for colours, are not parsed again.
        The field `SOURCE` is the name of each row's source where no record has a field of that name.

        Raises:
            InputError: no record has the field, or it holds an object or another list (names the row).
        """
        stop = len(self) if stop is None else stop
        if name in self._beside:
            return list(self._beside[name][start:stop])
        facts = self._index.fields.get(name)
        if facts is not None and facts.whole:
            found = list(self._index.columns.values(FIELD + name, start, stop))
        elif self._may_have(name) or self._may_have(root_of(name)):
            found = [
                value
                for source, first in zip(self._sources, self._starts.tolist(), strict=False)
                for value in _read_field(source.records, name, start - first, stop - first)
            ]
        elif name == SOURCE:
            numbers = np.searchsorted(self._starts, np.arange(start, stop), side="right") - 1
            return [self.source_names[number] for number in numbers.tolist()]
        else:
            raise self._no_field(name)
        if "." in name and stop - start == len(self) and all(value is None for value in found):
            raise self._no_field(name)
        return found

    def _may_have(self, name: str) -> bool:
        return name in self._index.fields or any(
            name in (source.records.names or ()) for source in self._sources
        )

    @cached_property
    def source_names(self) -> list[str]:
        """A short name for every source, different for each."""
        return names_in_ids([source.name for source in self._sources])

    def scalar_fields(self) -> dict[str, set[type]]:
        """Fields fit for groups and colours, in order of appearance, with the kinds of their values.

        They hold a short scalar (at most `SHORT_CHARACTERS` characters) in more than half of the rows, and an object
        or a list in none. Ids and the fields that hold the text are left out. Several sources are a field too.
        """
        several = len(self._sources) > 1 and SOURCE not in self._index.fields
        virtual: dict[str, set[type]] = {SOURCE: {str}} if several else {}
        taken = {
            field
            for source in self._sources
            for form in (source.form, *source.own_forms)
            for field in form.fields or ()
        }
        return virtual | {
            name: facts.kinds
            for name, facts in self._index.fields.items()
            if facts.plain and 2 * facts.short > len(self) and name not in {*taken, *ID_FIELDS}
        }

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
        number, local = self.place(row)
        return self._sources[number], local

    def place(self, row: int) -> tuple[int, int]:
        """The number of a row's source, and the row's number in it, both from 0."""
        if not 0 <= row < len(self):
            raise InputError(f"row {row} is not in the pool of {len(self)} rows")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, int(row - self._starts[number])

    def _no_field(self, name: str) -> InputError:
        found = dict.fromkeys(field for source in self._sources for field in source.records.record(0))
        near = get_close_matches(name, found, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return InputError(f"no record has a field {name!r}; {meant}found: {names_of(found)}")


class RowTexts(Sequence[str]):
    """The text of every row of a pool, parsed when it is asked for, without the phrases that are taken out."""

    def __init__(self, rows: Rows, part: Part, phrases: frozenset[str] = frozenset()) -> None:
        self._rows, self._part, self._phrases = rows, part, phrases

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return self._of(self._rows.row_texts(row))

    def __iter__(self) -> Iterator[str]:
        return map(self._of, self._rows.all_texts())

    def _of(self, texts: Texts) -> str:
        text = texts.part(self._part)
        return (without_shared(text, self._phrases) or text) if self._phrases else text


class RowIds(Sequence[str]):
    """The id of every row of a pool, made when it is asked for; see `Rows.ids`."""

    def __init__(self, rows: Rows, names: list[str], fields: Sequence[str | None]) -> None:
        self._rows, self._names, self._fields = rows, names, fields

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        number, local = self._rows.place(row)
        return self._of_source(number, local, local + 1)[0]

    def __iter__(self) -> Iterator[str]:
        for number, source in enumerate(self._rows.opened):
            for start in range(0, len(source), ROWS_AT_ONCE):
                yield from self._of_source(number, start, min(start + ROWS_AT_ONCE, len(source)))

    def _of_source(self, number: int, start: int, stop: int) -> list[str]:
        field, name = self._fields[number], self._names[number]
        if field is None:
            records = self._rows.opened[number].records
            return [f"{name}:{records.number(local)}" for local in range(start, stop)]
        first = int(self._rows.starts[number])
        return [str(value) for value in self._rows.field(field, first + start, first + stop)]


def texts_of(form: Form, record: dict[str, Any], number: int, name: str) -> Texts:
    """The texts of a record; says which row of which source does not have the form."""
    try:
        return form.texts(record)
    except RecordError as error:
        raise InputError(f"row {number} of {name} {error}") from None


def names_in_ids(sources: Sequence[str]) -> list[str]:
    """What the ids of rows without one of their own begin with, for the names of all sources; see `Rows.ids`."""
    short = [PurePath(name).name or name for name in sources]
    return short if len(set(short)) == len(short) else list(sources)


def _read_field(records: Records, name: str, start: int, stop: int) -> Iterator[Scalar]:
    start = max(start, 0)
    number = start
    try:
        for record in records.records((name, root_of(name)), start, max(stop, 0)):
            number += 1
            yield scalar(value_at(record, name))
    except RecordError as error:
        raise InputError(
            f"row {number} of {records.name} {error} in the field {name!r}; name another"
        ) from None
