"""Commands that read rows take all options of reading rows, under one name, with one meaning and one default."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from evenly.cli.app import app

READING = ["--text", "--part", "--split", "--skip-empty"]
EMBEDDING = ["--encoder", "--long", "--device", "--trust-remote-code", "--no-cache"]


def options(command: str) -> dict[str, Any]:
    found: Any = get_command(app)
    parameters = found.get_command(None, command).params
    return {name: parameter for parameter in parameters for name in parameter.opts}


@pytest.mark.parametrize("command", ["plan", "measure", "split", "compare"])
def test_options_of_reading_and_embedding_are_those_of_select(command: str) -> None:
    wanted, found = options("select"), options(command)
    assert [name for name in (*READING, *EMBEDDING, "--metric") if name not in found] == []
    for name in (*READING, *EMBEDDING):
        for said in ("help", "default", "multiple"):
            assert getattr(found[name], said) == getattr(wanted[name], said), name


def test_options_of_reading_alone_are_those_of_select() -> None:
    wanted, found = options("select"), options("train")
    assert [name for name in READING if name not in found] == []
    assert all(found[name].help == wanted[name].help for name in READING)
