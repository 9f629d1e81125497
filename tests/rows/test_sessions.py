"""Sessions of coding agents: one file is one row, told by what it holds, and written back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.jobs.select import select_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.rows.sources import read_rows
from evenly.selecting.request import SelectRequest
from tests.jobs.files import write_lines
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]


def claude(*parts: Any, **more: Any) -> list[dict[str, Any]]:
    """Parts of one answer are events of their own."""
    return [
        {
            "type": "assistant",
            "message": {"id": "m", "role": "assistant", "content": [part], "usage": {"n": 1}},
            **more,
        }
        for part in parts
    ]


def item(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": "t", "type": "response_item", "payload": {"type": kind, **payload}}


def pi(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "i",
        "message": {"role": role, "content": content, "timestamp": 1, **more},
    }


def text(kind: str, said: str) -> list[dict[str, Any]]:
    return [{"type": kind, "text": said}]


SESSIONS: dict[str, list[dict[str, Any]]] = {
    "claude": [
        {"type": "summary", "summary": "files"},
        {"type": "user", "sessionId": "s", "cwd": "/w", "message": {"role": "user", "content": "half"}},
        *claude(
            {"type": "thinking", "thinking": "near", "signature": "z"},
            {"type": "text", "text": "far"},
            {"type": "tool_use", "id": "c", "name": "ls", "input": {"row": 1}},
        ),
        {
            "type": "user",
            "message": {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c", "content": "pick"}],
            },
        },
        {"type": "user", "isSidechain": True, "message": {"role": "user", "content": "zebra"}},
        {"type": "assistant", "message": {"id": "n", "role": "assistant", "content": text("text", "even")}},
    ],
    "codex": [
        {"timestamp": "t", "type": "session_meta", "payload": {"id": "s", "cwd": "/w"}},
        item("message", role="user", content=text("input_text", "half")),
        {"timestamp": "t", "type": "event_msg", "payload": {"type": "user_message", "message": "half"}},
        item("reasoning", summary=text("summary_text", "near"), encrypted_content="zz"),
        item("message", role="assistant", content=text("output_text", "far")),
        item("function_call", name="ls", arguments='{"row": 1}', call_id="c"),
        item("function_call_output", call_id="c", output="pick"),
        item("message", role="assistant", content=text("output_text", "even")),
    ],
    "pi": [
        {"type": "session", "version": 3, "id": "s", "cwd": "/w"},
        {"type": "model_change", "id": "a", "provider": "p"},
        pi("user", text("text", "half")),
        pi(
            "assistant",
            [
                {"type": "thinking", "thinking": "near"},
                {"type": "text", "text": "far"},
                {"type": "toolCall", "id": "c", "name": "ls", "arguments": {"row": 1}},
            ],
            usage={"n": 1},
        ),
        pi("toolResult", text("text", "pick"), toolCallId="c", isError=False),
        pi("assistant", text("text", "even")),
    ],
}


@pytest.mark.parametrize("maker", SESSIONS)
@pytest.mark.parametrize("as_row", [False, True])
def test_a_session_is_the_conversation_it_is(tmp_path: Path, maker: str, as_row: bool) -> None:
    events = SESSIONS[maker]
    source = write_lines(tmp_path / "a.jsonl", [{"trace": events}, {"trace": events}] if as_row else events)
    rows = read_rows([str(source)])
    assert len(rows) == 1 + as_row
    assert rows.texts()[0] == 'half\nnear\nfar\n{"name": "ls", "arguments": {"row": 1}}\npick\neven'
    assert [turn["role"] for turn in rows.whole(0).turns] == ["user", "assistant", "tool", "assistant"]
    if not as_row:
        assert (rows.field("session_id"), rows.field("cwd")) == (["s"], ["/w"])


def test_sessions_in_a_folder_are_a_pool_of_files(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "sessions" / "-test-work"
    folder.mkdir(parents=True)
    for number in range(4):
        events = json.loads(json.dumps(SESSIONS["claude"]).replace("half", "half " * (1 + 9 * number)))
        write_lines(folder / f"{number}.jsonl", events)
    write_lines(tmp_path / "sessions" / "z.jsonl", SESSIONS["pi"])
    pool = PoolRequest([str(tmp_path / "sessions")], encoder=str(tiny_folder))
    with pytest.raises(InputError, match="one file holds one session of an agent; name a folder"):
        select_sources(SelectRequest(pool, Choice.of(keep="2"), str(tmp_path / "kept.jsonl")))
    done = select_sources(SelectRequest(pool, Choice.of(keep="2"), f"{tmp_path}/kept/"))
    kept = [path for path in (tmp_path / "kept").iterdir() if path.is_file()]
    assert len(kept) == 2
    for path in kept:
        assert path.read_bytes() == next((tmp_path / "sessions").rglob(path.name)).read_bytes()
    assert verify_folder(SavedPoolRequest(done.folder)).passed


def test_rows_with_a_type_are_rows(tmp_path: Path) -> None:
    rows = [{"type": "user", "message": {"role": "user", "content": "q"}, "text": word} for word in "ab"]
    assert list(read_rows([str(write_lines(tmp_path / "a.jsonl", rows))]).texts()) == ["a", "b"]
