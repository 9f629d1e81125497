"""Kept rows written in the order of picking: the first k rows of the file are the selection of size k."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.strategies import select_all
from evenly.jobs.verify import verify_folder
from evenly.request import Order, PoolRequest, SavedPoolRequest
from evenly.rows.sources import read_rows
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.jobs.files import read_lines, records, write_lines

ENDINGS = ("jsonl", "json", "csv", "parquet", "arrow", "jsonl.gz", "parquet.zst")


def save(values: list[dict[str, Any]], folder: Path, ending: str) -> str:
    """A file of some format, written by another hand where it is not compressed."""
    path = folder / f"pool.{ending.split('.')[0]}"
    if path.suffix == ".jsonl":
        write_lines(path, values)
    elif path.suffix == ".json":
        path.write_text(json.dumps(values), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(values[0]))
            writer.writeheader()
            writer.writerows(values)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(values), path, row_group_size=7)
    else:
        table = pa.Table.from_pylist(values)
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    return str(path)


def read(path: Path | str) -> list[dict[str, Any]]:
    rows = read_rows([str(path)])
    return [rows.record(row) for row in range(len(rows))]


def pool_of(folder: Path, ending: str, count: int, seed: int) -> PoolRequest:
    """A pool of some format with copies in it, its vectors in a file beside it."""
    values = records(count, seed)
    np.save(folder / "v.npy", np.array([value.pop("vec") for value in values], dtype=np.float32))
    return PoolRequest([save(values, folder, ending)], encoder=f"vectors:{folder / 'v.npy'}", use_cache=False)


def run(pool: PoolRequest, out: Path | str, order: Order = "picked", **asked: Any) -> Recorded:
    return select_sources(SelectRequest(pool, Choice.of(**asked), str(out), random_draws=0, order=order))


@settings(max_examples=8)
@given(
    st.sampled_from(ENDINGS),
    st.integers(4, 30),
    st.integers(0, 99),
    st.sampled_from([{}, {"guard": "10%"}, {"dedup": 0.2}, {"must": "lang=en"}, {"start": "random"}]),
    st.data(),
)
def test_the_first_rows_of_the_file_are_the_smaller_selection(
    ending: str, count: int, seed: int, controls: dict[str, Any], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pool = pool_of(folder, ending, count, seed)
        out = folder / f"kept.{ending}"
        try:
            done = run(pool, out, keep="100%", **controls)
        except InputError:  # no row of that language, or nothing left
            return
        whole, pool_records = read(out), read(pool.sources[0])
        picks = done.selection.rows
        assert whole[: len(picks)] == [pool_records[row] for row in picks]
        assert sorted(map(repr, whole)) == sorted(map(repr, pool_records))
        least = max(1, done.manifest.options.given)
        size = data.draw(st.integers(least, len(picks)))
        small = folder / f"small.{ending}"
        run(pool, small, "source", keep=size, **controls)
        assert sorted(map(repr, read(small))) == sorted(map(repr, whole[:size]))
        cut = folder / f"cut.{ending}"
        slice_selection(SavedPoolRequest(done.folder, use_cache=False), str(size), str(cut), order="picked")
        assert read(cut) == whole[:size]
        for kept in (out, cut):
            found = verify_folder(SavedPoolRequest(kept, use_cache=False))
            assert found.passed
            assert not found.unchecked
            assert any(check.name.startswith("order of kept") for check in found.checks) == (kept == out)


def test_what_was_not_picked_is_last_and_said(tmp_path: Path) -> None:
    values = records(28, 0)
    source = write_lines(tmp_path / "pool.jsonl", [*values, *values[:2]])
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False)
    done = run(pool, tmp_path / "kept.jsonl", keep="100%", guard="10%")
    assert done.manifest.options.appended == {"copies": 2, "excluded": 3}
    excluded = set(done.prepared.excluded)
    lines, rows = read_lines(tmp_path / "kept.jsonl"), [*values, *values[:2]]
    assert lines[-5:] == [rows[row] for row in (28, 29, *sorted(excluded))]
    said = "\n".join(done.notes())
    assert f"for every k up to {len(done.selection)}" in said
    assert "2 rows that equal picked ones, then 3 rows that a control excluded" in said
    with pytest.raises(InputError, match="ends with 3 rows that were excluded"):
        SelectionFolder.open(done.folder).kept_files()


@pytest.mark.parametrize("keep", ["distance:0.3", "chars:200", "knee"])
def test_a_budget_writes_what_was_picked_alone(keep: str, tmp_path: Path) -> None:
    done = run(pool_of(tmp_path, "jsonl", 30, 1), tmp_path / "kept.jsonl", keep=keep)
    assert 0 < len(read_lines(tmp_path / "kept.jsonl")) == len(done.selection) < 30


def test_a_file_in_another_order_does_not_verify(tmp_path: Path) -> None:
    done = run(pool_of(tmp_path, "jsonl", 20, 1), tmp_path / "kept.jsonl", keep=6)
    lines = (tmp_path / "kept.jsonl").read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    (tmp_path / "kept.jsonl").write_bytes(b"".join(lines))
    found = verify_folder(SavedPoolRequest(done.folder, use_cache=False))
    wrong = {check.name: check.detail for check in found.checks if not check.passed}
    assert set(wrong) == {"output kept.jsonl", "order of kept.jsonl"}
    assert wrong["order of kept.jsonl"].startswith("row 3 is not row")


def test_extended_and_rival_orders(tmp_path: Path) -> None:
    new = write_lines(tmp_path / "new.jsonl", records(10, 3))
    old = write_lines(tmp_path / "old.jsonl", records(20, 2))
    pool = PoolRequest([str(old)], encoder="column:vec", use_cache=False)
    done = run(pool, tmp_path / "kept.jsonl", keep=6)
    saved = SavedPoolRequest(done.folder, use_cache=False)
    longer = extend_selection(saved, [str(new)], "12", str(tmp_path / "more.jsonl"), order="picked")
    assert read_lines(tmp_path / "more.jsonl")[:6] == read_lines(tmp_path / "kept.jsonl")
    assert longer.outcome.selection.rows[:6].tolist() == done.selection.rows.tolist()
    request = SelectRequest(
        pool, Choice.of(keep=5, strategy="all"), f"{tmp_path}/arms/", random_draws=0, order="picked"
    )
    select_all(request)
    assert read_lines(tmp_path / "arms/maxmin.jsonl") == read_lines(tmp_path / "kept.jsonl")[:5]
