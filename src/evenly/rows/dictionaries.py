"""Records that are in memory as dictionaries, each with fields of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from evenly.errors import InputError
from evenly.rows.fileformat import Record, Records
from evenly.rows.hub import DATASET
from evenly.types import Int64Array


class Dictionaries(Records):
    """The records of a list.

    Raises:
        InputError: one of them is no dictionary, or there are none.
    """

    format = DATASET.name

    def __init__(self, name: str, given: Iterable[Any]) -> None:
        self.name, self._records = name, [_plain(record) for record in given]
        for number, record in enumerate(self._records, start=1):
            if not isinstance(record, Mapping):
                raise InputError(
                    f"rows must all be dictionaries or texts; row {number} is {type(record).__name__}"
                )
        if not self._records:
            raise InputError("there are no rows; expected at least one dictionary")

    def __len__(self) -> int:
        return len(self._records)

    def first_pass(self) -> tuple[Record, Callable[[Sequence[str] | None], Iterator[Record]]]:
        return self._records[0], lambda fields: iter(self._records)

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        found: Record = self._records[row]
        return found

    def records(
        self, fields: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        return iter(self._records[start:stop])

    def _keep(self, rows: Int64Array) -> None:
        self._records = [self._records[row] for row in rows.tolist()]


def _plain(record: Any) -> Any:
    """A record with lists and numbers of Python for those of numpy."""
    if not isinstance(record, Mapping) or not any(hasattr(value, "tolist") for value in record.values()):
        return record
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in record.items()}
