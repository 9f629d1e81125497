"""What one pass learns of fields: values come back as they went in, from memory and from a scratch file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.rows import columns, index
from evenly.rows.columns import ColumnsBuilder
from evenly.rows.index import EXCERPT_CHARACTERS, LONGEST_CHARACTERS, SHORT_CHARACTERS
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
tables = st.lists(st.dictionaries(st.sampled_from("abc"), scalars), max_size=12)


@settings(max_examples=60)
@given(tables, st.integers(1, 5), st.sampled_from([1, 8 << 20]), st.integers(0, 12), st.integers(0, 12))
def test_values_come_back(
    rows: list[dict[str, Any]], at_once: int, memory: int, start: int, stop: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, ColumnsBuilder(None) as builder:
        patch.setattr(columns, "ROWS_AT_ONCE", at_once)
        patch.setattr(columns, "MEMORY_BYTES", memory)
        for row in rows:
            builder.add(1, {name: [value] for name, value in row.items()})
        found = builder.done()
    for name in "abc":
        expected = [row.get(name) for row in rows][start:stop]
        given = list(found.values(name, start, min(stop, len(rows))))
        assert given == expected
        assert list(map(type, given)) == list(map(type, expected))


def pool(records: list[dict[str, Any]], **options: Any) -> Rows:
    lines = "".join(json.dumps({"text": "t", **record}) + "\n" for record in records)
    return read_rows(["-"], stdin=io.BytesIO(lines.encode()), **options)


@pytest.fixture
def no_parsing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From when it is called, parsing fails."""

    def forbid() -> None:
        def fail(*given: Any, **named: Any) -> None:
            raise AssertionError("a row was parsed again")

        monkeypatch.setattr(json, "loads", fail)

    return forbid


def test_what_was_asked_for_is_not_parsed_again(no_parsing: Any) -> None:
    long = "x" * (LONGEST_CHARACTERS + 1)
    rows = pool(
        [{"id": str(n), "by": n % 2, "score": [1.5, "high"][n % 2], "note": long} for n in range(9)],
        fields=["note"],
    )
    no_parsing()
    assert rows.field("by") == [0, 1] * 4 + [0]
    assert rows.field("score", 2, 5) == [1.5, "high", 1.5]
    assert rows.field("note") == [long] * 9
    assert list(rows.ids) == [rows.ids[row] for row in range(9)] == [str(n) for n in range(9)]
    assert rows.excerpts(3, 5) == (["t", "t"], ["", ""])
    assert rows.scalar_fields() == {"by": {int}, "score": {float, str}}


def test_excerpts_end_where_a_page_does() -> None:
    texts = ["x" * EXCERPT_CHARACTERS, "x" * (EXCERPT_CHARACTERS + 1)]
    rows = pool([{"prompt": text, "completion": text} for text in texts])
    assert rows.excerpts(0, 2) == ([texts[0], texts[0][:-1] + "…"],) * 2


@pytest.mark.parametrize("at_once", [1, 256])
def test_fields_that_are_not_kept_are_read_again(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "ROWS_AT_ONCE", at_once)
    long = "x" * (LONGEST_CHARACTERS + 1)
    rows = pool([{"note": note, "text": f"{n}"} for n, note in enumerate(["a", long, None, "b", ["c", "d"]])])
    assert rows.field("note") == ["a", long, None, "b", "c, d"]
    assert rows.field("note", 1, 4) == [long, None, "b"]
    assert rows.field("text", 1, 3) == ["1", "2"]
    assert rows.scalar_fields() == {"note": {str}}
    nested = pool([{"note": 1}, {"note": {"a": 1}}, {"note": 2}])
    assert nested.field("note", 0, 1) == [1]
    assert nested.scalar_fields() == {}
    with pytest.raises(
        InputError, match="row 2 of standard input holds dict, not one value, in the field 'note'"
    ):
        nested.field("note")


def test_long_texts_are_no_fields_for_colours() -> None:
    notes = ["x" * (SHORT_CHARACTERS + (n % 2)) for n in range(9)]
    assert pool([{"note": note} for note in notes]).scalar_fields() == {"note": {str}}
    assert pool([{"note": note} for note in notes[1:]]).scalar_fields() == {}


def test_a_text_of_one_source_may_be_a_field_of_another(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "b.jsonl").write_text('{"question": "q", "answer": "r", "text": "b"}\n')
    (tmp_path / "c.csv").write_text("question,answer,empty\nx,y,\n")
    rows = read_rows([str(tmp_path / name) for name in ("a.jsonl", "b.jsonl", "c.csv")])
    assert rows.field("text") == ["a", "b", None]
    assert rows.field("answer") == [None, "r", "y"]
    assert rows.field("empty") == [None, None, ""]
    with pytest.raises(
        InputError, match=r"no record has a field 'none'; found: text, question, answer, empty"
    ):
        rows.field("none")


def test_noise_is_judged_by_the_whole_text_beside_the_pools() -> None:
    ordinary = [
        f"Explain to the reader how machine number {n} works and why it is of use." for n in range(200)
    ]
    far = ordinary[0] + "\n" * EXCERPT_CHARACTERS + "a" * 500
    rows = pool([{"text": text} for text in [*ordinary, far, "Объясните, как работает машина."]])
    assert rows.noise([0, 200, 201]) == [
        None,
        "500 characters without a space",
        "written in Cyrillic script, rare in this pool",
    ]
    assert rows.noise([]) == []
