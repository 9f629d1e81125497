"""Messages of the library name arguments in backquotes; the command line shows them as one types them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import evenly
from evenly.cli.options import as_typed

SOURCE = Path(evenly.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z]")
# Their command lines are quoted as they are; request.py declares the options themselves.
OTHER_PROGRAMS = ("hf download", "pip install", "# trl", "accelerate launch", "axolotl", "llamafactory-cli")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text in a file but its docstrings, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [one.value for one in node.values if isinstance(one, ast.Constant)]
            documentation |= {id(one) for one in node.values}
            yield node.lineno, "…".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent.name != "cli" and path.name != "request.py"
    ],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_no_message_outside_the_command_line_names_an_option(path: Path) -> None:
    found = [
        f"line {line}: {text}"
        for line, text in texts(path)
        if OPTION.search(text) and not any(program in text for program in OTHER_PROGRAMS)
    ]
    assert not found, "name the argument in backquotes: `keep`, or `keep=50%` with a value"


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("`keep` 9 gives 9; raise it", "--keep 9 gives 9; raise it"),
        ("lower it or use `quota=proportional`", "lower it or use --quota proportional"),
        ("`allow_copies` keeps copies", "--allow-copies keeps copies"),
        ("or use `use_cache=False`", "or use --no-cache"),
        ("add `overwrite=True`", "add --overwrite"),
        ("not code: `a b`, `Name`, ``x``", "not code: `a b`, `Name`, ``x``"),
    ],
)
def test_arguments_are_shown_as_they_are_typed(said: str, typed: str) -> None:
    assert as_typed(said) == typed
