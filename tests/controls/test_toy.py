"""A control that is added by its own file and one entry in the list works in every command that knows controls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.jobs.files import read_lines, records, write_lines


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.controls.toy", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[2],
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_lines(folder / "pool.jsonl", records(50, 0))
    write_lines(folder / "new.jsonl", records(20, 1))
    found = run(
        folder,
        *("select", str(folder / "pool.jsonl"), "--encoder", "column:vec", "--no-cache"),
        *("--keep", "20", "--shortest", "35", "--out", str(folder / "kept.jsonl")),
    )
    assert not found.returncode, found.stderr
    assert "shortest: the shortest kept row has" in found.stdout
    assert "of the best possible without shortest" in " ".join(found.stdout.split())
    return folder


def lengths(file: Path) -> list[int]:
    return [len(f"{row['instruction']}\n{row['output']}") for row in read_lines(file)]


def test_it_does_what_it_says_and_is_recorded(kept: Path) -> None:
    assert min(lengths(kept / "kept.jsonl")) >= 35
    manifest = json.loads((kept / "kept.evenly" / "manifest.json").read_text())
    assert manifest["options"]["controls"] == {"shortest": 35}
    excluded = pq.read_table(kept / "kept.evenly" / "excluded.parquet").to_pylist()
    short = [row for row, length in enumerate(lengths(kept / "pool.jsonl")) if length < 35]
    assert [line["row"] for line in excluded] == short
    assert {line["reason"] for line in excluded} == {"shortest"}
    page = (kept / "kept.evenly" / "report.html").read_text()
    for said in ("Characters at least", "the shortest kept row has", "shortest: too short to learn from"):
        assert said in page


def test_verify_slice_and_extend_know_it(kept: Path) -> None:
    folder, cut, more = (str(kept / name) for name in ("kept.evenly", "cut.jsonl", "more.jsonl"))
    checked = run(kept, "verify", folder, "--no-cache")
    assert not checked.returncode, checked.stdout
    assert "ok  shortest: " in checked.stdout
    sliced = run(kept, "slice", folder, "--keep", "9", "--out", cut, "--no-cache")
    assert not sliced.returncode, sliced.stderr
    assert "ok  shortest: " in run(kept, "verify", str(kept / "cut.evenly"), "--no-cache").stdout
    new = str(kept / "new.jsonl")
    longer = run(kept, "extend", folder, new, "--keep", "25", "--out", more, "--no-cache")
    assert not longer.returncode, longer.stderr
    assert min(lengths(Path(more))) >= 35


def test_its_line_names_the_option_as_it_is_typed(kept: Path) -> None:
    pool = str(kept / "pool.jsonl")
    refused = run(kept, "select", pool, "--keep", "5", "--shortest", "-1", "--out", str(kept / "no.jsonl"))
    assert refused.returncode == 2
    assert refused.stderr == "evenly: --shortest must be at least 0; got -1\n"
    assert "--shortest" in run(kept, "select", "--help").stdout
