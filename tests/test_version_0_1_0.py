"""Selection folders that version 0.1.0 wrote: this version verifies, cuts, extends and shows them, and picks alike.

tests/fixtures/make_v0_1_0.py made them and says how.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import Run, Said
from tests.fixtures.make_v0_1_0 import EXTENDED, HERE, SLICED, processor

COMMANDS = json.loads((HERE / "commands.json").read_text())
EXPECTED = json.loads((HERE / "expected.json").read_text())
SAME_PROCESSOR = (HERE / "processor.txt").read_text().strip() == processor()

every_selection = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the selections and of what they were made from, and this process in it."""
    copy = tmp_path / "of 0.1.0"
    shutil.copytree(HERE, copy)
    monkeypatch.chdir(copy)
    return copy


def output(name: str) -> Path:
    return Path(COMMANDS[name][-1])


def folder(name: str) -> Path:
    return output(name).with_suffix(".evenly")


def ending(name: str) -> str:
    """Of one file for all rows of the selection."""
    return ".parquet" if name == "dataset" else ".jsonl"


def picks(where: Path) -> dict[str, list[Any]]:
    order = pq.read_table(where / "order.parquet").to_pylist()
    kept = sorted((line for line in order if line["rank"] is not None), key=lambda line: line["rank"])
    assert [line["rank"] for line in kept] == list(range(len(kept)))
    return {"rows": [line["row"] for line in kept], "radii": [line["radius"] for line in kept]}


def kept_content(where: Path) -> dict[str, Any]:
    """Every file of kept rows: its bytes, or its rows where a library's version is among the bytes."""
    files = sorted(where.iterdir()) if where.is_dir() else [where]
    return {
        file.name: pq.read_table(file).to_pylist() if file.suffix == ".parquet" else file.read_bytes()
        for file in files
    }


def check_order(name: str, found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    """The same picks and radii, bit for bit; another processor embeds a text otherwise in the last bits."""
    if name == "model" and not SAME_PROCESSOR:
        assert len(found["rows"]) == len(expected["rows"])
    else:
        assert found == expected


def check_refusal(said: Said, *, unwritten: Path) -> None:
    assert (said.status, said.out) == (2, "")
    assert said.errors.startswith("evenly: ")
    assert said.errors.count("\n") == 1
    assert not unwritten.exists()
    assert not unwritten.with_suffix(".evenly").exists()


@every_selection
def test_it_verifies(name: str, place: Path, run: Run) -> None:
    moved = ("--source", "train.jsonl") if name == "standard_input" else ()
    said = run("verify", str(folder(name)), *moved)
    assert said.status == 0, said.out + said.errors
    assert "all checks passed" in said.out


@every_selection
def test_it_is_cut_as_0_1_0_cut_it(name: str, place: Path, run: Run) -> None:
    out = Path(f"cut{ending(name)}")
    said = run("slice", str(folder(name)), "--keep", SLICED, "--out", str(out))
    if name == "standard_input":  # 0.1.0 did not find rows that came from there
        first = picks(folder(name))
        expected = {what: values[: int(SLICED)] for what, values in first.items()}
        assert picks(Path("cut.evenly")) == expected
    elif isinstance(EXPECTED[name]["slice"], str):
        check_refusal(said, unwritten=out)
        return
    else:
        check_order(name, picks(Path("cut.evenly")), EXPECTED[name]["slice"])
    assert said.status == 0, said.errors
    assert run("verify", "cut.evenly").status == 0


@every_selection
def test_it_is_extended_as_0_1_0_extended_it(name: str, place: Path, run: Run) -> None:
    out = Path(f"longer{ending(name)}")
    said = run("extend", str(folder(name)), "more.jsonl", "--keep", EXTENDED, "--out", str(out))
    if name == "standard_input":
        kept = picks(folder(name))["rows"]
        assert picks(Path("longer.evenly"))["rows"][: len(kept)] == kept
    elif isinstance(EXPECTED[name]["extend"], str):
        check_refusal(said, unwritten=out)
        return
    else:
        check_order(name, picks(Path("longer.evenly")), EXPECTED[name]["extend"])
    assert said.status == 0, said.errors
    assert run("verify", "longer.evenly").status == 0


@every_selection
def test_its_page_and_its_atlas_are_written(name: str, place: Path, run: Run) -> None:
    said = run("report", str(folder(name)))
    assert said.status == 0, said.errors
    assert (folder(name) / "report.html").read_text().startswith("<!")
    said = run("atlas", str(folder(name)), "--out", "atlas.parquet")
    assert said.status == 0, said.errors
    rows = json.loads((folder(name) / "manifest.json").read_text())["pool_rows"]
    assert pq.read_metadata("atlas.parquet").num_rows == rows


@every_selection
def test_the_same_command_still_picks_and_keeps_the_same(name: str, place: Path, run: Run) -> None:
    before = picks(folder(name)), kept_content(output(name))
    for path in (output(name), folder(name)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = run(*COMMANDS[name], stdin=Path("train.jsonl").read_bytes() if name == "standard_input" else b"")
    assert said.status == 0, said.errors
    check_order(name, picks(folder(name)), before[0])
    if name != "model" or SAME_PROCESSOR:
        assert kept_content(output(name)) == before[1]
