"""Rows toward a task: the turns against a loop that takes the nearest row left, and both forms from files to record."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.controls.choice import Choice
from evenly.controls.outside import named_files
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.engine.round_robin import by_turns
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.engine.invariants import relaxed
from tests.engine.pools import hard_pools
from tests.jobs.files import records, write_lines


def turns_of(sizes: list[int]) -> Any:
    """One file after the other; each file's examples one after the other."""
    starts = np.cumsum([0, *sizes])
    for turn in itertools.count():
        file, number = turn % len(sizes), turn // len(sizes)
        yield int(starts[file]) + number % sizes[file]


def taken_by_hand(
    rows: np.ndarray, allowed: list[int], others: np.ndarray, turns: Any, count: int
) -> list[int]:
    left, taken = list(allowed), []
    for turn in turns:
        if len(taken) == count or not left:
            return taken
        difference = rows[left].astype(np.float64) - others[turn].astype(np.float64)
        squared = [halved(one * one) for one in difference]
        taken.append(left.pop(int(np.argmin(squared))))
    return taken


def halved(values: np.ndarray) -> float:
    """The sum by halves that distances are defined by."""
    while len(values) > 1:
        half = (len(values) + 1) // 2
        values = values[:half] + np.append(values[half:], np.zeros(2 * half - len(values)))
    return float(values[0])


class TestTurns:
    @relaxed
    @given(rows=hard_pools(most_rows=60, most_dimensions=20), data=st.data())
    def test_each_takes_the_nearest_row_left(self, rows: np.ndarray, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        others = rows[rng.integers(0, len(rows), 5)]
        if data.draw(st.booleans()):
            others = others + rng.standard_normal(others.shape).astype(np.float32)
        allowed = np.sort(rng.permutation(len(rows))[: data.draw(st.integers(1, len(rows)))])
        sizes = data.draw(st.sampled_from([[5], [1, 4], [2, 2, 1]]))
        count = data.draw(st.integers(1, len(rows)))
        found = by_turns(
            Points(rows, "euclidean"), allowed, Points(others, "euclidean"), turns_of(sizes), count
        )
        assert found.tolist() == taken_by_hand(rows, allowed.tolist(), others, turns_of(sizes), count)

    def test_rows_in_mapped_files_and_few_at_a_time(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((700, 16)).astype(np.float32)
        others = rng.standard_normal((40, 16)).astype(np.float32)
        np.save(tmp_path / "rows.npy", rows)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        expected = taken_by_hand(rows, list(range(700)), others, turns_of([40]), 60)
        for points in (
            Points(rows, "euclidean"),
            Points(mapped, "euclidean", Backend(tmp_path, 270_000_000)),
        ):
            found = by_turns(points, np.arange(700), Points(others, "euclidean"), turns_of([40]), 60)
            assert found.tolist() == expected

    def test_examples_that_are_alike_take_far_into_the_pool(self) -> None:
        rows = np.random.default_rng(1).standard_normal((400, 3)).astype(np.float32)
        others = np.repeat(rows[:1], 30, axis=0)
        found = by_turns(
            Points(rows, "euclidean"), np.arange(400), Points(others, "euclidean"), turns_of([30]), 400
        )
        assert found.tolist() == taken_by_hand(rows, list(range(400)), others, turns_of([30]), 400)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_lines(folder / "pool.jsonl", records(120, 0))
    write_lines(folder / "task.jsonl", records(5, 1))
    write_lines(folder / "other.jsonl", records(3, 2))
    write_lines(folder / "new.jsonl", records(30, 3))
    return folder


def run(
    files: Path, out: Path, keep: str | None, *, engine: dict[str, Any] | None = None, **options: Any
) -> Recorded:
    asked = {**options, **({} if keep is None else {"keep": keep})}
    pool = PoolRequest([str(files / "pool.jsonl")], encoder="column:vec", use_cache=False, **(engine or {}))
    outcome = select_sources(SelectRequest(pool, Choice.of(**asked), str(out / "kept.jsonl"), random_draws=0))
    assert failed(outcome.folder) == []
    return outcome


def failed(folder: Path) -> list[str]:
    found = verify_folder(SavedPoolRequest(folder, use_cache=False))
    assert not found.unchecked
    return [str(check) for check in found.checks if not check.passed]


def both(files: Path) -> tuple[str, str]:
    return (str(files / "task.jsonl"), f"other={files / 'other.jsonl'}")


def by_hand(files: Path, count: int, forbidden: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    vectors, others = (
        Points.of(np.array([row["vec"] for name in names for row in read(files / name)])).vectors
        for names in (["pool.jsonl"], ["task.jsonl", "other.jsonl"])
    )
    allowed = [row for row in range(117) if row not in forbidden]  # the last three are copies of the first
    return taken_by_hand(vectors, allowed, others, turns_of([5, 3]), count)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestInTurns:
    def test_rows_are_kept_in_the_order_of_the_turns(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, "20", toward=both(files))
        assert outcome.selection.rows.tolist() == by_hand(files, 20)
        told = outcome.measures["controls"]["toward"]
        assert [(one["name"], one["rows"], one["kept"]) for one in told] == [
            ("task.jsonl", 5, 10),
            ("other", 3, 10),
        ]
        assert outcome.manifest.start_rule == "sequence"

    def test_a_larger_selection_begins_with_a_smaller_one(self, files: Path, tmp_path: Path) -> None:
        whole = run(files, tmp_path, "100%", toward=both(files))
        assert whole.selection.rows.tolist()[:117] == by_hand(files, 117)  # and copies of vectors last
        saved = SavedPoolRequest(whole.folder, use_cache=False)
        slice_selection(saved, "30", str(tmp_path / "part.jsonl"))
        part = SelectionFolder.open(tmp_path / "part.evenly")
        assert part.picks.tolist() == by_hand(files, 30)
        assert failed(part.path) == []

    @pytest.mark.parametrize("engine", [{}, {"memory": "300MB"}], ids=str)
    def test_other_controls_pass_rows_over(self, files: Path, tmp_path: Path, engine: dict[str, Any]) -> None:
        outcome = run(
            files, tmp_path, "30", engine=engine, toward=both(files), dedup=0.02, quality="score", floor=2.0
        )
        low = {row for row, one in enumerate(read(files / "pool.jsonl")) if one["score"] < 2}
        order = by_hand(files, 117, low)
        places = [order.index(row) for row in outcome.selection.rows.tolist()]
        assert places == sorted(places)
        assert outcome.selection.radii[1:].min() >= 0.02
        assert len(places) == 30

    def test_quotas_budgets_and_rows_kept_first(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, None, toward=both(files), by="lang", quota="5")
        assert outcome.manifest.kept == 15
        run(files, tmp_path, "chars:400", toward=both(files))
        outcome = run(files, tmp_path, "20", toward=both(files), must=("gold=True",))
        gold = {row for row, one in enumerate(read(files / "pool.jsonl")) if one["gold"]}
        picked = [row for row in outcome.selection.rows.tolist() if row not in gold]
        assert picked == [row for row in by_hand(files, 60) if row not in gold][: len(picked)]
        outcome = run(files, tmp_path, "20", toward=both(files), anchors=str(files / "new.jsonl"))
        assert outcome.selection.rows.tolist() == by_hand(files, 20)

    def test_it_goes_on_over_new_rows(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, "10", toward=both(files))
        more = extend_selection(
            SavedPoolRequest(outcome.folder, use_cache=False),
            [str(files / "new.jsonl")],
            "20",
            str(tmp_path / "more.jsonl"),
        )
        assert more.outcome.selection.rows[:10].tolist() == by_hand(files, 10)
        assert failed(more.outcome.folder) == []


class TestInReach:
    def test_the_farthest_apart_of_the_rows_taken(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, "15", toward=both(files), toward_share="25%")
        reach = by_hand(files, 30)
        copies = {row - 117: row for row in (117, 118, 119)}  # of a row in reach
        allowed = sorted({*reach, *(copies[row] for row in reach if row in copies)})
        listed = pq.read_table(outcome.folder / "excluded.parquet")
        assert listed["row"].to_pylist() == [row for row in range(120) if row not in allowed]
        assert set(outcome.selection.rows.tolist()) <= set(reach)
        told = outcome.measures["controls"]["toward"]
        assert [one["reached"] for one in told] == [15, 15]
        assert sum(one["kept"] for one in told) == 15
        saved = SavedPoolRequest(outcome.folder, use_cache=False)
        slice_selection(saved, "7", str(tmp_path / "part.jsonl"))
        part = SelectionFolder.open(tmp_path / "part.evenly")
        assert part.picks.tolist() == outcome.selection.rows[:7].tolist()

    def test_every_strategy_and_control_works_on_what_is_in_reach(self, files: Path, tmp_path: Path) -> None:
        toward: dict[str, Any] = {"toward": both(files), "toward_share": "40%"}
        reach = {*by_hand(files, 48), 117, 118, 119}
        for options in ({"strategy": "kmeans"}, {"refine": True}, {"density": 0.5}, {"start": "random"}):
            outcome = run(files, tmp_path, "10", **toward, **options)
            assert set(outcome.selection.rows.tolist()) <= reach

    def test_without_keep_all_in_reach_are_kept(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, None, toward=both(files), toward_share="10%")
        assert sorted(outcome.selection.rows.tolist()) == sorted(by_hand(files, 12))


def test_a_forged_turn_is_named(files: Path, tmp_path: Path) -> None:
    """The rows kept, and so the file, are those of another example's turn: every pick is a row of the pool still."""
    outcome = run(files, tmp_path, "12", toward=both(files))
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    manifest["options"]["controls"]["toward"] = list(reversed(manifest["options"]["controls"]["toward"]))
    (outcome.folder / "manifest.json").write_text(json.dumps(manifest))
    assert any("toward, order: pick 1 is row" in line for line in failed(outcome.folder))


class TestAvoid:
    def test_several_files_each_with_its_line(self, files: Path, tmp_path: Path) -> None:
        outcome = run(files, tmp_path, "20", avoid=both(files), distance=0.05)
        told = outcome.measures["controls"]["avoid"]["files"]
        assert [(one["name"], one["rows"]) for one in told] == [("task.jsonl", 5), ("other", 3)]
        assert all(one["nearest_left"] > 0.05 for one in told)
        lines = [line for line in outcome.notes() if line.startswith("avoid ")]
        assert [line.split(":")[0] for line in lines] == ["avoid task.jsonl", "avoid other"]
        assert "pool.jsonl:" in lines[0]

    def test_one_file_given_as_a_text(self) -> None:
        assert Choice.of(avoid="a.jsonl", distance=0.1).options["avoid"] == ["a.jsonl"]


def test_files_are_told_by_their_names(tmp_path: Path) -> None:
    odd = tmp_path / "a=b.jsonl"
    odd.write_text("")
    assert named_files("toward", ["d/x.jsonl", "y=d/x.jsonl", str(odd)]) == {
        "x.jsonl": "d/x.jsonl",
        "y": "d/x.jsonl",
        "a=b.jsonl": str(odd),
    }
    with pytest.raises(InputError, match="give each a name"):
        named_files("toward", ["d/x.jsonl", "e/x.jsonl"])
    with pytest.raises(InputError, match="must read FILE or NAME=FILE"):
        named_files("toward", ["task="])
