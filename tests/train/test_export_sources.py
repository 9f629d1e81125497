"""Selections of other kinds of files handed over: sessions of agents, archives, rows in the order of picking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.train.export import export
from tests.jobs.files import write_lines
from tests.rows.test_archives import archive
from tests.rows.test_sessions import SESSIONS
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]

CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"{'count ' * n}{n}"},
            {"role": "assistant", "content": str(n)},
        ]
    }
    for n in range(8)
]


def as_line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"


def exported(folder: Path, target: str) -> tuple[list[dict[str, Any]], list[str]]:
    out = folder / f"for-{target}-{len(list(folder.glob('for-*')))}"
    done = export(folder / "kept.evenly", target, out)
    return [json.loads(line) for line in done.files[0].read_text().splitlines()], done.notes


@pytest.mark.parametrize("maker", SESSIONS)
def test_sessions_of_agents(maker: str, tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "sessions").mkdir()
    for number in range(2):
        write_lines(tmp_path / "sessions" / f"{number}.jsonl", SESSIONS[maker])
    pool = PoolRequest([str(tmp_path / "sessions")], encoder=str(tiny_folder))
    select_sources(SelectRequest(pool, Choice.of(keep="1"), f"{tmp_path}/kept/"))
    lines, notes = exported(tmp_path, "trl")
    assert [line["completion"][0]["content"] for line in lines] == ["far", "even"]
    (call,) = lines[0]["completion"][0]["tool_calls"]
    assert call["function"] == {"name": "ls", "arguments": {"row": 1}}
    assert lines[1]["prompt"][2] == {"role": "tool", "content": "pick", "tool_call_id": "c"}
    assert notes == ["every answer of a row has a line of its own: 2 lines"]
    (line,), _ = exported(tmp_path, "axolotl")
    assert line["messages"][1]["reasoning_content"] == "near"
    assert [turn["content"] for turn in line["messages"]] == ["half", "far", "pick", "even"]
    with pytest.raises(InputError, match="can take none of the kept rows: text beside a tool call"):
        exported(tmp_path, "llama-factory")


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_rows_of_an_archive(ending: str, tmp_path: Path, tiny_folder: Path) -> None:
    source = archive(tmp_path, f"rows{ending}", {"a/rows.jsonl": "".join(map(as_line, CHATS)).encode()})
    pool = PoolRequest([source], encoder=str(tiny_folder))
    select_sources(SelectRequest(pool, Choice.of(keep="3"), str(tmp_path / "kept.jsonl")))
    lines, _ = exported(tmp_path, "axolotl")
    assert lines == list(map(json.loads, (tmp_path / "kept.jsonl").read_text().splitlines()))
    (tmp_path / "kept.jsonl").unlink()
    assert exported(tmp_path, "axolotl")[0] == lines


def test_rows_in_the_order_of_picking_stay_in_it(tmp_path: Path, tiny_folder: Path) -> None:
    """A prefix of the export is then a smaller selection, with and without the kept file."""
    source = write_lines(tmp_path / "rows.jsonl", CHATS)
    pool, choice = PoolRequest([str(source)], encoder=str(tiny_folder)), Choice.of(keep="5")
    done = select_sources(SelectRequest(pool, choice, str(tmp_path / "kept.jsonl"), order="picked"))
    picks = SelectionFolder.open(done.folder).picks.tolist()
    assert picks != sorted(picks)
    for _ in range(2):
        lines, _ = exported(tmp_path, "axolotl")
        assert [line["messages"] for line in lines] == [CHATS[row]["messages"] for row in picks]
        (tmp_path / "kept.jsonl").unlink(missing_ok=True)
