"""Options from a file: they are those that one types, what is typed wins, and what there is not is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.jobs.files import read_lines, records, write_lines


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_lines(tmp_path / "pool.jsonl", records(30, 0))
    write_lines(tmp_path / "test.jsonl", records(4, 1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


OPTIONS = """
sources: [pool.jsonl]
keep: 0.4
encoder: column:vec
no-cache: true
avoid: test.jsonl
distance: 0.01
guard: 5%
start: 3
order: picked
out: kept.jsonl
"""
TYPED = (
    *("pool.jsonl", "--keep", "0.4", "--encoder", "column:vec", "--no-cache", "--avoid", "test.jsonl"),
    *("--distance", "0.01", "--guard", "5%", "--start", "3", "--order", "picked"),
)


def test_a_file_says_what_one_types(run: Run) -> None:
    Path("even.yaml").write_text(OPTIONS)
    assert run("select", "--config", "even.yaml").status == 0
    assert run("select", *TYPED, "--out", "typed.jsonl").status == 0
    assert Path("kept.jsonl").read_bytes() == Path("typed.jsonl").read_bytes()
    assert run("select", "--config", "even.yaml", "--keep", "5", "--out", "five.jsonl").status == 0
    assert len(read_lines(Path("five.jsonl"))) == 5


def test_every_selection_writes_the_file_that_repeats_it(run: Run) -> None:
    assert run("select", *TYPED, "--out", "typed.jsonl").status == 0
    kept = Path("typed.jsonl").read_bytes()
    written = Path("typed.evenly/config.yaml")
    assert run("select", "--config", str(written), "--out", "again.jsonl").status == 0
    assert Path("again.jsonl").read_bytes() == kept
    assert written.read_text().replace("typed", "again") == Path("again.evenly/config.yaml").read_text()
    assert run("verify", "typed.jsonl", "--no-cache").status == 0
    written.write_text("keep: 3\n")
    said = run("verify", "typed.jsonl", "--no-cache", "--json")
    assert [check["name"] for check in json.loads(said.out)["checks"] if not check["passed"]] == [
        "config.yaml"
    ]


WRONG = {
    "kep: 5": "even.yaml names the option kep, which there is not; did you mean keep?",
    "keep: {a: 1}": "even.yaml: keep must be text or a number",
    "keep: [1, 2]": "even.yaml: keep takes one value; got 2",
    "allow-copies: maybe": "even.yaml: allow-copies must be true or false; got 'maybe'",
    "- keep": "even.yaml must hold options by name",
    "keep: [": "even.yaml cannot be read",
    "metric: far": "far",
    "order: best": "best",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_a_file_cannot_say_is_one_line(text: str, run: Run) -> None:
    Path("even.yaml").write_text(text)
    said = run("select", "pool.jsonl", "--config", "even.yaml", "--out", "kept.jsonl")
    assert (said.status, said.errors.count("\n")) == (2, 1)
    assert WRONG[text] in said.errors
    assert not Path("kept.jsonl").exists()


def test_a_file_that_is_not_there(run: Run) -> None:
    said = run("select", "pool.jsonl", "--config", "none.yaml", "--out", "kept.jsonl")
    assert "--config none.yaml cannot be read: No such file" in said.errors.replace("`config`", "--config")


def test_again_says_what_it_needs(run: Run) -> None:
    assert run("select", *TYPED, "--out", "kept.jsonl").status == 0
    said = run("again", "kept.jsonl", "--on", "test.jsonl")
    assert (said.status, said.errors.count("\n")) == (2, 1)
    assert "say with --out where the rows kept of them go" in said.errors
    Path("kept.evenly/config.yaml").unlink()
    assert "holds no config.yaml" in run("again", "kept.jsonl").errors
