"""Real text that is on every machine: the documentation strings of Python and of installed packages."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from evenly.types import Progress, silent

PACKAGES = ("numpy", "jinja2", "pydantic", "rich", "datasets", "pyarrow", "torch", "transformers")
"""Where rows come from once the standard library has no more, in this order; if installed."""

_LEFT_OUT = {
    "test",
    "tests",
    "idle_test",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "dist-packages",
}
_SHORTEST = 40  # characters; shorter ones ("Return self.") say nothing about what they document
_PROGRESS_ROWS = 100
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def documentation_rows(limit: int = 5000, progress: Progress = silent) -> list[dict[str, str]]:
    """Collects documentation strings as instruction and response.

    Source files are parsed and never imported. Modules come in a fixed order, so one installation always
    gives the same rows; near-copies, of which such text has many, stay in.

    Args:
        limit: most rows to return.
        progress: called with stage "collect" and rows.

    Returns:
        Rows with ``instruction`` (what to document, with its signature), ``input`` (empty), ``output`` (the
        documentation string, without its indentation) and ``module``.
    """
    rows: list[dict[str, str]] = []
    for row in islice(_all_rows(), limit):
        rows.append(row)
        if len(rows) % _PROGRESS_ROWS == 0:
            progress("collect", len(rows), limit)
    progress("collect", len(rows), len(rows))
    return rows


def _all_rows() -> Iterator[dict[str, str]]:
    places = sysconfig.get_paths()
    library, packages = Path(places["stdlib"]), Path(places["purelib"])
    for root, folder in [(library, library), *((packages, packages / name) for name in PACKAGES)]:
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(root)
            if not _LEFT_OUT.intersection(inner.parts):
                yield from _module_rows(path, ".".join(inner.with_suffix("").parts).removesuffix(".__init__"))


def _module_rows(path: Path, module: str) -> Iterator[dict[str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # Installations hold templates and samples that end in .py and are no Python; they document nothing.
        return
    for name, kind, node in _documented(tree, module):
        text = ast.get_docstring(node)
        if text is not None and len(text) >= _SHORTEST:
            signature = "" if isinstance(node, ast.ClassDef) else f"({ast.unparse(node.args)})"
            yield {
                "instruction": f"Document the {kind} {name}{signature} in Python.",
                "input": "",
                "output": text,
                "module": module,
            }


def _documented(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str, _Documented]]:
    """Public functions, classes and methods of a module in the order of the file, as (name, kind, node)."""
    for node in parent.body:
        if not isinstance(node, _Documented) or node.name.startswith("_"):
            continue
        name = f"{prefix}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield name, "class", node
            yield from _documented(node, name)
        else:
            yield name, "method" if isinstance(parent, ast.ClassDef) else "function", node
