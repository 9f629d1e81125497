"""How often a whole run parses a row: twice where it must be embedded, once where its vector is cached."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenly.controls.choice import Choice
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import run_selection
from tests.vectors.models import WORDS, save_tiny_model, write_sentence_settings

ROWS = 5000
SHOWN = 30
"""First picks and closest pairs, whose texts people read, are looked up again one by one."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny encoder and one pool in three formats."""
    place = tmp_path_factory.mktemp("parses")
    words = [word.removeprefix("##") for word in WORDS]
    draws = np.random.default_rng(0).integers(0, len(words), (ROWS, 6))
    records = [
        {"id": f"row {row}", "text": " ".join(words[w] for w in drawn), "by": f"g{row % 3}", "score": row % 7}
        for row, drawn in enumerate(draws)
    ]
    (place / "rows.json").write_text(json.dumps(records))
    (place / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with (place / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    save_tiny_model(place)
    write_sentence_settings(place)
    return place


class Parses:
    """Counts what JSON decoders and CSV readers give, by the row it holds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rows: Counter[str] = Counter()
        decode, reader = json.JSONDecoder.raw_decode, csv.reader

        def counted(decoder: json.JSONDecoder, *given: Any, **named: Any) -> Any:
            value, end = decode(decoder, *given, **named)
            if isinstance(value, dict) and "score" in value:
                self.rows[value["id"]] += 1
            return value, end

        def counted_lines(*given: Any, **options: Any) -> Iterator[list[str]]:
            return Counted(reader(*given, **options), self.rows)

        patch.setattr(json.JSONDecoder, "raw_decode", counted)
        patch.setattr(csv, "reader", counted_lines)


class Counted:
    """A CSV reader that counts the rows it gives."""

    def __init__(self, reader: Any, rows: Counter[str]) -> None:
        self._reader, self._rows = reader, rows

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        fields: list[str] = next(self._reader)
        if fields[0] != "id":
            self._rows[fields[0]] += 1
        return fields

    @property
    def line_num(self) -> int:
        number: int = self._reader.line_num
        return number


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_a_row_is_parsed_twice_and_with_cached_vectors_once(
    place: Path, ending: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVENLY_CACHE", str(tmp_path / "cache"))
    choice = Choice.of(keep="30%", by="by", at_least=10, quality="score", floor=1.0, must=("score=3",))
    for most in (2, 1):
        with monkeypatch.context() as patch:
            parses = Parses(patch)
            run_selection(
                SelectRequest(
                    pool=PoolRequest(
                        sources=[str(place / f"rows.{ending}")], encoder=str(place), device="cpu"
                    ),
                    choice=choice,
                    out=str(tmp_path / f"kept{most}.{ending}"),
                )
            )
        assert len(parses.rows) == ROWS
        assert sum(count > most for count in parses.rows.values()) <= SHOWN
        assert parses.rows.total() <= most * ROWS + SHOWN
