"""What an older run wrote: it is replaced unless it was edited, and does not stay beside what is new."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evenly.files import file_sha256
from tests.cli.test_commands import GIVEN, place, succeed
from tests.cli.test_saved import check_refused, tree
from tests.conftest import Run

__all__ = ["place"]

SELECT = ("select", "pool.jsonl", "--out", "kept.jsonl", *GIVEN)

EDITED = {
    "select": ("kept.jsonl", ("select", "pool.jsonl", "--keep", "5", "--out", "kept.jsonl", *GIVEN)),
    "split": ("parts/train.jsonl", ("split", "pool.jsonl", "--test", "5", "--out", "parts/", *GIVEN)),
    "folds": ("parts/fold3.jsonl", ("split", "pool.jsonl", "--folds", "3", "--out", "parts/", *GIVEN)),
    "strategies": (
        "arms/random.jsonl",
        ("select", "pool.jsonl", "--keep", "5", "--strategy", "all", "--out", "arms/", *GIVEN),
    ),
}


@pytest.mark.parametrize("name", EDITED)
def test_an_edited_output_is_replaced_only_where_that_is_said(name: str, place: Path, run: Run) -> None:
    edited, command = EDITED[name]
    succeed(run(*command))
    succeed(run(*command))
    with Path(edited).open("a") as stream:
        stream.write('{"text": "of the user"}\n')
    before = tree(place)
    check_refused(run(*command), edited, "was changed since evenly wrote it", "--overwrite")
    assert tree(place) == before
    succeed(run(*command, "--overwrite"))
    assert "of the user" not in Path(edited).read_text()


def test_a_run_killed_between_record_and_rows_is_gone_on_from(place: Path, run: Run) -> None:
    succeed(run(*SELECT, "--keep", "9"))
    older = Path("kept.jsonl").read_bytes()
    succeed(run(*SELECT, "--keep", "5"))
    newer = Path("kept.jsonl").read_bytes()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    trace = Path(f".kept.jsonl.{process.pid}.0123abcd.tmp")
    Path("kept.jsonl").write_bytes(older)
    trace.write_bytes(newer)
    succeed(run(*SELECT, "--keep", "5"))
    assert Path("kept.jsonl").read_bytes() == newer
    assert not trace.exists()


@pytest.mark.parametrize(
    ("first", "second", "gone"),
    [
        (("--folds", "5"), ("--folds", "3"), {"fold4.jsonl", "fold5.jsonl"}),
        (("--test", "5", "--gap", "0"), ("--folds", "2"), {"test.jsonl", "train.jsonl"}),
    ],
)
def test_parts_of_an_older_split_do_not_stay_beside_the_new(
    first: tuple[str, ...], second: tuple[str, ...], gone: set[str], place: Path, run: Run
) -> None:
    Path("parts").mkdir()
    Path("parts/notes.txt").write_text("mine")
    succeed(run("split", "pool.jsonl", *first, "--out", "parts/", *GIVEN))
    before = {path.name for path in Path("parts").iterdir()}
    assert gone < before
    said = succeed(run("split", "pool.jsonl", *second, "--out", "parts/", *GIVEN))
    assert all(name in said for name in gone)
    now = {path.name for path in Path("parts").iterdir()}
    assert now == (before - gone) | {
        output["name"] for output in json.loads(Path("parts/split.json").read_text())["outputs"]
    }
    edited = Path("parts/fold2.jsonl")
    edited.write_text(edited.read_text() + "{}\n")
    check_refused(
        run("split", "pool.jsonl", "--test", "5", "--out", "parts/", *GIVEN), "fold2.jsonl", "--overwrite"
    )
    assert edited.exists()


def test_kept_rows_of_a_source_that_is_left_out_go(place: Path, run: Run) -> None:
    shutil.copy("new.jsonl", "more.jsonl")
    command = ("select", "--keep", "5", "--out", "mix/", *GIVEN)
    succeed(run(*command, "pool.jsonl", "more.jsonl"))
    said = succeed(run(*command, "pool.jsonl"))
    assert "removed mix/more.jsonl, which an older run wrote" in said
    assert [path.name for path in Path("mix").iterdir()] == ["pool.jsonl"]


def test_a_record_from_elsewhere_removes_nothing_outside_its_folder(place: Path, run: Run) -> None:
    succeed(run("split", "pool.jsonl", "--folds", "2", "--out", "parts/", *GIVEN))
    record = json.loads(Path("parts/split.json").read_text())
    record["outputs"].append({"name": "../pool.jsonl", "sha256": file_sha256(Path("pool.jsonl")), "rows": 1})
    Path("parts/split.json").write_text(json.dumps(record))
    succeed(run("split", "pool.jsonl", "--folds", "2", "--out", "parts/", *GIVEN))
    assert Path("pool.jsonl").exists()
