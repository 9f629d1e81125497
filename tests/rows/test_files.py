"""Files appear whole or not at all; what killed runs leave is cleared; what others write or own is not touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly.errors import InputError
from evenly.files import clear_leftovers, file_sha256, new_files, write_atomically, write_table
from evenly.outputs import OWN_MARK, check_place, refuse_inputs


@pytest.fixture(scope="module")
def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_files_of_dead_processes_go_and_others_stay(tmp_path: Path, dead: int) -> None:
    gone = [tmp_path / f".kept.jsonl.{dead}.tmp", tmp_path / f".kept.jsonl.{dead}.0123abcd.tmp"]
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


def test_the_trace_of_a_killed_run_stays_until_one_went_well(tmp_path: Path, dead: int) -> None:
    left = tmp_path / f".kept.jsonl.{dead}.0123abcd.tmp"
    left.write_text("half of it")

    def stop(path: Path) -> None:
        with new_files() as files, files.open(path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop(tmp_path / "kept.jsonl")
    assert left.read_text() == ""  # the room it took is free again
    write_atomically(tmp_path / "kept.jsonl", "whole")
    assert names(tmp_path) == ["kept.jsonl"]


def test_a_missing_folder_is_no_matter(tmp_path: Path) -> None:
    clear_leftovers(tmp_path / "missing" / "kept.jsonl")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_what_belongs_together_appears_together(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").write_text("")
    (tmp_path / "a").write_text("old")
    with new_files() as files:
        folder = files.folder(tmp_path / "kept")
        (folder / "new").write_text("")
        with files.open(tmp_path / "a") as stream:
            stream.write(b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a", "kept", "kept/new"]
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").write_text("old")

    def fail() -> None:
        with new_files(make_folders=True) as files:
            files.folder(tmp_path / "kept")
            with files.open(tmp_path / "deep" / "down" / "a") as stream:
                stream.write(b"new")
            with files.open(tmp_path / "b") as stream:
                raise error

    if isinstance(error, OSError):
        with pytest.raises(InputError, match=r"the disk is full: .*/b was not written; make room"):
            fail()
    else:
        with pytest.raises(KeyboardInterrupt):
            fail()
    assert names(tmp_path) == ["kept", "kept/old"]


def test_a_place_that_cannot_be_taken_leaves_all_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("")

    def fail() -> None:
        with new_files() as files:
            files.folder(tmp_path / "a")
            with files.open(tmp_path / "b") as stream:
                stream.write(b"new")
            (tmp_path / "b").mkdir()

    with pytest.raises(InputError, match=r"/b cannot be written: Is a directory"):
        fail()
    assert names(tmp_path) == ["a", "a/old", "b"]


def test_errors_name_the_place_and_not_the_temporary_one(tmp_path: Path) -> None:
    def fail() -> None:
        with new_files() as files:
            folder = files.folder(tmp_path / "kept.evenly")
            write_atomically(folder / "none" / "manifest.json", "{}")

    with pytest.raises(InputError) as error:
        fail()
    assert str(error.value) == (
        f"{tmp_path}/kept.evenly/none/manifest.json cannot be written: No such file or directory; "
        "make room or name another place"
    )


def test_a_table_in_blocks_is_one_file(tmp_path: Path) -> None:
    blocks = [pa.table({"n": [start, start + 1]}) for start in (0, 2)]
    hashed = write_table(tmp_path / "t.parquet", iter(blocks), blocks[0].schema)
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"n": [0, 1, 2, 3]}
    assert hashed == file_sha256(tmp_path / "t.parquet")
    assert names(tmp_path) == ["t.parquet"]


def write_pairs(folder: str, process: int) -> None:
    for _ in range(60):
        with new_files(durable=False) as files:
            inner = files.folder(Path(folder, "record"))
            (inner / "who").write_text(str(process))
            with files.open(Path(folder, "kept")) as stream:
                stream.write(str(process).encode())


def test_of_two_processes_at_one_place_one_wins_in_all_of_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(write_pairs, [str(tmp_path)] * 2, range(2)))
    assert names(tmp_path) == ["kept", "record", "record/who"]
    assert (tmp_path / "kept").read_text() == (tmp_path / "record" / "who").read_text()


def test_inputs_are_refused_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "link").symlink_to("a.jsonl")
    os.link(tmp_path / "a.jsonl", tmp_path / "hard")
    for name in ("a.jsonl", "link", "hard", "a.jsonl/b"):
        with pytest.raises(InputError, match="is the input source, or inside it"):
            refuse_inputs(tmp_path / name, [("source", tmp_path / "a.jsonl")])
    refuse_inputs(tmp_path / "b.jsonl", [("source", tmp_path / "a.jsonl")])


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    kept, record = tmp_path / "kept.jsonl", tmp_path / "kept.evenly" / "manifest.json"
    check_place(kept, overwrite=False)
    kept.write_text("{}")
    for told in (None, "{", "[]", '{"outputs": [{"name": "other.jsonl"}]}'):
        if told is not None:
            record.parent.mkdir(exist_ok=True)
            record.write_text(told)
        with pytest.raises(InputError, match=r"kept.jsonl is there and was not written by evenly"):
            check_place(kept, overwrite=False, records=[record])
    check_place(kept, overwrite=True, records=[record])
    told = json.dumps({"outputs": [{"name": "kept.jsonl", "sha256": file_sha256(kept)}]})
    for own in (record, tmp_path / "split.json"):
        own.write_text(told)
        check_place(kept, overwrite=False, records=[own])
    with pytest.raises(InputError, match="is a folder"):
        check_place(tmp_path, overwrite=True)


def test_a_table_with_the_mark_is_evenlys_own(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"n": [1]}))
    with pytest.raises(InputError, match="was not written by evenly"):
        check_place(path, overwrite=False)
    write_table(path, pa.table({"n": [1]}).replace_schema_metadata({OWN_MARK: b"atlas"}))
    check_place(path, overwrite=False)
