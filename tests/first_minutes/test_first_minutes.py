"""The first ten minutes of someone new: the built wheel in an environment of its own, files with plain names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.test_package import archives

__all__ = ["archives"]

QUESTIONS = {
    "train.jsonl": ("Add {n} and {n}.", "{n} plus {n} makes twice {n}."),
    "more data.jsonl": ("Which colour has thing number {n}?", "Thing number {n} is as green as a frog."),
    "chat.jsonl": ("Tell me of city {n}.", "City {n} lies on a river, and has {n} bridges."),
}


@pytest.fixture(scope="module")
def evenly(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command from the wheel. Its requirements are lent by this environment."""
    place = tmp_path_factory.mktemp("own")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(archives[1])], check=True)
    return programs / "evenly"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with three files of questions, one of them with a blank in its name."""
    for name, (asked, answered) in QUESTIONS.items():
        rows = ({"question": asked.format(n=n), "answer": answered.format(n=n)} for n in range(30))
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.slow
def test_ten_minutes(evenly: Path, desk: Path) -> None:
    def types(line: list[str], status: int = 0) -> str:
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run([evenly, *line], cwd=desk, env=alone, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        if status:
            assert done.stderr.count("\n") == 1
        return done.stdout + done.stderr

    assert "Choose rows:" in types([])
    assert "Example:\n  evenly select train.jsonl --keep 50% --out kept.jsonl\n" in types(
        ["select", "--help"]
    )

    said = types(["select", "train.jsonl", "--keep", "50%", "--out", "kept.jsonl"])
    assert said.startswith(
        "train.jsonl: 30 rows, question and answer (question, answer)\n"
        "row 1 as it is embedded: Add 0 and 0. 0 plus 0 makes twice 0.\n"
    )
    assert "\nkept 15 of 30 rows (50 %)" in said
    assert "check it:      evenly verify kept.evenly\n" in said
    assert types(["verify", "kept.jsonl"]).endswith("all checks passed\n")
    assert "the first 3 of 15 picks" in types(
        ["slice", "kept.jsonl", "--keep", "10%", "--out", "small.jsonl"]
    )

    said = types(["select", *QUESTIONS, "--keep", "20%", "--out", "mix/"])
    assert "such as a template: more data.jsonl" in " ".join(said.split())
    assert all(f"\n{name}: " in said for name in QUESTIONS)
    assert sorted(path.name for path in (desk / "mix").iterdir()) == sorted(QUESTIONS)
    fair = ["--by", "source", "--quota", "proportional", "--overwrite"]
    said = types(["select", *QUESTIONS, "--keep", "20%", "--out", "mix/", *fair])
    assert said.count("6 of 30 rows kept (20 %)") == 3

    assert "did you mean select?" in types(["selct"], 2)
    assert "did you mean --keep?" in types(["select", "train.jsonl", "--kep", "9"], 2)
    assert "--out new/ for a folder" in types(["select", "train.jsonl", "--keep", "9", "--out", "new"], 2)
    assert "trian.jsonl does not exist" in types(
        ["select", "trian.jsonl", "--keep", "9", "--out", "a.jsonl"], 2
    )
    (desk / "kept.jsonl").write_text("mine\n")
    again = ["select", "train.jsonl", "--keep", "50%", "--out", "kept.jsonl"]
    assert "was changed since evenly wrote it" in types(again, 2)
    assert (desk / "kept.jsonl").read_text() == "mine\n"
