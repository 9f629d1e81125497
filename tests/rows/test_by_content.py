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
        (b'{"text": "a"}', r"holds an object at the top level \(with text\); expected an array"),
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


ROW, CHAT = '{"text": "a"}', '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'
OTHER_SHAPES = {
    ("a.jsonl", f"{ROW}{ROW}\n"): "line 1 .* holds more than one object; write one a line, .* jq -c . FILE",
    ("a.jsonl", '{\n "text": "a"\n}\n'): "line 1 .* ends within an object; write every object on one line",
    ("a.jsonl", f"{ROW},\n{ROW}"): r"line 1 .* ends in a comma, as in an array; put \[ before and",
    ("a.jsonl", "<!DOCTYPE html>\n"): "line 1 .* is HTML or XML, a page and not the data",
    ("a.jsonl", f"[{ROW}]\n[{ROW}]\n"): r"more than one array; .* jq -c '.\[\]' FILE",
    ("a.json", f'{ROW[:-1]},\n"n": 1}}\n{ROW}'): "holds objects one after the other; write one a line",
    ("a.json", '{"text": ["a"], "n": [1]}'): "an object of 2 columns; .* orient='columns'",
    ("a.json", f'{{"0": {ROW}, "1": {ROW}}}'): "an object of 2 rows; .* orient='index'",
    ("a.json", '["a"]'): 'row 1 of .* is a string; expected an object with named fields such as {"text": …}',
}


@pytest.mark.parametrize(("file", "said"), OTHER_SHAPES.items())
def test_other_shapes_of_rows_are_named_with_a_remedy(
    tmp_path: Path, file: tuple[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        opened(tmp_path, file[0], file[1].encode())


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.jsonl", f"{CHAT}\n{CHAT}\n"),
        ("a.json", f"[{CHAT},\n{CHAT}]\n"),
        ("a.csv", f'{ROW[:-1]}, "n": 1}}\n{ROW}\n'),
        ("a.csv", "prompt|completion\nq|a\nr|b\n"),
        ("a.csv", '"prompt";"n, m"\nq;"a"\nr;b\n'),
        ("a.tsv", 'prompt\tcompletion, "long"\nq\t"a\n"\nr\tb\n'),
    ],
)
def test_rows_by_content_are_written_back_as_they_were(tmp_path: Path, name: str, source: str) -> None:
    rows = opened(tmp_path, name, source.encode())
    assert len(rows) == 2
    out = tmp_path / ("b.jsonl" if rows.opened[0].records.format == "jsonl" else f"b.{name[2:]}")
    write_rows(rows, [0, 1], out)
    assert out.read_text() == source
    assert list(read_rows([str(out)]).texts()) == list(rows.texts())


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Question , Answer", "text=Question,Answer"),
        ("User Query,Bot Reply", 'text="User Query,Bot Reply"'),
        ("q,Ans", "text=q,Ans"),
    ],
)
def test_the_remedy_for_a_header_works(tmp_path: Path, header: str, said: str) -> None:
    source = f"n,{header},lang\n1,what is a pear?,a fruit,en\n".encode()
    with pytest.raises(InputError) as caught:
        opened(tmp_path, "a.csv", source)
    assert f"for example `{said}` (the last is the answer)" in str(caught.value)
    text = said.removeprefix("text=").strip('"')
    assert opened(tmp_path, "a.csv", source, text=text).pair(0) == ("what is a pear?", "a fruit")


def test_a_template_takes_any_name_from_the_row(tmp_path: Path) -> None:
    source = b'"Question, long",n\nq,1\n'
    assert opened(tmp_path, "a.csv", source, text='{{ row["Question, long"] }}!').texts()[0] == "q!"
    with pytest.raises(InputError, match="does not fit the template"):
        opened(tmp_path, "a.csv", source, text="{{ row.none }}")
    own = b'{"row": "r", "text": "t"}\n'
    assert opened(tmp_path, "a.jsonl", own, text="{{ row }}").texts()[0] == "r"


def test_vectors_in_cells_are_json(tmp_path: Path) -> None:
    rows = opened(tmp_path, "a.csv", b'text,v,w\na,"[1, 0.5]",[1 2]\nb,"[2, 3]",[3 4]\n')
    assert rows.vectors("v").tolist() == [[1, 0.5], [2, 3]]
    with pytest.raises(
        InputError, match=r"no lists of numbers; name another, or give the vectors as `encoder="
    ):
        rows.vectors("w")


def test_labels_of_tables_are_read(tmp_path: Path) -> None:
    rows = opened(tmp_path, "a.csv", b"prompt,completion,label\np,c,True\np,c,false\np,c,good\n")
    assert list(rows.texts()) == ["p\nc\nlabel: true", "p\nc\nlabel: false", "p\nc"]
    assert [rows.whole(row).kind for row in range(3)] == ["judged answers", "judged answers", "answers"]


def test_names_of_fields_that_are_no_text(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"], "meta": [{"abcdef": 1}]})
    with pa.ipc.new_file(tmp_path / "whole.arrow", table.schema) as writer:
        writer.write_table(table)
    data = (tmp_path / "whole.arrow").read_bytes()
    with pytest.raises(InputError, match="has a field whose name is not UTF-8; fetch or write it again"):
        opened(tmp_path, "a.arrow", data.replace(b"abcdef", b"ab\xf9def"))


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
