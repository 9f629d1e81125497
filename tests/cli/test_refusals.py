"""What cannot be done is refused in one line that names the option as typed, what was given and what is expected."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_commands import GIVEN, ROWS, place
from tests.cli.test_saved import check_refused
from tests.conftest import Run

__all__ = ["place"]

POOL = ("pool.jsonl", *GIVEN)
SELECT = ("select", *POOL, "--out", "kept.jsonl")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("measure", *POOL, "--draws", "-1"), "--draws must be at least 0; got -1"),
        (("measure", *POOL, "--seed", "-1"), "--seed must be at least 0; got -1"),
        (
            ("measure", *POOL, "--within", "-1"),
            "--within must be distances, finite and at least 0; got [-1.0]",
        ),
        ((*SELECT, "--keep", "0"), f"--keep 0 of {ROWS} rows is no row; ask for at least one row"),
        ((*SELECT, "--keep", "500"), f"--keep 500 is more than the {ROWS} rows of the pool"),
        ((*SELECT, "--keep", "most"), "--keep 'most' is not known; use a share (50%), a count (5000)"),
        ((*SELECT, "--keep", "5", "--seed", "-1"), "--seed must be at least 0; got -1"),
        (
            (*SELECT, "--keep", "5", "--start", "-1"),
            "--start must be a row number from 0, or random; got '-1'",
        ),
        (
            (*SELECT, "--keep", "5", "--start", "50"),
            "--start must be a row number from 0 to 49, or random; got 50",
        ),
        ((*SELECT, "--keep", "5", "--memory", "1"), "and --memory allows 1 byte: raise it"),
        ((*SELECT, "--keep", "5", "--device", "banana"), "such as cpu, cuda or cuda:1; got 'banana'"),
        (
            (*SELECT, "--keep", "5", "--strategy", "kmean"),
            "--strategy 'kmean' is not known; did you mean kmeans?",
        ),
        ((*SELECT, "--keep", "5", "--by", "inptu"), "no record has a field 'inptu'; did you mean input?"),
        (("split", *POOL, "--test", "0", "--out", "parts/"), f"--test 0 of {ROWS} rows is no row"),
        (("split", *POOL, "--test", "99", "--out", "parts/"), f"--test 99 is more than the {ROWS} rows"),
        (("push", "kept.jsonl", "--dry-run"), "requires an argument; see evenly push --help"),
        (
            (*SELECT, "--objective", "gist", "--keep", "5", "--quality", "input"),
            "a finite number of at least 0",
        ),
        (("lab", "dept"), "experiment 'dept' is not known; did you mean depth?"),
        (
            ("select", *POOL, "--keep", "5", "--out", "fresh"),
            "write --out fresh/ for a folder with one file per source, or --out fresh.jsonl for one file",
        ),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_the_line_names_what_was_typed(command: tuple[str, ...], said: str, place: object, run: Run) -> None:
    check_refused(run(*command), said)


def test_a_file_of_vectors_is_no_source(place: Path, run: Run) -> None:
    Path("vectors.npy").touch()
    check_refused(
        run("select", "vectors.npy", "--keep", "5", "--out", "kept.jsonl"), "as --encoder vectors:FILE.npy"
    )


STOPPED_AS_IT_LOADS = """
import sys

class Stop:
    def find_spec(self, name, *rest):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
from evenly.cli import main

main(["--help"])
"""


def test_ctrl_c_while_the_commands_are_loaded_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED_AS_IT_LOADS], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("evenly: stopped; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("select", "some/rows", "--keep", "5", "--out", "kept.jsonl"),
            "some/rows is no file here, and the hub",
        ),
        (
            ("score", "train.jsonl", "--model", "some/model", "--out", "s.parquet"),
            "from some/model: it is no folder",
        ),
    ],
    ids=["rows", "model"],
)
def test_a_hub_out_of_reach_is_said_at_once(place: object, command: tuple[str, ...], said: str) -> None:
    """The port is one that nothing listens on; the hub's own client asks it for half a minute."""
    reachable = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "evenly", *command],
        env={**reachable, "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - started < 20
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("evenly: ")
    assert done.stderr.count("\n") == 1
