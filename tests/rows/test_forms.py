"""Every record form, told from the names of the fields, and what counts as prompt, response and text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from evenly.errors import InputError
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows

TURNS = [
    {"role": "system", "content": "S"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "U1"},
            {"type": "image", "url": "x"},
            {"type": "text", "text": "U2"},
        ],
    },
    {"role": "assistant", "content": "A1"},
    {"role": "user", "content": "U3"},
    {"role": "assistant", "content": "A2"},
    {"role": "user", "content": "thanks"},
]
SHARED = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}, {"from": "tool", "value": "t"}]

FORMS = [
    (
        {"instruction": "i", "input": "x", "output": "o"},
        "alpaca (instruction, input, output)",
        "i\nx",
        "o",
        "i\nx\no",
    ),
    (
        {"instruction": "i", "input": " ", "output": "o"},
        "alpaca (instruction, input, output)",
        "i",
        "o",
        "i\no",
    ),
    ({"instruction": "i", "output": ""}, "alpaca (instruction, input, output)", "i", "", "i"),
    (
        {"instruction": "i", "input": None, "response": "o"},
        "alpaca (instruction, input, response)",
        "i",
        "o",
        "i\no",
    ),
    ({"instruction": "i", "completion": "o"}, "alpaca (instruction, input, completion)", "i", "o", "i\no"),
    ({"prompt": "p", "completion": "c"}, "prompt and completion (prompt, completion)", "p", "c", "p\nc"),
    ({"prompt": "p", "response": "c"}, "prompt and completion (prompt, response)", "p", "c", "p\nc"),
    ({"question": "q", "answer": 42}, "question and answer (question, answer)", "q", "42", "q\n42"),
    ({"question": "q", "response": "r"}, "question and answer (question, response)", "q", "r", "q\nr"),
    ({"problem": "p", "solution": "s"}, "problem and solution (problem, solution)", "p", "s", "p\ns"),
    ({"text": "t"}, "plain text (text)", "t", "", "t"),
    (
        {"messages": TURNS},
        "messages (messages: role, content)",
        "S\nU1\nU2\nA1\nU3",
        "A2",
        "S\nU1\nU2\nA1\nU3\nA2\nthanks",
    ),
    ({"messages": TURNS[:2]}, "messages (messages: role, content)", "S\nU1\nU2", "", "S\nU1\nU2"),
    ({"conversations": SHARED}, "sharegpt (conversations: from, value)", "q", "a", "q\na\nt"),
    (
        {"problem": "p", "solution": "s", "messages": TURNS[2:3]},
        "messages (messages: role, content)",
        "",
        "A1",
        "A1",
    ),
]


def pool(*records: dict[str, Any], **options: Any) -> Rows:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return read_rows(["-"], stdin=io.BytesIO(lines.encode()), **options)


@pytest.mark.parametrize(("record", "description", "prompt", "response", "whole"), FORMS)
def test_forms(record: dict[str, Any], description: str, prompt: str, response: str, whole: str) -> None:
    rows = pool({"score": 1, **record})
    assert rows.sources[0].form == description
    assert (rows.prompts(), rows.responses(), list(rows.texts())) == ([prompt], [response], [whole])
    assert rows.pair(0) == (prompt, response)


def test_parts_choose_what_is_embedded() -> None:
    record = {"prompt": "p", "completion": "c"}
    assert list(pool(record, part="prompt").texts()) == ["p"]
    assert list(pool(record, part="response").texts()) == ["c"]
    with pytest.raises(
        InputError, match=r"1 of 2 rows of standard input have an empty response, the first is row 2"
    ):
        pool(record, {"prompt": "p", "completion": " "}, part="response")
    with pytest.raises(InputError, match=r"has no response; use `part=all`"):
        pool({"text": "t"}, part="response")
    with pytest.raises(InputError, match=r"use all, prompt, response, chosen, rejected or pair"):
        pool(record, part="both")  # type: ignore[arg-type]


def test_fields_named_by_the_user() -> None:
    record = {"title": "T", "body": "B", "n": 3, "chat": SHARED, "text": "x"}
    assert list(pool(record, text="body").texts()) == ["B"]
    rows = pool(record, text="title, body,n")
    assert (list(rows.texts()), rows.prompts(), rows.responses()) == (["T\nB\n3"], ["T\nB"], ["3"])
    assert rows.sources[0].form == "fields (title, body, n)"
    assert list(pool(record, text="chat").texts()) == ["q\na\nt"]
    with pytest.raises(
        InputError, match=r"row 2 of standard input has no field n; found: title. Name the field"
    ):
        pool({"n": 1}, {"title": 2}, text="n")
    for wrong in ("", "a,,b", "a,a"):
        with pytest.raises(InputError, match=r"`text` must be field names"):
            pool(record, text=wrong)


def test_templates() -> None:
    record = {"title": "<T>", "tags": ["x", "y"], "chat": SHARED}
    template = "{{ title }}: {% for tag in tags %}{{ tag }};{% endfor %} {{ chat[0].value }}\n"
    rows = pool(record, text=template)
    assert rows.texts()[:] == rows.prompts() == ["<T>: x;y; q\n"]
    assert pool({"a": "x"}, {"b": "y"}, text="{% if a is defined %}{{ a }}{% else %}none{% endif %}").texts()[
        :
    ] == ["x", "none"]
    with pytest.raises(InputError, match=r"row 2 .*'a' is undefined; found: b"):
        pool({"a": "x"}, {"b": "y"}, text="{{ a }}")
    with pytest.raises(InputError, match=r"line 1 of the template of `text` does not parse"):
        pool(record, text="{{ title")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ a.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('true') }}",
    ],
)
def test_templates_cannot_reach_python(template: str) -> None:
    with pytest.raises(InputError, match=r"unsafe"):
        pool({"a": "x"}, text=template)


def test_templates_in_the_data_are_data() -> None:
    assert list(pool({"text": "{{ 1 + 1 }}"}, text="{{ text }}").texts()) == ["{{ 1 + 1 }}"]


def test_turns_for_training() -> None:
    turns = pool({"messages": TURNS}).whole(0).turns
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert turns[1]["content"] == TURNS[1]["content"]  # an image is among its parts
    assert pool({"conversations": SHARED}).whole(0).turns[1] == {"role": "assistant", "content": "a"}
    asked = pool({"instruction": "i", "input": "x", "output": "o", "n": "7"}, text="n").whole(0)
    assert asked.turns == [{"role": "user", "content": "i\nx"}, {"role": "assistant", "content": "o"}]
    assert asked.more == {"n": "7"}
    named = pool({"n": "7", "m": "8"}, text="n,m").whole(0)
    assert (named.turns[1], named.kind) == ({"role": "assistant", "content": "8"}, "answers")
    plain = pool({"text": "t"}).whole(0)
    assert (plain.turns, plain.kind) == ([{"role": "user", "content": "t"}], "texts")


MALFORMED = [
    ({"messages": "hello"}, "row 1 of standard input holds no list of turns in the field messages"),
    ({"messages": [{"role": "user"}]}, "turn 1 of messages"),
    ({"messages": [{"role": "user", "content": 3}]}, "turn 1 holds int"),
    ({"conversations": ["x"]}, "turn 1 of conversations"),
    ({"prompt": {"a": 1}, "completion": "x"}, "holds dict in the field prompt"),
    ({"text": "\ud83d"}, r"row 1 of standard input holds \\ud83d, half of a character"),
    ({"messages": []}, "row 1 of standard input has no text"),
    ({"id": 3, "score": 1}, "no form that is known; found: id, score. Name the field as `text`"),
    ({}, "found: no field"),
]


@pytest.mark.parametrize(("record", "message"), MALFORMED)
def test_malformed_records(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pool(record)


def test_mixed_forms_and_rows_without_text() -> None:
    alpaca = {"instruction": "i", "output": "o"}
    mixed = pool(alpaca, {"text": "t"}, {"messages": TURNS[3:5]}, {"messages": None, "text": "u"})
    assert list(mixed.texts()) == ["i\no", "t", "U3\nA2", "u"]
    assert mixed.sources[0].form == (
        "alpaca (instruction, input, output); plain text (text); messages (messages: role, content)"
    )
    assert [mixed.whole(row).kind for row in range(4)] == ["answers", "texts", "answers", "texts"]
    with pytest.raises(
        InputError, match=r"row 2 of standard input has no form that is known; found: id. Name"
    ):
        pool(alpaca, {"id": "t"})
    with pytest.raises(
        InputError, match=r"row 2 of standard input \(and 1 more rows\) has no text .* found: text"
    ):
        pool({"text": "a"}, {"text": " \n"}, {"text": ""})
    assert len(pool(alpaca, {"instruction": "i", "input": "x", "output": "o", "more": 1})) == 2


def test_ids_fields_and_vectors(tmp_path: Path) -> None:
    own = [
        {"id": 7, "text": "a", "tag": "x", "tags": ["p", "q"], "v": [1, 2]},
        {"id": 8, "text": "b" * 200, "tag": None, "v": [3, 4.5]},
    ]
    rows = pool(*own)
    assert list(rows.ids) == ["7", "8"]
    assert rows.field("tag") == ["x", None]
    assert rows.field("tags") == ["p, q", None]
    assert rows.scalar_fields() == {}
    assert pool({"text": "a", "n": 1, "kind": ["x"], "long": "y" * 99}).scalar_fields() == {
        "n": {int},
        "kind": {str},
    }
    with pytest.raises(
        InputError, match=r"row 1 of standard input holds list, not one value, in the field 'v'"
    ):
        rows.field("v")
    assert rows.vectors("v").tolist() == [[1.0, 2.0], [3.0, 4.5]]
    with pytest.raises(InputError, match=r"no record has a field 'nope'; found: id, text, tag, tags, v"):
        rows.field("nope")
    with pytest.raises(InputError, match=r"no record has a field 'nope'"):
        rows.vectors("nope")
    with pytest.raises(InputError, match=r"row 2 of standard input has 1 numbers in 'v' where row 1 has 2"):
        pool({"text": "a", "v": [1, 2]}, {"text": "b", "v": [1]}).vectors("v")
    assert pool({"id": 1, "text": "a"}, {"id": 1, "text": "b"}).ids[:] == ["-:1", "-:2"]
    assert pool({"id": 1, "text": "a"}, {"text": "b"}).ids[:] == ["-:1", "-:2"]
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_text('{"id": "1", "text": "t"}\n')
    twins = read_rows([f"{tmp_path}/*/a.jsonl"])
    assert list(twins.ids) == [f"{tmp_path}/x/a.jsonl:1", f"{tmp_path}/y/a.jsonl:1"]
    assert read_rows([f"{tmp_path}/x/a.jsonl"]).ids[:] == ["1"]
    with pytest.raises(InputError, match=r"row 5 is not in the pool"):
        rows.record(5)
