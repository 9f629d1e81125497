"""The main job from the outside: the commands as a person types them, on vectors that come with the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenly import EvenlyError, select, select_rows
from tests.conftest import Run
from tests.engine.oracle import textbook_order, unit_rows


def records(count: int = 60, *, copies: int = 0, seed: int = 3) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(seed).standard_normal((count, 6)).round(3)
    for copy in range(copies):
        vectors[count - 1 - copy] = vectors[copy]
    return [
        {"instruction": f"question {i}", "input": "", "output": f"answer {i}", "v": vector.tolist()}
        for i, vector in enumerate(vectors)
    ]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records()))
    return path


def vectors_of(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([row["v"] for row in rows], dtype=np.float32)


def test_select_writes_the_even_half_and_a_record_that_verifies(pool: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "kept.jsonl"
    status, said, _ = run("select", str(pool), "--keep", "50%", "--out", str(out), "--encoder", "column:v")
    assert status == 0
    assert "kept 30 of 60 rows (50 %)" in said
    order = pq.read_table(tmp_path / "kept.evenly" / "order.parquet").to_pylist()
    picks = sorted((line for line in order if line["rank"] is not None), key=lambda line: line["rank"])
    unit = unit_rows(vectors_of(records()))
    expected = textbook_order(unit, 30, picks[0]["row"])
    assert [line["row"] for line in picks] == expected.rows
    assert [line["radius"] for line in picks[1:]] == [squared / 2 for squared in expected.squared_radii[1:]]
    assert [line["keeper"] for line in order] == expected.keeper.tolist()
    lines = pool.read_text().splitlines(keepends=True)
    assert out.read_text() == "".join(lines[row] for row in sorted(expected.rows))
    status, said, _ = run("verify", str(tmp_path / "kept.evenly"))
    assert (status, "all checks passed" in said) == (0, True)
    assert {path.name for path in (tmp_path / "kept.evenly").iterdir()} == {
        "manifest.json",
        "config.yaml",
        "order.parquet",
        "view.parquet",
        "measures.json",
        "report.html",
    }


def test_json_holds_what_the_summary_says(pool: Path, tmp_path: Path, run: Run) -> None:
    out = str(tmp_path / "kept.jsonl")
    status, said, errors = run(
        "select", str(pool), "--keep", "7", "--out", out, "--encoder", "column:v", "--json"
    )
    found = json.loads(said)
    assert (status, errors) == (0, "")
    assert found["manifest"]["kept"] == 7
    assert found["measures"]["kept"]["h_min"] == found["manifest"]["h_min"]
    assert found["measures"]["kept"]["fill"] <= found["measures"]["kept"]["h_min"]


def test_copies_end_the_order_and_are_said(tmp_path: Path, run: Run) -> None:
    pool = tmp_path / "train.jsonl"
    rows = records(15)
    pool.write_text("".join(json.dumps(record) + "\n" for record in [*rows, *rows[:5]]))
    out = str(tmp_path / "kept.jsonl")
    _, said, _ = run("select", str(pool), "--keep", "18", "--out", out, "--encoder", "column:v")
    assert "asked 18, only 15 distinct rows, kept 15" in said
    run("select", str(pool), "--keep", "18", "--out", out, "--encoder", "column:v", "--allow-copies")
    assert len(Path(out).read_text().splitlines()) == 18
    assert run("verify", str(tmp_path / "kept.evenly"))[0] == 0


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet", "arrow"])
def test_every_format_goes_in_and_out(suffix: str, tmp_path: Path, run: Run) -> None:
    import pyarrow as pa

    rows = [{"prompt": f"p{i}", "completion": f"c{i}"} for i in range(12)]
    path, out = tmp_path / f"train.{suffix}", tmp_path / f"kept.{suffix}"
    table = pa.Table.from_pylist(rows)
    if suffix == "json":
        path.write_text(json.dumps(rows))
    elif suffix == "csv":
        path.write_text("prompt,completion\n" + "".join(f"{r['prompt']},{r['completion']}\n" for r in rows))
    elif suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((12, 4)))
    given = f"vectors:{tmp_path / 'v.npy'}"
    status, _, errors = run("select", str(path), "--keep", "5", "--out", str(out), "--encoder", given)
    assert (status, errors) == (0, "")
    assert run("verify", str(tmp_path / "kept.evenly"))[0] == 0


def with_encoder(encoder: str) -> list[str]:
    return ["train.jsonl", "--keep", "5", "--out", "o.jsonl", "--encoder", encoder]


BAD_CALLS = {
    "no such file": (["missing.jsonl", "--keep", "5", "--out", "o.jsonl"], "missing.jsonl"),
    "keep of nothing": (["train.jsonl", "--keep", "0", "--out", "o.jsonl"], "at least one row"),
    "keep above the pool": (["train.jsonl", "--keep", "61", "--out", "o.jsonl"], "more than the 60 rows"),
    "keep no number": (["train.jsonl", "--keep", "half", "--out", "o.jsonl"], "'half'"),
    "output is the input": (["train.jsonl", "--keep", "5", "--out", "train.jsonl"], "is the input"),
    "output of another form": (["train.jsonl", "--keep", "5", "--out", "o.csv"], "o.csv"),
    "unknown text field": (["train.jsonl", "--keep", "5", "--out", "o.jsonl", "--text", "body"], "body"),
    "unknown column": (with_encoder("column:w"), "'w'"),
    "no such encoder": (with_encoder("./none"), "none"),
    "no such encoder, said before the rows are read": (
        ["none.jsonl", "--keep", "5", "--out", "o.jsonl", "--encoder", "./none"],
        "encoder './none'",
    ),
    "vectors without their prefix": (
        with_encoder("short.npy"),
        "vectors:short.npy",
    ),
    "vectors of other rows": (
        with_encoder("vectors:short.npy"),
        "one for each row",
    ),
    "zero vector": (
        with_encoder("vectors:zero.npy"),
        "row 7",
    ),
    "not a number": (
        with_encoder("vectors:nan.npy"),
        "row 9",
    ),
    "start outside": (
        ["train.jsonl", "--keep", "5", "--out", "o.jsonl", "--start", "60"],
        "a row number from 0 to 59, or random; got 60",
    ),
    "start no row": (["train.jsonl", "--keep", "5", "--out", "o.jsonl", "--start", "first"], "'first'"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_one_line_and_writes_nothing(
    case: str, pool: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sound = np.random.default_rng(0).standard_normal((60, 4))
    np.save("short.npy", sound[:50])
    np.save("zero.npy", np.where(np.arange(60)[:, None] == 7, 0.0, sound))
    np.save("nan.npy", np.where(np.arange(60)[:, None] == 9, np.nan, sound))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    arguments, expected = BAD_CALLS[case]
    given = [] if "--encoder" in arguments else ["--encoder", "column:v"]
    status, said, errors = run("select", *arguments, *given)
    assert status == 2
    assert said == ""
    assert errors.count("\n") == 1
    assert errors.startswith("evenly: ")
    assert expected in errors
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_changed_file_is_caught_and_named(pool: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "kept.jsonl"
    run("select", str(pool), "--keep", "50%", "--out", str(out), "--encoder", "column:v")
    folder = tmp_path / "kept.evenly"
    for path in (out, folder / "measures.json", folder / "order.parquet", folder / "manifest.json", pool):
        whole = path.read_bytes()
        changed = whole.replace(b"answer 1", b"answer 9") if path.suffix == ".jsonl" else whole
        if path.name == "manifest.json":
            changed = whole.replace(b'"seed": 0', b'"seed": 1')
        elif path.name == "measures.json":
            changed = whole.replace(b'"draws": 5', b'"draws": 6')
        elif path.name == "order.parquet":
            table = pq.read_table(path)
            radius = table["radius"].to_pandas() * 1.01
            pq.write_table(table.set_column(3, "radius", [radius]), path)
            changed = path.read_bytes()
        path.write_bytes(changed)
        status, said, _ = run("verify", str(folder))
        failed = [line for line in said.splitlines() if line.startswith("FAILED")]
        assert status == 1
        assert path.stem.split(".")[0] in failed[0]
        path.write_bytes(whole)
    assert run("verify", str(folder))[0] == 0


def test_start_and_euclidean(pool: Path, tmp_path: Path, run: Run) -> None:
    out = str(tmp_path / "kept.jsonl")
    call = [
        "select",
        str(pool),
        "--keep",
        "9",
        "--out",
        out,
        "--encoder",
        "column:v",
        "--metric",
        "euclidean",
    ]
    run(*call, "--start", "17", "--json")
    assert json.loads((tmp_path / "kept.evenly" / "manifest.json").read_text())["start"] == 17
    order = pq.read_table(tmp_path / "kept.evenly" / "order.parquet").to_pylist()
    picks = sorted((line for line in order if line["rank"] is not None), key=lambda line: line["rank"])
    assert [line["row"] for line in picks] == textbook_order(vectors_of(records()), 9, 17).rows


def test_select_in_python_takes_what_people_have() -> None:
    import torch

    vectors = vectors_of(records())
    expected = textbook_order(unit_rows(vectors), 12, None if False else int(select(vectors, 1).rows[0])).rows
    for given in (vectors, vectors.astype(np.float64), vectors.tolist(), torch.from_numpy(vectors)):
        assert select(given, 12).rows.tolist() == expected
    for keep in (12, np.int64(12), np.array(12), "12", 0.2, "20%"):
        assert select(vectors, keep).rows.tolist() == expected
    for keep in (0, -1, 61, 1.5, "x", True, None, float("nan")):
        with pytest.raises(EvenlyError):
            select(vectors, keep)


def test_select_rows_takes_datasets_and_gives_row_numbers() -> None:
    import datasets

    rows = records()
    dataset = datasets.Dataset.from_list(rows)
    by_dataset = select_rows(dataset, 0.25, encoder="column:v")
    by_list = select_rows(rows, 0.25, encoder="column:v")
    assert by_dataset.rows.tolist() == by_list.rows.tolist() == select(vectors_of(rows), 15).rows.tolist()
    assert len(dataset.select(by_dataset.sorted_rows())) == 15


def test_standard_input_reads_json_lines(pool: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-m", "evenly", "select", "-", "--keep", "5", "--encoder", "column:v"]
    done = subprocess.run(
        [*call, "--out", str(tmp_path / "kept.jsonl")],
        stdin=pool.open(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 5
