"""Utility and distance in one number: against all sets of small pools, and from files to record and back."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evenly.controls.choice import Choice
from evenly.engine.gist import CLOSE, Sweep, gist, upper_bound
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.engine.invariants import relaxed
from tests.jobs.files import records, write_lines


def value(rows: np.ndarray, scores: np.ndarray, chosen: Any, count: int, trade: float) -> float:
    pairs = itertools.combinations(chosen, 2)
    apart = min(math.dist(rows[one].tolist(), rows[other].tolist()) for one, other in pairs)
    return float(sum(scores[list(chosen)])) / count + trade * apart


def best_of_all(rows: np.ndarray, scores: np.ndarray, count: int, trade: float) -> float:
    sizes = range(2, min(count, len(rows)) + 1)
    sets = itertools.chain.from_iterable(itertools.combinations(range(len(rows)), size) for size in sizes)
    return max(value(rows, scores, chosen, count, trade) for chosen in sets)


def bound_of(sweep: Sweep, trade: float) -> float:
    tried = [one for one in sweep.tried if math.isfinite(one.threshold)]
    return upper_bound(
        [one.threshold for one in tried], [one.utility for one in tried], sweep.diameter, trade
    )


def greedy_at(rows: np.ndarray, scores: np.ndarray, count: int, threshold: float) -> list[int]:
    """The definition: by falling score, the lowest row among equals, those far enough from all kept."""
    kept: list[int] = []
    for row in sorted(range(len(rows)), key=lambda row: (-scores[row], row)):
        far = all(math.dist(rows[row].tolist(), rows[other].tolist()) >= threshold for other in kept)
        if far and len(kept) < count:
            kept.append(row)
    return kept


@st.composite
def small_pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number, width = draw(st.integers(2, 9)), draw(st.integers(1, 4))
    rows = rng.standard_normal((number, width)) * draw(st.sampled_from([1.0, 1e-6, 1e6]))
    if draw(st.booleans()):
        rows = rows[rng.integers(0, min(3, number), number)] + rows * 0.01
    rows = np.unique(rows.astype(np.float32), axis=0)
    scores = rng.random(len(rows)) if draw(st.booleans()) else rng.integers(0, 3, len(rows)).astype(float)
    return rows, scores


class TestAgainstAllSets:
    @relaxed
    @given(
        pool=small_pools(), count=st.integers(2, 6), size=st.sampled_from([0.0, 0.01, 0.3, 1.0, 3.0, 100.0])
    )
    def test_two_thirds_of_the_best_and_a_bound_that_holds(
        self, pool: tuple[np.ndarray, np.ndarray], count: int, size: float
    ) -> None:
        rows, scores = pool
        assume(len(rows) > 1)
        spread = max(math.dist(one, other) for one, other in itertools.combinations(rows.tolist(), 2))
        trade = size / spread
        sweep = gist(Points(rows, "euclidean"), np.arange(len(rows)), scores, count, trade)
        best = best_of_all(rows, scores, count, trade)
        found = sweep.best.value(trade)
        assert found == pytest.approx(value(rows, scores, sweep.best.rows.tolist(), count, trade), rel=1e-6)
        assert found <= best * (1 + 1e-6)
        assert best <= bound_of(sweep, trade) * (1 + 1e-6)
        if sweep.tried[-1].distance == pytest.approx(spread):  # the pair is the farthest, as nearly always
            assert found >= best * 2 / 3 / CLOSE - 1e-9
        assert found >= best / 3

    @relaxed
    @given(pool=small_pools(), count=st.integers(2, 6))
    def test_each_threshold_keeps_by_falling_score(
        self, pool: tuple[np.ndarray, np.ndarray], count: int
    ) -> None:
        rows, scores = pool
        assume(len(rows) > 1)
        sweep = gist(Points(rows, "euclidean"), np.arange(len(rows)), scores, count, 0.5)
        for one in sweep.tried[:-1]:
            assert one.rows.tolist() == greedy_at(rows, scores, count, one.threshold)


def clustered(number: int, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((40, width))
    rows = centres[rng.integers(0, 40, number)] + 0.4 * rng.standard_normal((number, width))
    return rows.astype(np.float32), rng.random(number)


class TestSweep:
    @pytest.mark.parametrize("trade", [0.0, 0.05, 0.3, 1.0, 5.0])
    @pytest.mark.parametrize(("number", "count"), [(4000, 100), (4000, 2000), (3000, 2900)])
    def test_at_most_four_times_the_distances_of_one_selection(
        self, number: int, count: int, trade: float
    ) -> None:
        rows, scores = clustered(number)
        sweep = gist(Points.of(rows), np.arange(number), scores, count, trade)
        assert sweep.work <= 4 * number * count
        share = sweep.best.value(trade) / bound_of(sweep, trade)
        assert share >= 0.5

    def test_rows_in_mapped_files(self, tmp_path: Path) -> None:
        rows, scores = clustered(3000)
        np.save(tmp_path / "rows.npy", Points.of(rows).vectors)
        mapped = Points(
            np.load(tmp_path / "rows.npy", mmap_mode="r"), "cosine", Backend(tmp_path, 280_000_000)
        )
        found = [gist(points, np.arange(3000), scores, 150, 0.5) for points in (Points.of(rows), mapped)]
        assert found[0].best.rows.tolist() == found[1].best.rows.tolist()
        assert found[0].best.distance == found[1].best.distance


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = records(150, 0)
    for row, score in zip(rows, np.random.default_rng(0).random(150), strict=True):
        row["worth"] = float(score)
    return write_lines(tmp_path_factory.mktemp("files") / "pool.jsonl", rows)


def run(pool: Path, out: Path, trade: float, keep: str = "20", **options: Any) -> Recorded:
    reading = {name: options.pop(name) for name in ("metric", "memory") if name in options}
    outcome = select_sources(
        SelectRequest(
            PoolRequest([str(pool)], encoder="column:vec", use_cache=False, **reading),
            Choice.of(keep=keep, quality="worth", objective="gist", lambda_=trade, **options),
            str(out / "kept.jsonl"),
            random_draws=0,
        )
    )
    assert failed(outcome.folder) == []
    return outcome


def failed(folder: Path) -> list[str]:
    found = verify_folder(SavedPoolRequest(folder, use_cache=False))
    return [str(check) for check in found.checks if not check.passed]


class TestFromFiles:
    @pytest.mark.parametrize(
        "options", [{}, {"metric": "euclidean"}, {"memory": "300MB"}, {"guard": "10%"}], ids=str
    )
    def test_the_record_says_what_the_rows_are_worth(
        self, pool: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        trade = 0.1
        outcome = run(pool, tmp_path, trade, **options)
        claim, kept = outcome.measures["controls"]["gist"], outcome.selection.rows
        rows = np.array([json.loads(line)["vec"] for line in pool.read_text().splitlines()], dtype=np.float32)
        scores = np.array([json.loads(line)["worth"] for line in pool.read_text().splitlines()])
        if options.get("metric") != "euclidean":
            rows = Points.of(rows).vectors
        assert claim["value"] == pytest.approx(value(rows, scores, kept.tolist(), 20, trade), rel=1e-6)
        assert (claim["kept"], claim["asked"], len(kept)) == (20, 20, 20)
        assert 0.5 < claim["share_of_best"] <= 1
        assert claim["selections_of_work"] <= 4 or claim["selections_of_work"] * 150 * 20 <= 2**21
        assert any("proven at least" in line for line in outcome.notes())

    def test_fewer_rows_than_asked_are_said_with_the_lambda_that_keeps_all(
        self, pool: Path, tmp_path: Path
    ) -> None:
        outcome = run(pool, tmp_path, 100.0)
        claim = outcome.measures["controls"]["gist"]
        assert len(outcome.selection.rows) == claim["kept"] == 2
        limit = claim["largest_lambda_for_all"]
        assert any(
            "only 2 rows of 20 kept" in line and f"below {limit:.4g}" in line for line in outcome.notes()
        )
        assert len(run(pool, tmp_path, 0.99 * limit).selection.rows) == 20

    def test_lambda_0_keeps_the_best_scores_and_one_row_is_the_best(self, pool: Path, tmp_path: Path) -> None:
        scores = [json.loads(line)["worth"] for line in pool.read_text().splitlines()][
            :147
        ]  # the rest are copies
        best = sorted(range(147), key=lambda row: -scores[row])
        assert run(pool, tmp_path, 0.0, keep="5").selection.rows.tolist() == best[:5]
        assert run(pool, tmp_path, 1.0, keep="1").selection.rows.tolist() == best[:1]

    @pytest.mark.parametrize(
        ("name", "change", "fails"),
        [
            ("value", 1.01, ["gist, value"]),
            ("upper_bound", 0.7, ["gist, bound"]),
            ("share_of_best", 1.5, ["gist, bound"]),
        ],
    )
    def test_a_claim_that_does_not_hold_is_named(
        self, pool: Path, tmp_path: Path, name: str, change: float, fails: list[str]
    ) -> None:
        outcome = run(pool, tmp_path, 0.3)
        path = outcome.folder / "measures.json"
        measures = json.loads(path.read_text())
        measures["controls"]["gist"][name] *= change
        path.write_text(json.dumps(measures))
        found = verify_folder(SavedPoolRequest(outcome.folder, use_cache=False))
        assert [one.name for one in found.checks if not one.passed] == ["measures.json", *fails]

    def test_it_is_no_order_to_cut(self, pool: Path, tmp_path: Path) -> None:
        saved = SavedPoolRequest(run(pool, tmp_path, 0.3).folder, use_cache=False)
        with pytest.raises(InputError, match="`objective` depends on the size kept"):
            slice_selection(saved, "5", str(tmp_path / "part.jsonl"))
