"""Options of the screen: rows on standard output, quiet runs, ids for pipes, runs without a page, what was reused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.test_commands import GIVEN, ROWS, lines, place, succeed, write_lines
from tests.cli.test_saved import check_refused
from tests.conftest import Run

__all__ = ["place"]

SELECT = ("select", "pool.jsonl", "--keep", "5", *GIVEN)


def test_kept_rows_on_standard_output(place: Path) -> None:
    before = sorted(place.iterdir())
    done = subprocess.run([sys.executable, "-m", "evenly", *SELECT, "--out", "-"], capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 5
    assert set(done.stdout.splitlines()) <= set(Path("pool.jsonl").read_bytes().splitlines())
    assert b"kept 5 of 50 rows" in done.stderr
    assert b"evenly verify" not in done.stderr
    assert sorted(place.iterdir()) == before


def test_rows_alone_go_to_standard_output(place: Path, run: Run) -> None:
    check_refused(run(*SELECT, "--out", "-", "--json"), "--out - prints the kept rows alone")


def test_a_quiet_run_prints_nothing_but_errors(place: Path, run: Run) -> None:
    assert run(*SELECT, "--out", "kept.jsonl", "-q")[:] == (0, "", "")
    assert len(lines("kept.jsonl")) == 5
    check_refused(run("select", "missing.jsonl", "--keep", "5", "--out", "kept.jsonl", "-q"), "missing.jsonl")


def test_json_names_the_kept_rows_in_the_order_of_picking(place: Path, run: Run) -> None:
    found = json.loads(succeed(run(*SELECT, "--out", "kept.jsonl", "--json")))
    numbers = [int(name.removeprefix("pool.jsonl:")) for name in found["kept_ids"]]
    assert [lines("pool.jsonl")[number - 1] for number in sorted(numbers)] == lines("kept.jsonl")
    first = json.loads(
        succeed(run("select", "pool.jsonl", "--keep", "2", *GIVEN, "--out", "two.jsonl", "--json"))
    )
    assert found["kept_ids"][:2] == first["kept_ids"]


def test_a_run_without_a_page_has_all_the_rest(place: Path, run: Run) -> None:
    said = succeed(run(*SELECT, "--out", "kept.jsonl", "--no-page"))
    assert "report.html" not in said
    assert not Path("kept.evenly/report.html").exists()
    assert "all checks passed" in succeed(run("verify", "kept.jsonl"))
    succeed(run("report", "kept.jsonl"))
    assert Path("kept.evenly/report.html").exists()


def test_the_same_run_again_says_what_it_took_over(place: Path, run: Run) -> None:
    assert "from an earlier run" not in succeed(run(*SELECT, "--out", "kept.jsonl"))
    assert "5 of 5 picks from an earlier run" in succeed(run(*SELECT, "--out", "kept.jsonl"))


def test_what_was_read_is_said_with_a_row_as_it_is_embedded(place: Path, run: Run) -> None:
    write_lines(place / "odd.jsonl", [{"text": f"row {n}\x1b[2J\u202e ends"} for n in range(12)])
    said = succeed(run("select", "odd.jsonl", "--keep", "5", "--out", "kept.jsonl"))
    assert said.startswith(
        "odd.jsonl: 12 rows, plain text (text)\nrow 1 as it is embedded: row 0\\x1b[2J\\u202e ends\n"
    )
    assert "as it is embedded" not in succeed(run(*SELECT, "--out", "given.jsonl"))


def test_distances_are_shown_by_rows_of_this_pool(place: Path, run: Run) -> None:
    near = [
        {"instruction": f"number {n}", "input": "", "output": "", "v": [1.0, n / 40]} for n in range(ROWS)
    ]
    write_lines(place / "near.jsonl", near)
    said = succeed(run("select", "near.jsonl", "--keep", "1", "--out", "kept.jsonl", *GIVEN, "--details"))
    assert "about 0.05 apart" in said
    assert "inf" not in said


def test_measure_ends_in_a_sentence(place: Path, run: Run) -> None:
    rows = [{"text": f"row {n}", "v": [n % 3, 1.0, n / 1000]} for n in range(9)]
    write_lines(place / "near.jsonl", rows)
    said = succeed(run("measure", "near.jsonl", *GIVEN))
    assert "100 % of the rows have a near-copy, another row nearer than 0.05" in said
    assert "--dedup 0.05" in said
