"""What an experiment returns: tables, numbers, curves and a verdict, as data to check or draw again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from evenly.types import Float64Array
from evenly.words import Cell, show

Outcome = Literal["holds", "holds in part", "fails"]
Number: TypeAlias = "float | np.floating[Any]"


@dataclass(frozen=True)
class ResultTable:
    """Rows of cells under column names. A cell that is None was not measured."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def shown(self) -> list[list[str]]:
        """The columns and then the rows as people read them."""
        return [list(self.columns), *[[show(cell) for cell in row] for row in self.rows]]

    @staticmethod
    def of(title: str, records: Sequence[Mapping[str, Any]]) -> ResultTable:
        """A table of records with the same columns; numpy's numbers become Python's."""
        rows = tuple(tuple(map(_python, record.values())) for record in records)
        return ResultTable(title, tuple(records[0]), rows)


@dataclass(frozen=True, eq=False)
class Result:
    """One experiment, run.

    Attributes:
        name: of the experiment, as on the command line.
        title: the claim in a few words.
        claim: the claim in a sentence, with its source.
        settings: everything that decides the numbers (seeds, sizes, rates).
        outcome: the verdict in a word.
        verdict: one line: where the claim holds, where it is loose, where it fails.
        numbers: the figures that tests and documents quote, by name.
        tables: what a person reads.
        series: the curves that the figure draws, by name.
    """

    name: str
    title: str
    claim: str
    settings: Mapping[str, Any]
    outcome: Outcome
    verdict: str
    numbers: Mapping[str, Number]
    tables: tuple[ResultTable, ...]
    series: Mapping[str, Float64Array] = field(default_factory=dict)

    def series_of(self, prefix: str) -> dict[str, Float64Array]:
        """The curves whose names start so, by the rest of their names."""
        return {
            name.removeprefix(prefix): each for name, each in self.series.items() if name.startswith(prefix)
        }

    def as_json(self) -> str:
        """JSON without NaN or infinity: a number that is not finite (a run cut off, say) is null."""
        record = {"format": 1} | asdict(self)
        return json.dumps(_plain(record), indent=1, allow_nan=False, ensure_ascii=False)


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    value = _python(value)
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value
