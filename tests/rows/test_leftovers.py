"""What killed runs leave behind is cleared; what others write or own is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evenly.files import clear_leftovers


@pytest.fixture(scope="module")
def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_files_of_dead_processes_go_and_others_stay(tmp_path: Path, dead: int) -> None:
    gone = [tmp_path / f".kept.jsonl.{dead}.tmp"]
    stay = [
        tmp_path / name for name in ("kept.jsonl", f".kept.jsonl.{os.getpid()}.tmp", f".other.{dead}.tmp")
    ]
    for path in gone + stay:
        path.write_text("")
    (tmp_path / f".kept.jsonl.{dead}.old").mkdir()
    clear_leftovers(tmp_path / "kept.jsonl")
    assert sorted(tmp_path.iterdir()) == sorted(stay)


def test_a_folder_on_its_way_out_comes_back_where_no_other_took_its_place(tmp_path: Path, dead: int) -> None:
    old = tmp_path / f".kept.evenly.{dead}.old"
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    clear_leftovers(tmp_path / "kept.evenly")
    assert (tmp_path / "kept.evenly" / "manifest.json").read_text() == "{}"
    old.mkdir()
    clear_leftovers(tmp_path / "kept.evenly")
    assert not old.exists()


def test_a_missing_folder_is_no_matter(tmp_path: Path) -> None:
    clear_leftovers(tmp_path / "missing" / "kept.jsonl")
