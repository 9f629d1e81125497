"""What public files look like in spite of their names and libraries: read by content, or refused with a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from evenly.errors import InputError
from evenly.folder.view import write_view
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.rows.writing import write_rows
from tests.rows.test_columns import pool

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
LINES = b'{"text": "a", "n": 1}\n{"text": "b", "n": 2}\n'
ARRAY = b'[\n  {\n    "text": "a"\n  },\n  {\n    "text": "b"\n  }\n]\n'
WRAPPED = b'{"version": "1", "note": [1], "data": [{"text": "a"}, {"text": "b"}], "end": {"x": []}}\n'


def opened(folder: Path, name: str, data: bytes, **options: Any) -> Rows:
    (folder / name).write_bytes(data)
    return read_rows([str(folder / name)], **options)


@pytest.mark.parametrize(("name", "data"), [("a.json", LINES), ("a.jsonl", ARRAY), ("a.json", WRAPPED)])
def test_json_is_read_by_content(tmp_path: Path, name: str, data: bytes) -> None:
    rows = opened(tmp_path, name, data)
    assert list(rows.texts()) == ["a", "b"]
    for out in ("kept.json", "kept.jsonl"):
        write_rows(rows, [1], tmp_path / out)
        assert list(read_rows([str(tmp_path / out)]).texts()) == ["b"]
    write_rows(rows, [0, 1], tmp_path / f"all{Path(name).suffix}")
    if data is WRAPPED:
        assert (tmp_path / "all.json").read_bytes() == WRAPPED


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": [{"text": "a"}], "b": [{"text": "b"}]}', "two lists of objects, a and b"),
        (b'{"text": "a"}', "holds an object at the top level; expected an array"),
        (b'{"data": [{"text": "a"}], "b": }', "is not JSON: Expecting value, line 1, column 32"),
        (b'{"data": [{"text": "a"}]', "is not JSON: Expecting ',' or '}'"),
    ],
)
def test_objects_that_hold_no_one_list(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened(tmp_path, "a.json", data)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.arrow"])
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, name: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n"
    with pytest.raises(InputError, match="is a pointer of Git LFS, not the file itself; run: git lfs pull"):
        opened(tmp_path, name, pointer)


def test_turns_may_be_json_in_a_string(tmp_path: Path) -> None:
    whole = pool([{"text": 1, "messages": json.dumps(TURNS)}])
    assert whole.whole(0).turns == TURNS
    table = pa.table({"messages": [[json.dumps(turn) for turn in TURNS]]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read_rows([str(tmp_path / "a.parquet")])
    assert rows.whole(0).turns == TURNS
    assert rows.pair(0) == ("q", "a")
    with pytest.raises(
        InputError, match="row 1 of standard input holds no list of turns in the field messages"
    ):
        pool([{"messages": "only words"}])


def test_a_missing_conversation_gives_way_to_other_fields(tmp_path: Path) -> None:
    rows = pool([{"messages": None, "text": None, "prompt": "p", "completion": "c"}])
    assert rows.pair(0) == ("p", "c")
    table = pa.table({"messages": pa.nulls(1), "prompt": ["p"], "completion": ["c"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_rows([str(tmp_path / "a.parquet")]).pair(0) == ("p", "c")


def test_a_number_that_is_none_is_no_text() -> None:
    rows = pool([{"instruction": "i", "input": float("nan"), "output": "o"}])
    assert rows.pair(0) == ("i", "o")
    with pytest.raises(InputError, match="row 1 of standard input has no text"):
        pool([{"text": float("nan")}])


def test_long_windows_are_unpacked(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert len(opened(tmp_path, "a.jsonl.zst", writer.compress(LINES) + writer.flush())) == 2


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_seen_in_the_header(tmp_path: Path, delimiter: str) -> None:
    source = f'prompt{delimiter}completion\r\np{delimiter}"c{delimiter}, d"\r\n'.encode()
    rows = opened(tmp_path, "a.csv", source)
    assert rows.pair(0) == ("p", f"c{delimiter}, d")
    write_rows(rows, [0], tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == source


def test_names_in_a_header_lose_their_spaces(tmp_path: Path) -> None:
    source = b"Question , Answer\nq,a\n"
    with pytest.raises(InputError, match=r"found: Question, Answer. Name the field as `text`"):
        opened(tmp_path, "a.csv", source)
    assert opened(tmp_path, "a.csv", source, text="Question,Answer").pair(0) == ("q", "a")


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()])
def test_views_keep_their_type(tmp_path: Path, kind: pa.DataType) -> None:
    values = [b"x" * 40, None, b"z"] if kind == pa.binary_view() else ["x" * 40, None, "z"]
    table = pa.table({"text": pa.array(["a", "b", "c"], pa.string_view()), "side": pa.array(values, kind)})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    rows = read_rows([str(tmp_path / "a.arrow")])
    write_rows(rows, [0, 2], tmp_path / "b.arrow")
    found = pa.ipc.open_file(tmp_path / "b.arrow").read_all()
    assert found.schema == table.schema
    assert found.to_pylist() == [table.to_pylist()[row] for row in (0, 2)]


def test_dates_that_python_has_not_are_text(tmp_path: Path) -> None:
    far = pa.array([400_000_000_000], pa.timestamp("s"))
    nowhere = pa.array([0], pa.timestamp("s", tz="Mars/Olympus"))
    pq.write_table(pa.table({"text": ["a"], "far": far, "nowhere": nowhere}), tmp_path / "a.parquet")
    rows = read_rows([str(tmp_path / "a.parquet")])
    assert str(rows.field("far")[0]).startswith("14645-")
    assert str(rows.field("nowhere")[0]).startswith("1970-01-01")


def test_half_a_character_in_a_field_is_escaped_for_the_page(tmp_path: Path) -> None:
    import numpy as np

    rows = pool([{"text": "a", "kind": "\ud83d"}, {"text": "b", "kind": "x"}])
    write_view(rows, np.eye(2, dtype=np.float32), tmp_path / "view.parquet")
    assert pq.read_table(tmp_path / "view.parquet")["field:kind"].to_pylist() == ["\\ud83d", "x"]
    assert rows.field("kind") == ["\ud83d", "x"]


def test_many_sources_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.jsonl").write_text('{"text": "a"}\n')
    resolved: list[str] = []
    resolve = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda path, *given: resolved.append(str(path)) or resolve(path))
    assert len(read_rows([f"{tmp_path}/*.jsonl"])) == 300
    assert len(resolved) <= 600
