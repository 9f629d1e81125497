"""However much is asked of a selection, its order is picked once; counted by the pools that it is picked on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evenly.controls.choice import Choice
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.opened import OpenedPool, open_pool
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest, Stopwatch
from evenly.selecting.run import choose, record
from tests.jobs.files import records, write_lines

ROWS = 300


class Counting:
    """A pool that notes how often it is covered with rows of its own: a saved order once, one in the making often."""

    def __init__(self, pool: Any, uses: list[int]) -> None:
        self._pool, self._uses = pool, uses
        uses.append(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def forget(self) -> None:
        self._uses.append(0)
        self._pool.forget()

    def cover(self, vectors: Any, labels: Any) -> None:
        self._uses[-1] += int(labels[0] < ROWS)
        self._pool.cover(vectors, labels)


@dataclass(frozen=True)
class CountingBackend(Backend):
    uses: list[int] = field(default_factory=list)

    @contextmanager
    def open(self, rows: Any, *rest: Any) -> Iterator[Any]:
        with super().open(rows, *rest) as pool:
            yield Counting(pool, self.uses if len(rows) == ROWS else [])

    @property
    def orders(self) -> int:
        return sum(covers > 1 for covers in self.uses)


@pytest.mark.parametrize(
    "options",
    [
        {"keep": "40%"},
        {"keep": "knee"},
        {"keep": "40%", "refine": True},
        {"keep": "40%", "refine": True, "guard": "5%"},
        {"keep": "40%", "quality": "score", "weight": 1.0},
        {"keep": "40%", "quality": "score", "within": 0.05, "dedup": 0.01},
        {"keep": "chars:3k", "density": 0.5, "must": ("gold=True",)},
        {"keep": "40%", "by": "lang", "quota": "equal", "anchors": "test.jsonl"},
    ],
    ids=str,
)
def test_an_order_is_picked_once(options: dict[str, Any], tmp_path: Path) -> None:
    write_lines(tmp_path / "pool.jsonl", records(ROWS, 0))
    write_lines(tmp_path / "test.jsonl", records(5, 1))
    if "anchors" in options:
        options = options | {"anchors": str(tmp_path / "test.jsonl")}
    choice = Choice.of(**options)
    reading = PoolRequest([str(tmp_path / "pool.jsonl")], encoder="column:vec", use_cache=False)
    backend = CountingBackend(tmp_path)
    with open_pool(reading) as opened:
        points = Points(opened.points.vectors, opened.points.metric, backend)
        pool = OpenedPool(reading, opened.rows, points, opened.encoder, opened.note)
        request = SelectRequest(reading, choice, str(tmp_path / "kept.jsonl"))
        prepared, selection, found = choose(choice, pool)
        assert backend.orders == 1
        written = record(request, prepared, selection, found, Stopwatch())
    assert backend.orders == 1
    assert written.manifest.kept == len(selection)
