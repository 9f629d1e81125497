"""What the documents say is true: examples run, the reference is what the commands say, every command is named."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evenly.cli.reference import reference

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def python_examples() -> list[tuple[str, str]]:
    """(where, code) of every python block, in the order of the documents."""
    return [
        (f"{path.name}#{number}", code)
        for path in DOCUMENTS
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
    ]


@pytest.mark.parametrize(
    ("where", "code"), python_examples(), ids=lambda value: value if "#" in value else ""
)
def test_examples_run_and_print_what_their_comments_say(
    where: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code, where, "exec"), {})  # noqa: S102 - the project's own documents
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == expected


def test_the_reference_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "reference.md").read_text()
    assert written == reference(), "run: python -m evenly.cli.reference > docs/reference.md"


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in re.findall(r"^## (evenly \S+)", reference(), re.MULTILINE):
        assert f"`{command}`" in readme


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_site_builds_and_no_link_in_it_leads_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_have_the_options_they_are_given(path: Path) -> None:
    parts = re.split(r"^## evenly (\S+)$", reference(), flags=re.MULTILINE)
    options = {
        name: set(re.findall(r"--[\w-]+", text)) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    text = path.read_text()
    lines = re.findall(r"^(?:\$ | {4})evenly (\S+)(.*)$", text, re.MULTILINE)
    lines += re.findall(r"`evenly\s+([a-z]+)\s([^`]*)`", text)
    for command, rest in lines:
        if command in options:
            unknown = set(re.findall(r"(?<!\S)--[a-z][\w-]*", rest)) - options[command] - {"--help"}
            assert not unknown, f"{path.name}: evenly {command} has no {unknown}"
