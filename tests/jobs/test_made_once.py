"""What is derived from all rows is made once in a whole run, however many controls and measures ask for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from evenly.controls.choice import Choice
from evenly.engine import points
from evenly.engine.filter import FilterMap
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from tests.jobs.files import records, write_lines

POOL, AVOIDED = 400, 9


def test_rows_are_normalised_and_codes_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(tmp_path / "pool.jsonl", records(POOL, 0, width=40))
    write_lines(tmp_path / "test.jsonl", records(AVOIDED, 1, width=40))
    normalised: list[int] = []
    coded: Counter[int] = Counter()
    unit_rows, encode = points.unit_rows, FilterMap.encode

    def unit(rows: Tensor, **options: Any) -> Tensor:
        normalised.append(len(rows))
        return unit_rows(rows, **options)

    def encoded(self: FilterMap, rows: Tensor, *rest: Any) -> Any:
        coded[len(rows)] += 1
        return encode(self, rows, *rest)

    monkeypatch.setattr(points, "unit_rows", unit)
    monkeypatch.setattr(FilterMap, "encode", encoded)
    choice = Choice.of(keep="60%", guard="5%", avoid=str(tmp_path / "test.jsonl"), distance=0.2)
    reading = PoolRequest([str(tmp_path / "pool.jsonl")], encoder="column:vec", use_cache=False)
    kept = select_sources(SelectRequest(reading, choice, str(tmp_path / "kept.jsonl")))
    assert kept.measures["certificate"]["share_of_best"] > 0
    assert kept.measures["random"]["draws"] > 0
    # Rows to avoid are looked at once more, for they may be somebody's own and unit already.
    assert sorted(normalised) == [AVOIDED, AVOIDED, POOL]
    # Once for the greedy filter and once for neighbour searches: see `evenly.engine.codes`.
    assert coded[POOL] == 2
