"""Commands that go on from a saved selection: how it is named, where its sources are, what may be overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_commands import GIVEN, records, write_lines
from tests.conftest import Run, Said

COMMANDS: dict[str, tuple[str, ...]] = {
    "verify": (),
    "slice": ("--keep", "7", "--out", "OUT/cut.jsonl"),
    "extend": ("OUT/new.jsonl", "--keep", "14", "--out", "OUT/longer.jsonl"),
    "report": (),
    "export": ("--to", "trl", "--out", "OUT/export"),
    "atlas": ("--out", "OUT/atlas.parquet"),
}
NEED_SOURCES = ["verify", "slice", "extend", "export"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pool, new rows and a folder for what is made, and this process in it."""
    (tmp_path / "OUT").mkdir()
    write_lines(tmp_path / "pool.jsonl", records(0, 30))
    write_lines(tmp_path / "OUT" / "new.jsonl", records(30, 15))
    write_lines(tmp_path / "OUT" / "other.jsonl", records(60, 10))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def kept(place: Path, run: Run) -> Path:
    select(run, "pool.jsonl", "kept.jsonl")
    return place / "kept.jsonl"


def select(run: Run, source: str, out: str, *more: str, stdin: bytes = b"") -> None:
    said = run("select", source, "--keep", "12", "--out", out, *GIVEN, *more, stdin=stdin)
    assert said.status == 0, said.errors


def call(run: Run, command: str, selection: Path | str, *more: str) -> Said:
    return run(command, str(selection), *COMMANDS[command], *more)


def without_kept(command: str, *kept: str) -> None:
    """Export reads the kept rows where they are, and the sources where they are not."""
    for path in kept if command == "export" else ():
        Path(path).unlink()


def succeed(said: Said) -> None:
    assert said.status == 0, said.out + said.errors


def check_refused(said: Said, *named: str) -> None:
    assert (said.status, said.out) == (2, "")
    assert said.errors.count("\n") == 1
    assert all(part in said.errors for part in ("evenly: ", *named)), said.errors


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- what names a selection ---


@pytest.mark.parametrize("command", COMMANDS)
def test_kept_rows_name_the_folder_beside_them(command: str, kept: Path, run: Run) -> None:
    succeed(call(run, command, kept))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_kept_rows_and_each_file_in_it_name_it(command: str, place: Path, run: Run) -> None:
    select(run, "pool.jsonl", "kept/")
    succeed(call(run, command, "kept/"))
    shutil.rmtree("OUT/export", ignore_errors=True)
    again = () if command in ("verify", "report", "export", "atlas") else ("--overwrite",)
    succeed(call(run, command, "kept/pool.jsonl", *again))


@pytest.mark.parametrize("ending", ["ndjson.gz", "jsonl.xz", "json"])
def test_every_ending_leaves_one_name(ending: str, place: Path, run: Run) -> None:
    select(run, "pool.jsonl", f"kept.{ending}")
    assert (place / "kept.evenly").is_dir()
    succeed(call(run, "verify", f"kept.{ending}"))


def test_the_name_of_version_0_1_0_is_found(place: Path, run: Run) -> None:
    select(run, "pool.jsonl", "kept.ndjson.gz")
    Path("kept.evenly").rename("kept.ndjson.evenly")
    succeed(call(run, "verify", "kept.ndjson.gz"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["pool.jsonl", "OUT", "nothing.jsonl", "nothing.evenly"])
def test_what_names_no_selection_is_one_line(command: str, name: str, kept: Path, run: Run) -> None:
    before = tree(kept.parent)
    check_refused(call(run, command, name), name, "kept.evenly/")
    assert tree(kept.parent) == before


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_folder_that_is_no_selection_is_one_line(command: str, name: str, place: Path, run: Run) -> None:
    check_refused(call(run, command, name), "is no selection")


def test_the_folder_one_is_in_takes_kept_rows(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "kept").mkdir()
    monkeypatch.chdir(place / "kept")
    select(run, "../pool.jsonl", ".")
    assert (place / "kept.evenly" / "manifest.json").is_file()
    succeed(call(run, "verify", "."))


def test_kept_rows_stand_for_the_selection_as_anchors_too(kept: Path, run: Run) -> None:
    picks = []
    for number, name in enumerate(("kept.jsonl", "kept.evenly")):
        select(run, "OUT/new.jsonl", f"{number}.jsonl", "--anchors", name)
        picks.append(pq.read_table(f"{number}.evenly/order.parquet")["rank"].to_pylist())
    assert picks[0] == picks[1]


def test_changed_kept_rows_are_no_anchors(kept: Path, run: Run) -> None:
    kept.write_text(kept.read_text().replace("sum", "product", 1))
    said = run(
        "select", "OUT/new.jsonl", "--keep", "3", "--out", "x.jsonl", *GIVEN, "--anchors", "kept.evenly"
    )
    check_refused(said, "kept.jsonl was changed")


# --- where its sources are ---


def moved_beside(place: Path) -> None:
    (place / "data" / "pool.jsonl").rename(place / "pool.jsonl")


def renamed_beside(place: Path) -> None:
    (place / "data" / "pool.jsonl").rename(place / "first week.jsonl")


def renamed_there(place: Path) -> None:
    (place / "data" / "pool.jsonl").rename(place / "data" / "first week.jsonl")


def another_by_its_name(place: Path) -> None:
    (place / "data" / "pool.jsonl").rename(place / "pool.jsonl")
    write_lines(place / "data" / "pool.jsonl", records(99, 30))


@pytest.mark.parametrize("move", [moved_beside, renamed_beside, renamed_there, another_by_its_name])
@pytest.mark.parametrize("command", NEED_SOURCES)
def test_a_source_that_moved_is_found(
    command: str, move: Callable[[Path], None], place: Path, run: Run
) -> None:
    (place / "data").mkdir()
    Path("pool.jsonl").rename("data/pool.jsonl")
    select(run, "data/pool.jsonl", "kept.jsonl")
    move(place)
    without_kept(command, "kept.jsonl")
    succeed(call(run, command, "kept.evenly"))


@pytest.mark.parametrize("command", NEED_SOURCES)
def test_from_another_folder(command: str, kept: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = kept.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.move(str(kept.parent / "OUT"), str(elsewhere / "OUT"))
    without_kept(command, str(kept))
    monkeypatch.chdir(elsewhere)
    succeed(call(run, command, "../kept.jsonl"))


@pytest.mark.parametrize("command", [name for name in NEED_SOURCES if name != "extend"])
def test_the_split_of_a_dataset_is_honoured(command: str, place: Path, run: Run) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {
        "train": datasets.Dataset.from_list(records(0, 30)),
        "test": datasets.Dataset.from_list(records(9, 5)),
    }
    datasets.DatasetDict(parts).save_to_disk("rows")
    select(run, "rows", "kept.parquet", "--split", "train")
    arguments = [argument.replace("cut.jsonl", "cut.parquet") for argument in COMMANDS[command]]
    without_kept(command, "kept.parquet")
    succeed(run(command, "kept.evenly", *arguments))


@pytest.mark.parametrize("command", NEED_SOURCES)
def test_rows_from_standard_input_are_found_once_they_are_saved(command: str, place: Path, run: Run) -> None:
    rows = Path("pool.jsonl").read_bytes()
    select(run, "-", "kept.jsonl", stdin=rows)
    without_kept(command, "kept.jsonl")
    (place / "far").mkdir()
    Path("pool.jsonl").rename("far/rows.jsonl")
    said = call(run, command, "kept.evenly")
    assert said.status == 2
    assert "came from standard input" in said.out + said.errors
    assert "--source" in said.out + said.errors
    succeed(call(run, command, "kept.evenly", "--source", "far/rows.jsonl"))
    Path("saved.jsonl").write_bytes(rows)
    shutil.rmtree("OUT/export", ignore_errors=True)
    for made in Path("OUT").glob("*.evenly"):
        shutil.rmtree(made)
        made.with_suffix(".jsonl").unlink()
    succeed(call(run, command, "kept.evenly"))


@pytest.mark.parametrize("command", [name for name in NEED_SOURCES if name != "verify"])
def test_a_changed_source_and_too_many_are_refused(command: str, kept: Path, run: Run) -> None:
    without_kept(command, str(kept))
    check_refused(
        call(run, command, kept, "--source", "pool.jsonl", "--source", "OUT/new.jsonl"), "2 sources"
    )
    check_refused(call(run, command, kept, "--source", "OUT/other.jsonl"), "was changed")
    Path("pool.jsonl").unlink()
    check_refused(call(run, command, kept), "pool.jsonl is neither", "--source")


# --- a record by itself ---


def test_a_copied_record_is_checked_as_far_as_it_goes(
    kept: Path, run: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(kept.with_suffix(".evenly"), "copy.evenly")
    said = run("verify", "copy.evenly")
    assert (said.status, said.errors) == (2, "")
    assert "FAILED" not in said.out
    assert "ok  manifest" in said.out
    assert "not checked  output kept.jsonl" in said.out
    assert "not checked  rows, vectors and every pick" in said.out
    assert "all that could be checked passed" in said.out
    found = json.loads(run("verify", "copy.evenly", "--json").out)
    assert found["passed"] is True
    assert set(found["unchecked"]) == {"output kept.jsonl", "rows, vectors and every pick"}
    order = pq.read_table("copy.evenly/order.parquet")
    changed = [{**line, "rank": 3 if line["rank"] == 2 else line["rank"]} for line in order.to_pylist()]
    pq.write_table(pa.Table.from_pylist(changed, order.schema), "copy.evenly/order.parquet")
    said = run("verify", "copy.evenly")
    assert said.status == 1
    assert {line.split(":")[0] for line in said.out.splitlines() if line.startswith("FAILED")} == {
        "FAILED  order",
        "FAILED  rows kept",
    }


def test_json_prints_the_digest_that_is_written(place: Path, run: Run) -> None:
    said = run("select", "pool.jsonl", "--keep", "12", "--out", "kept.jsonl", "--json", *GIVEN)
    written = json.loads(Path("kept.evenly/manifest.json").read_text())
    assert json.loads(said.out)["manifest"]["digest"] == written["digest"] != ""


# --- what is overwritten ---


@pytest.mark.parametrize("name", ["kept.jsonl", "pool.jsonl", "kept.evenly/order.parquet"])
def test_the_atlas_leaves_its_inputs_alone(name: str, kept: Path, run: Run) -> None:
    before = tree(kept.parent)
    for more in ((), ("--overwrite",)):
        check_refused(run("atlas", "kept.evenly", "--out", name, *more), "")
        assert tree(kept.parent) == before


def test_the_atlas_of_a_parquet_file_leaves_it_alone(place: Path, run: Run) -> None:
    pq.write_table(pa.Table.from_pylist(records(0, 30)), "pool.parquet")
    select(run, "pool.parquet", "kept.parquet")
    before = tree(place)
    for name in ("pool.parquet", "kept.parquet", "kept.evenly/view.parquet"):
        check_refused(run("atlas", "kept.evenly", "--out", name, "--overwrite"), name, "name another output")
        assert tree(place) == before


WRITING: dict[str, tuple[str, tuple[str, ...]]] = {
    "select": ("theirs.jsonl", ("select", "pool.jsonl", "--keep", "5", "--out", "theirs.jsonl", *GIVEN)),
    "slice": ("theirs.jsonl", ("slice", "kept.jsonl", "--keep", "5", "--out", "theirs.jsonl")),
    "extend": (
        "theirs.jsonl",
        ("extend", "kept.jsonl", "OUT/new.jsonl", "--keep", "14", "--out", "theirs.jsonl"),
    ),
    "split": ("parts/test.jsonl", ("split", "pool.jsonl", "--test", "5", "--out", "parts/", *GIVEN)),
    "split's record": ("parts/split.json", ("split", "pool.jsonl", "--test", "5", "--out", "parts/", *GIVEN)),
    "strategies": (
        "arms/random.jsonl",
        ("select", "pool.jsonl", "--keep", "5", "--strategy", "all", "--out", "arms/", *GIVEN),
    ),
    "atlas": ("theirs.parquet", ("atlas", "kept.jsonl", "--out", "theirs.parquet")),
    "export": ("ours/theirs.txt", ("export", "kept.jsonl", "--to", "trl", "--out", "ours")),
    "demo": ("shown/documentation.jsonl", ("demo", "--rows", "20", "--out", "shown")),
}


@pytest.mark.parametrize("name", WRITING)
def test_what_others_wrote_is_replaced_only_where_that_is_said(name: str, kept: Path, run: Run) -> None:
    theirs, command = WRITING[name]
    Path(theirs).parent.mkdir(exist_ok=True)
    Path(theirs).write_text("theirs\n")
    before = tree(kept.parent)
    check_refused(run(*command), "--overwrite")
    assert tree(kept.parent) == before
    succeed(run(*command, "--overwrite"))
    if name != "export":
        assert Path(theirs).read_bytes() != b"theirs\n"
        succeed(run(*command))  # it is evenly's own now


def test_the_inputs_of_controls_are_left_alone(kept: Path, run: Run) -> None:
    def refused(*more: str) -> None:
        before = tree(kept.parent)
        check_refused(run("select", "OUT/new.jsonl", "--keep", "3", *GIVEN, *more, "--overwrite"), "")
        assert tree(kept.parent) == before

    refused("--avoid", "pool.jsonl", "--distance", "0.01", "--out", "pool.jsonl")
    refused("--anchors", "kept.evenly", "--out", "kept.jsonl")
    refused("--anchors", "kept.jsonl", "--out", "kept.jsonl")
    shutil.copy("pool.jsonl", "kept.evenly/pool.jsonl")
    refused("--anchors", "kept.evenly/pool.jsonl", "--out", "kept.json")


def test_a_record_is_not_replaced_by_that_of_other_rows(place: Path, run: Run) -> None:
    select(run, "pool.jsonl", "mix/")
    before = tree(place)
    command = ("select", "pool.jsonl", "--keep", "5", "--out", "mix.json", *GIVEN)
    check_refused(run(*command), "mix.evenly", "mix/pool.jsonl", "--overwrite")
    assert tree(place) == before
    select(run, "pool.jsonl", "mix/")  # the same rows again
    shutil.rmtree("mix")
    succeed(run(*command))  # nothing is lost


def test_a_selection_is_extended_in_place_only_where_that_is_said(kept: Path, run: Run) -> None:
    command = ("extend", "kept.evenly", "OUT/new.jsonl", "--keep", "14", "--out", "kept.jsonl")
    check_refused(run(*command), "kept.evenly", "--overwrite")
    first = set(kept.read_text().splitlines())
    succeed(run(*command, "--overwrite"))
    assert first < set(kept.read_text().splitlines())
    succeed(run("verify", "kept.evenly"))


def test_an_export_leaves_the_kept_rows_alone(kept: Path, run: Run) -> None:
    before = tree(kept.parent)
    check_refused(run("export", "kept.evenly", "--to", "trl", "--out", ".", "--overwrite"), "kept.jsonl")
    assert tree(kept.parent) == before


@pytest.mark.parametrize("command", ["verify", "slice"])
def test_vectors_beside_the_folder_are_found(
    command: str,
    place: Path,
    run: Run,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.save("vectors.npy", np.random.default_rng(0).standard_normal((30, 4)))
    said = run(
        "select", "pool.jsonl", "--keep", "12", "--out", "kept.jsonl", "--encoder", "vectors:vectors.npy"
    )
    succeed(said)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "OUT").mkdir()
    monkeypatch.chdir(elsewhere)
    succeed(call(run, command, place / "kept.evenly"))


def test_a_run_killed_while_the_record_took_its_place_is_gone_on_with(kept: Path, run: Run) -> None:
    Path("kept.evenly").rename(".kept.evenly.99999999.0123abcd.old")
    select(run, "pool.jsonl", "kept.jsonl")
    succeed(run("verify", "kept.evenly"))
    assert not list(kept.parent.glob(".kept*"))
