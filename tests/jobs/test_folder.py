"""The tables of a selection folder, written in blocks, against the rows and the selection they are made from."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly.engine.greedy import select
from evenly.folder import order, view
from evenly.folder.order import write_order
from evenly.folder.view import write_view
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows, rows_of

COUNT = 23


@pytest.fixture(params=[5, 1000])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (order, view):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", request.param)
    return int(request.param)


def pool(records: list[dict[str, Any]]) -> Rows:
    return read_rows(["-"], stdin=io.BytesIO("".join(json.dumps(each) + "\n" for each in records).encode()))


def vectors(width: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT, width)).astype(np.float32)


@pytest.mark.parametrize("parts", [np.arange(COUNT) // 3, np.zeros(0, dtype=np.int64)], ids=["proved", "not"])
def test_the_order_is_that_of_the_selection(tmp_path: Path, block: int, parts: np.ndarray) -> None:
    chosen = select(vectors(), 9)
    sha256 = write_order(chosen, (f"id {row}" for row in range(COUNT)), parts, tmp_path / "order.parquet")
    table = pq.read_table(tmp_path / "order.parquet").to_pydict()
    assert table["id"] == [f"id {row}" for row in range(COUNT)]
    rank = {row: place for place, row in enumerate(chosen.rows.tolist())}
    assert table["rank"] == [rank.get(row) for row in range(COUNT)]
    radius = dict(zip(chosen.rows.tolist(), [None, *chosen.radii[1:].tolist()], strict=True))
    assert table["radius"] == [radius.get(row) for row in range(COUNT)]
    assert (table["keeper"], table["keeper_distance"]) == (
        chosen.keeper.tolist(),
        chosen.keeper_distance.tolist(),
    )
    assert table["part"] == (parts.tolist() or [None] * COUNT)
    assert len(sha256) == 64


def test_the_view_shows_texts_and_fields(tmp_path: Path, block: int) -> None:
    records = [
        {
            "text": f"{row} " + "word " * row * 10,
            "whole": row,
            "mixed": row if row % 2 else str(row),
            "huge": 2**70 + row,
            "sometimes": None if row == 3 else row / 2,
            "never one": row if row else {"a": 1},
            "yes": row % 2 == 0,
            "tags": ["a", "b"],
        }
        for row in range(COUNT)
    ]
    write_view(pool(records), vectors(), tmp_path / "view.parquet")
    table = pq.read_table(tmp_path / "view.parquet")
    seen = table.to_pydict()
    texts = [record["text"] for record in records]
    assert seen["prompt"] == [text if len(text) <= 280 else text[:279] + "…" for text in texts]
    assert seen["characters"] == [len(text) for text in texts]
    assert seen["field:whole"] == list(range(COUNT))
    assert seen["field:mixed"] == [str(row) for row in range(COUNT)]
    assert seen["field:huge"] == [str(2**70 + row) for row in range(COUNT)]
    assert seen["field:sometimes"] == [record["sometimes"] for record in records]
    assert seen["field:yes"] == [record["yes"] for record in records]
    assert seen["field:tags"] == ["a, b"] * COUNT
    assert "field:never one" not in seen
    assert table.schema.field("field:whole").type == pa.int64()


def test_the_view_says_where_rows_lie(tmp_path: Path, block: int) -> None:
    places = vectors(2)
    write_view(pool([{"text": "t"}] * COUNT), places, tmp_path / "view.parquet")
    seen = pq.read_table(tmp_path / "view.parquet")
    assert np.array_equal(np.stack([seen["x"].to_numpy(), seen["y"].to_numpy()], axis=1), places)


def test_dates_are_fields(tmp_path: Path) -> None:
    records = [{"text": f"row {row}", "day": date(2020, 1, 1 + row)} for row in range(COUNT)]
    write_view(rows_of(records), vectors(2), tmp_path / "view.parquet")
    seen = pq.read_table(tmp_path / "view.parquet").to_pydict()
    assert seen["field:day"] == [str(record["day"]) for record in records]
