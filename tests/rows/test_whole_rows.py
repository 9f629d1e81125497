"""What a row says beyond role and content, row by row: calls, tools, reasoning, system, history, pairs, steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly.errors import InputError
from evenly.rows.sources import read_rows
from tests.rows.test_forms import pool

ASK = {"role": "user", "content": "q"}


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def answer(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "Adds.", "parameters": {"type": "object"}},
}
TOOL_TEXT = 'f: Adds. {"type": "object"}'
CALL_TEXT = '{"name": "f", "arguments": {"x": 1}}'
SAYS = [
    (
        {"messages": [ASK, answer(None, tool_calls=[call("f", '{"x": 1}')])], "tools": [TOOL]},
        f"q\n{TOOL_TEXT}",
        CALL_TEXT,
        f"q\n{CALL_TEXT}\n{TOOL_TEXT}",
    ),
    (
        {
            "messages": [ASK, {"role": "assistant", "tool_calls": [call("f", {"x": 1})]}],
            "tools": json.dumps([TOOL]),
        },
        f"q\n{TOOL_TEXT}",
        CALL_TEXT,
        f"q\n{CALL_TEXT}\n{TOOL_TEXT}",
    ),
    (
        {"messages": [ASK, answer("", function_call={"name": "f", "arguments": '{"x": 1}'})]},
        "q",
        CALL_TEXT,
        f"q\n{CALL_TEXT}",
    ),
    ({"messages": [ASK, answer("a", reasoning_content="r")]}, "q", "r\na", "q\nr\na"),
    ({"messages": [ASK, answer("a", thinking="r")]}, "q", "r\na", "q\nr\na"),
    (
        {
            "system": "s",
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
                {"from": "observation", "value": "one"},
                {"from": "gpt", "value": "a"},
            ],
            "tools": "",
        },
        f"s\nq\n{CALL_TEXT}\none",
        "a",
        f"s\nq\n{CALL_TEXT}\none\na",
    ),
    (
        {"system": "s", "instruction": "i", "output": "o", "history": [["q1", "a1"], ["q2", "a2"]]},
        "s\nq1\na1\nq2\na2\ni",
        "o",
        "s\nq1\na1\nq2\na2\ni\no",
    ),
    ({"system_prompt": "s", "question": "q", "response": "r"}, "s\nq", "r", "s\nq\nr"),
    ({"prompt": [ASK], "completion": [answer("a")]}, "q", "a", "q\na"),
    ({"prompt": "p", "completion": "c", "label": False}, "p", "c", "p\nc\nlabel: false"),
    ({"messages": [ASK, answer("a")], "kto_tag": True}, "q", "a", "q\na\nlabel: true"),
    ({"prompt": "p", "chosen": "c", "rejected": "r"}, "p", "c", "p\nc\nr"),
    ({"prompt": [ASK], "chosen": [ASK, answer("c")], "rejected": [ASK, answer("r")]}, "q", "c", "q\nc\nr"),
    ({"chosen": [ASK, answer("c")], "rejected": [ASK, answer("r")], "score": 1}, "q", "c", "q\nc\nr"),
    ({"chosen": "c", "rejected": "r"}, "", "c", "c\nr"),
    (
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "c"},
            "rejected": {"from": "gpt", "value": "r"},
        },
        "q",
        "c",
        "q\nc\nr",
    ),
    (
        {
            "input": {"messages": [ASK], "tools": [TOOL]},
            "preferred_output": [answer("c")],
            "non_preferred_output": [answer("r")],
        },
        f"q\n{TOOL_TEXT}",
        "c",
        f"q\nc\nr\n{TOOL_TEXT}",
    ),
    (
        {"prompt": "p", "completions": ["one", "two"], "labels": [True, False]},
        "p",
        "one\ntwo",
        "p\none\ntwo\n[true, false]",
    ),
    ({"prompt": "p"}, "p", "", "p"),
    ({"prompt": [ASK]}, "q", "", "q"),
    ({"prompt": "p", "answer": 4}, "p", "4", "p\n4"),
    ({"problem": "p", "answer": "a"}, "p", "a", "p\na"),
    ({"query": "p", "response": "a"}, "p", "a", "p\na"),
    ({"input": "p", "output": "a"}, "p", "a", "p\na"),
    ({"inputs": "p", "targets": "a"}, "p", "a", "p\na"),
    ({"text_input": "p", "output": "a"}, "p", "a", "p\na"),
    ({"conversation": [ASK, answer("a")]}, "q", "a", "q\na"),
    ({"conversations": [{"from": "human", "value": "q"}, {"from": "bot", "value": "a"}]}, "q", "a", "q\na"),
    (
        {"conversations": [{"from": name, "value": name} for name in ("Anna", "Ben", "Anna", "Ben")]},
        "Anna\nBen\nAnna",
        "Ben",
        "Anna\nBen\nAnna\nBen",
    ),
    (
        {
            "system": [{"text": "s"}],
            "messages": [
                ASK,
                answer(
                    [
                        {"type": "thinking", "thinking": "r"},
                        {"type": "text", "text": "a1"},
                        {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
                    ]
                ),
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "one"}]},
                answer([{"type": "text", "text": "a2"}]),
            ],
        },
        f"s\nq\nr\na1\n{CALL_TEXT}\none",
        "a2",
        f"s\nq\nr\na1\n{CALL_TEXT}\none\na2",
    ),
    (
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]},
            ],
        },
        "s\nq",
        CALL_TEXT,
        f"s\nq\n{CALL_TEXT}",
    ),
]


@pytest.mark.parametrize(("record", "prompt", "response", "whole"), SAYS)
def test_what_a_row_says(record: dict[str, Any], prompt: str, response: str, whole: str) -> None:
    texts = pool(record).row_texts(0)
    assert (texts.prompt, texts.response, texts.whole) == (prompt, response, whole)


def test_parts_of_pairs() -> None:
    record = {"prompt": "p", "chosen": "c", "rejected": "r"}
    parts = {part: pool(record, part=part).texts()[0] for part in ("chosen", "rejected", "pair", "response")}
    assert parts == {"chosen": "c", "rejected": "r", "pair": "c\nr", "response": "c"}
    with pytest.raises(InputError, match="1 of 1 rows of standard input have an empty rejected"):
        pool({"prompt": "p", "completion": "c"}, part="rejected")


def test_scores_called_chosen_make_no_pair() -> None:
    assert pool({"text": "t", "chosen": 1, "rejected": None}).sources[0].form == "plain text (text)"


def test_a_table_may_mix_forms_and_its_other_columns_are_fields(tmp_path: Path) -> None:
    table = pa.table(
        {
            "messages": [None, [ASK, {"role": "assistant", "content": "a"}]],
            "prompt": ["p", None],
            "completion": ["c", None],
            "label": [3, 4],
            "system": [None, "s"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read_rows([str(tmp_path / "a.parquet")])
    assert list(rows.texts()) == ["p\nc", "s\nq\na"]
    assert rows.field("label") == [3, 4]
    assert "label" in rows.scalar_fields()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"messages": [ASK, answer(None, tool_calls=[3])]},
            "row 1 .* has tool_calls that are no list of calls",
        ),
        ({"chosen": 3, "rejected": 4}, "no form that is known; found: chosen, rejected"),
        ({"chosen": [{"role": "user"}], "rejected": "r"}, "turn 1 of chosen"),
    ],
)
def test_broken_rows_are_named(record: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pool(record)


PAIRS = [
    {"prompt": "q", "chosen": "c", "rejected": "r"},
    {"prompt": [ASK], "chosen": [answer("c")], "rejected": [answer("r")]},
    {"prompt": "q", "chosen": [ASK, answer("c")], "rejected": [ASK, answer("r")]},
    {"chosen": [ASK, answer("c")], "rejected": [ASK, answer("r")]},
    {"instruction": "q", "input": "", "chosen": "c", "rejected": "r"},
    {"input": {"messages": [ASK]}, "preferred_output": [answer("c")], "non_preferred_output": [answer("r")]},
]


@pytest.mark.parametrize("row", PAIRS)
def test_each_part_of_a_pair_can_be_embedded(row: dict[str, Any]) -> None:
    parts = {"all": "q\nc\nr", "prompt": "q", "chosen": "c", "rejected": "r", "pair": "c\nr"}
    assert {part: pool(row, part=part).texts()[0] for part in parts} == parts
