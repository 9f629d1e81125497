"""What an experiment returns: tables, numbers, curves and a verdict, as data to check or draw again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from evenly.types import Float64Array
from evenly.words import Cell, show

Outcome = Literal["holds", "holds in part", "fails"]
Number: TypeAlias = "float | np.floating[Any]"


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names. A cell that is None was not measured."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def shown(self) -> list[list[str]]:
        """The columns and then the rows as people read them."""
        return [list(self.columns), *[[show(cell) for cell in row] for row in self.rows]]

    @staticmethod
    def of(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
        """A table of records with the same columns; numpy's numbers become Python's."""
        rows = (
            tuple(each.item() if isinstance(each, np.generic) else each for each in r.values())
            for r in records
        )
        return Table(title, tuple(records[0]), tuple(rows))


@dataclass(frozen=True, eq=False)
class Result:
    """One experiment, run.

    Attributes:
        name: of the experiment, as on the command line.
        title: the claim in a few words.
        claim: the claim in a sentence, with its source.
        settings: everything that decides the numbers (seeds, sizes, rates).
        tables: what a person reads.
        verdict: one line: where the claim holds, where it is loose, where it fails.
        outcome: the verdict in a word.
        numbers: the figures that tests and documents quote, by name.
        series: the curves that the figure draws, by name.
    """

    name: str
    title: str
    claim: str
    settings: Mapping[str, Any]
    tables: tuple[Table, ...]
    verdict: str
    outcome: Outcome
    numbers: Mapping[str, Number]
    series: Mapping[str, Float64Array] = field(default_factory=dict)

    def series_of(self, prefix: str) -> dict[str, Float64Array]:
        """The curves whose names start so, by the rest of their names."""
        return {
            name.removeprefix(prefix): each for name, each in self.series.items() if name.startswith(prefix)
        }

    def as_json(self) -> str:
        """JSON without NaN or infinity: a number that is not finite (a run cut off, say) is null."""
        record = {
            "format": 1,
            "name": self.name,
            "title": self.title,
            "claim": self.claim,
            "settings": self.settings,
            "outcome": self.outcome,
            "verdict": self.verdict,
            "numbers": self.numbers,
            "tables": [{"title": t.title, "columns": t.columns, "rows": t.rows} for t in self.tables],
            "series": self.series,
        }
        return json.dumps(_plain(record), indent=1, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, float):
        return float(f"{value:.8g}")
    return value
