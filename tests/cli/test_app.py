"""What every command line must do: help at once within 80 columns, and one line for what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evenly.cli.app import COMMANDS


def evenly(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evenly", *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command_within_80_columns(arguments: tuple[str, ...]) -> None:
    found = evenly(*arguments)
    assert found.returncode == 0
    assert max(map(len, found.stdout.splitlines())) <= 80
    for name, command in COMMANDS.items():
        assert f"{name} " in found.stdout
        assert command.line in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("selec",), "there is no command selec; did you mean select?"),
        (("nothing-like-it",), "there is no command nothing-like-it; evenly --help lists them"),
        (("select",), "Missing argument 'sources'; see evenly select --help"),
        (("select", "a.jsonl", "--ot", "b"), "there is no option --ot; did you mean --out?"),
        (("slice", "kept.evenly", "--out", "b"), "Missing option '--keep'"),
    ],
)
def test_what_cannot_be_parsed_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    found = evenly(*arguments)
    assert found.returncode == 2
    assert not found.stdout
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("evenly: ")
    assert said in found.stderr
