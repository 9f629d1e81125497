"""What one pass over the sources learns, against the rows parsed again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.rows.index import text_key
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows, rows_of

said = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9).filter(
    str.strip
)
values = st.none() | st.integers(0, 3) | st.sampled_from(["", "a", "1", "b"])


def pool(*records: dict[str, Any], **options: Any) -> Rows:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return read_rows(["-"], stdin=io.BytesIO(lines.encode()), **options)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(said, said), min_size=1, max_size=5), st.sampled_from(["all", "prompt", "response"])
)
def test_keys_and_lengths_are_those_of_the_texts(pairs: list[tuple[str, str]], part: Any) -> None:
    rows = pool(*({"prompt": prompt, "completion": answer} for prompt, answer in pairs), part=part)
    texts = list(rows.texts())
    assert texts == rows.texts()[:] == [rows.texts()[row] for row in range(len(rows))]
    assert rows.keys.astype("<u8").tobytes() == b"".join(map(text_key, texts))
    assert rows.characters.tolist() == [len(each.whole) for each in rows.all_texts()]


@settings(max_examples=60)
@given(st.lists(values, min_size=1, max_size=4), st.lists(values, min_size=1, max_size=4))
def test_own_ids_are_taken_where_all_differ(ids: list[Any], uids: list[Any]) -> None:
    records = [{"id": own, "uid": other, "text": "t"} for own, other in zip(ids, uids + ids, strict=False)]
    rows = pool(*records)
    expected = [f"-:{number}" for number in range(1, len(records) + 1)]
    for name in ("uid", "id"):
        found = [record[name] for record in records]
        whole = all(isinstance(value, str | int) and value != "" for value in found)
        if whole and len(set(map(str, found))) == len(found):
            expected = list(map(str, found))
    assert list(rows.ids) == expected == [rows.ids[row] for row in range(len(rows))] == rows.ids[:]


def test_an_own_id_that_equals_a_numbered_one_gives_way(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "a.jsonl:1", "text": "b"}\n')
    both = read_rows([str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")])
    assert list(both.ids) == ["a.jsonl:1", "b.jsonl:1"]
    (tmp_path / "b.jsonl").write_text('{"id": "a.jsonl:2", "text": "b"}\n')
    both = read_rows([str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")])
    assert list(both.ids) == ["a.jsonl:1", "a.jsonl:2"]


@pytest.mark.parametrize("half", ["\ud800", "x\udfff"])
def test_an_id_that_is_no_text_is_none(half: str) -> None:
    assert list(pool({"id": half, "text": "a"}).ids) == ["-:1"]


def test_tables_give_one_row_as_they_give_all() -> None:
    rows = rows_of([{"id": n, "question": f"q{n}", "answer": "a", "other": n} for n in range(5)])
    assert [rows.texts()[row] for row in (3, 0)] == ["q3\na", "q0\na"]
    assert rows.ids[2] == "2"
    assert rows.record(4) == {"id": 4, "question": "q4", "answer": "a", "other": 4}
    assert np.array_equal(rows.characters, [4] * 5)
