"""What commands print in terminals of 80 and 160 columns, kept as text in screens/.

``EVENLY_SCREENS=write pytest -n 0 tests/first_minutes/test_screens.py`` writes them anew; look at each change.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import pytest

from evenly.cli import main
from evenly.cli.app import COMMANDS
from evenly.cli.help import EXAMPLES
from tests.cli.test_commands import GIVEN, place
from tests.test_documentation import ROOT

__all__ = ["place"]

SCREENS = Path(__file__).parent / "screens"
SELECT = ("select", "pool.jsonl", "--keep", "50%", "--out", "kept.jsonl", *GIVEN)

RUNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "evenly": ((),),
    "help-cache": (("cache", "--help"),),
    "select": (SELECT,),
    "select-details": ((*SELECT, "--details"),),
    "select-again": (SELECT, SELECT),
    "select-groups": ((*SELECT[:-4], "--by", "output", "--out", "kept.jsonl", *GIVEN),),
    "select-two-files": (("select", "pool.jsonl", "new.jsonl", "--keep", "9", "--out", "kept/", *GIVEN),),
    "select-edges": (("select", "pool.jsonl", "--keep", "1", "--out", "kept.jsonl", *GIVEN, "--details"),),
    "slice": (SELECT, ("slice", "kept.jsonl", "--keep", "7", "--out", "short.jsonl")),
    "extend": (SELECT, ("extend", "kept.jsonl", "new.jsonl", "--keep", "30", "--out", "more.jsonl")),
    "split": (("split", "pool.jsonl", "--test", "10", "--out", "parts/", *GIVEN),),
    "folds": (("split", "pool.jsonl", "--folds", "3", "--out", "parts/", *GIVEN),),
    "verify": (SELECT, ("verify", "kept.jsonl")),
    "measure": (SELECT, ("measure", "pool.jsonl", "--subset", "kept.jsonl", *GIVEN)),
    "report": (SELECT, ("report", "kept.jsonl")),
    "atlas": (SELECT, ("atlas", "kept.jsonl")),
    "export": (SELECT, ("export", "kept.jsonl", "--to", "trl", "--out", "training")),
    "strategies": (("strategies",),),
    "cache": (("cache",),),
    "typing-errors": (
        ("selct",),
        ("select", "pool.jsonl", "--kep", "5"),
        (*SELECT[:4], "--out", "new", *GIVEN),
    ),
}


class Terminal(io.StringIO):
    """A stream that says it is one that somebody looks at."""

    def isatty(self) -> bool:
        return True


def screen(commands: tuple[tuple[str, ...], ...], columns: int) -> str:
    """What the last of some commands shows; of failing ones all that they say."""
    shown = ""
    for command in commands:
        out, errors = Terminal(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", errors)
            with pytest.raises(SystemExit) as ended:
                main(command)
        failed = ended.value.code not in (0, None)
        shown = (shown if failed else "") + out.getvalue() + errors.getvalue()
    return steady(shown)


def steady(text: str) -> str:
    """A screen without what differs between runs: seconds, places of temporary folders, colours, spaces at ends."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"\b\d+\.\d(\s+s)\b", r"0.0\1", text)  # also where a line ends between the two
    text = re.sub(re.escape(os.environ["EVENLY_CACHE"]) + r"\S*", "CACHE", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("name", RUNS)
def test_the_screen_is_the_one_that_was_looked_at(name: str, columns: int, place: Path) -> None:
    found = screen(RUNS[name], columns)
    kept = SCREENS / f"{name}-{columns}.txt"
    if os.environ.get("EVENLY_SCREENS") == "write":
        kept.write_text(found, encoding="utf-8")
    assert found == kept.read_text(encoding="utf-8")
    if name not in (
        "strategies",
        "typing-errors",
        "measure",
    ):  # tables as wide as they are, errors of one line
        assert max(map(len, found.splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_has_an_example_and_a_document(name: str, columns: int) -> None:
    """What it says of each option is docs/reference.md, which a test holds to the commands."""
    found = screen(((name, "--help"),), columns)
    assert max(map(len, found.splitlines())) <= columns
    assert f"Example:\n  {EXAMPLES[name][0]}\n" in found
    assert found.endswith(f"Read more: {EXAMPLES[name][1]}\n")


def test_every_command_has_an_example_and_a_document() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    for name, (example, document) in EXAMPLES.items():
        assert example.startswith(f"evenly {name}")
        assert (ROOT / document).is_file()


def test_no_screen_is_left_over() -> None:
    assert {path.stem.rpartition("-")[0] for path in SCREENS.iterdir()} == set(RUNS)
