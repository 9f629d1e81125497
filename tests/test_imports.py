"""What loads what: the base stays light, help is instant, Ray lives behind one pool."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "ray", "datasets", "pyarrow", "pandas", "sklearn", "matplotlib", "plotly")


def loaded_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after running ``code``."""
    report = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return set(ast.literal_eval(run.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import evenly",
        "import evenly.cli",
        "import evenly.cli.app",
        "import evenly.cli.select, evenly.controls",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_after(code) == set()


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from evenly.cli import main
sys.argv = ["evenly", "--help"]
try:
    main()
except SystemExit:
    pass
"""
    assert loaded_after(code) == set()


def test_selecting_loads_neither_transformers_nor_ray() -> None:
    code = "import numpy, evenly; evenly.select(numpy.eye(4), 2)"
    assert loaded_after(code).isdisjoint({"transformers", "ray", "datasets", "sklearn", "matplotlib"})
