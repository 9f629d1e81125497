"""The house stays small: no import circle, one class to a name, functions that can be read at once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "evenly"
MOST_LINES, MOST_PARAMETERS = 60, 8
LONG_FOR_A_REASON = {"_lower_rows", "certificate", "compare"}
"""One compiled loop, of which a call would cost more than it does; one proof, whose docstring is most of it; one
command with its options and its whole screen."""
WIDE_FOR_A_REASON = {"read_rows"}
"""Its parameters are options of the command line, one to one."""


def nodes(kind: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path, node


def test_no_circle_of_imports() -> None:
    graph = grimp.build_graph("evenly", exclude_type_checking_imports=True)
    left = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while free := {module for module, imports in left.items() if not imports & left.keys()}:
        left = {module: imports for module, imports in left.items() if module not in free}
    assert not left, f"these import each other: {sorted(left)}"


def test_one_class_to_a_name() -> None:
    names = Counter(node.name for _, node in nodes(ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_changes_its_own_names() -> None:
    assert [str(path) for path, _ in nodes(ast.Global)] == []


@pytest.mark.parametrize("what", ["lines", "parameters"])
def test_functions_can_be_read_at_once(what: str) -> None:
    wrong = []
    for path, node in nodes(ast.FunctionDef):
        given = node.args
        parameters = [
            one for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg != "self"
        ]
        lines = node.end_lineno - node.lineno + 1
        too_long = lines > MOST_LINES and node.name not in LONG_FOR_A_REASON
        narrow = "cli" in path.parts or node.name in WIDE_FOR_A_REASON
        too_wide = len(parameters) > MOST_PARAMETERS and not narrow
        if too_long if what == "lines" else too_wide:
            wrong.append(
                f"{path.relative_to(SOURCE)}: {node.name} ({lines} lines, {len(parameters)} parameters)"
            )
    assert wrong == []
