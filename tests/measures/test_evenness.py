"""measures.json: sampled rows have the distances that all rows have; mapped vectors give what arrays give."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evenly.engine.copies import first_equal_rows
from evenly.engine.greedy import select
from evenly.engine.points import Points
from evenly.measures import certificate, verify_bound
from evenly.measures.evenness import evenness, measured
from evenly.measures.exact import nearest_within
from evenly.measures.measure import measured_points
from evenly.measures.random_sets import Draws, random_subsets, sample_of
from evenly.measures.result import plain
from evenly.measures.sets import RowSet
from tests.measures.oracle import all_distances, hard_pools

POOLS = hard_pools()
SAMPLED = 40


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pool counts as too large to be measured row by row."""
    monkeypatch.setattr("evenly.measures.evenness.MOST_PAIRS", 1)
    monkeypatch.setattr("evenly.measures.evenness.SAMPLED_ROWS", SAMPLED)
    monkeypatch.setattr("evenly.measures.random_sets.SAMPLED_ROWS", SAMPLED)


@pytest.mark.parametrize("name", ["plain", "copies", "grid with ties", "tight clusters"])
def test_some_rows_have_the_neighbours_they_have_among_all(name: str) -> None:
    vectors = POOLS[name]
    chosen = RowSet.of_vectors(vectors, "euclidean", np.arange(0, len(vectors), 2))
    other, squared = nearest_within(chosen)
    at = np.array([0, 3, 4, 50, 99, len(chosen.rows) - 1])
    some_other, some_squared = nearest_within(chosen, at=at)
    np.testing.assert_array_equal(some_other, other[at])
    np.testing.assert_array_equal(some_squared, squared[at])


@pytest.mark.parametrize("name", ["plain", "copies", "two dimensions"])
def test_sampled_draws_are_exact_for_the_rows_sampled(name: str, small_sample: None) -> None:
    distance = all_distances(POOLS[name], "euclidean")
    chosen = RowSet.of_vectors(POOLS[name], "euclidean", np.arange(len(distance) // 2))
    subsets = Draws(chosen, seed=3)
    (drawn,) = random_subsets(chosen, 1, 3)
    within, fill = subsets.nearest(drawn)
    of_drawn = distance[np.ix_(drawn, drawn)]
    np.fill_diagonal(of_drawn, np.inf)
    sample = sample_of(len(drawn), 3, 2)
    assert len(sample) == SAMPLED
    np.testing.assert_allclose(within, of_drawn.min(axis=1)[sample], rtol=1e-11)
    everyone = chosen.points.distinct[sample_of(len(chosen.points.distinct), 3, 3)]
    np.testing.assert_allclose(fill, distance[np.ix_(everyone, drawn)].min(axis=1).max(), rtol=1e-11)


def test_a_large_pool_is_sampled_and_says_so(small_sample: None, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = select(POOLS["plain"], 100, metric="euclidean")
    points = Points.of(POOLS["plain"], "euclidean")
    sampled = evenness(points, selection)
    monkeypatch.undo()
    every = evenness(points, selection)
    assert sampled["sampled_rows"] == SAMPLED
    assert "sampled_rows" not in every
    for exact in ("h_min", "fill", "mesh_ratio", "copies", "rows"):
        assert sampled["kept"][exact] == every["kept"][exact]
    assert sampled["kept"]["closest_pairs"][0] == every["kept"]["closest_pairs"][0]
    assert sampled["pool"]["h_min"] >= every["pool"]["h_min"]
    assert sum(sampled["pool"]["nearest"]["counts"]) == SAMPLED
    assert sum(sampled["kept"]["nearest"]["counts"]) == SAMPLED
    for of_sample, of_all in zip(
        sampled["random"]["fill"]["values"], every["random"]["fill"]["values"], strict=True
    ):
        assert of_sample <= of_all
    assert sampled["random"]["h_min"]["median"] >= every["random"]["h_min"]["median"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_mapped_vectors_give_what_arrays_give(metric: str, tmp_path: Path) -> None:
    vectors = POOLS["copies"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors)
    selection = select(vectors, 90, metric=metric)
    mapped = Points.of(np.load(tmp_path / "vectors.npy", mmap_mode="r"), metric)
    found, proof = measured(mapped, selection)
    in_memory, same_proof = measured(Points.of(vectors, metric), selection)
    assert found == in_memory
    np.testing.assert_array_equal(proof.parts, same_proof.parts)


def test_parts_too_large_to_measure_keep_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = POOLS["plain"]
    points = Points.of(vectors, "euclidean")
    selection = select(vectors, 12, metric="euclidean")
    exact = certificate(points, selection.rows, rounds=0)
    for most_pairs in (1, 3000):
        monkeypatch.setattr(sys.modules[certificate.__module__], "MOST_PAIRS", most_pairs)
        found = certificate(points, selection.rows, rounds=0)
        assert exact.upper_bound <= found.upper_bound <= found.radius_bound
        checks = verify_bound(vectors, found.parts, 12, found.upper_bound, metric="euclidean")
        assert [check.passed for check in checks] == [True, True]


@pytest.mark.parametrize("name", ["plain", "copies"])
def test_select_and_measure_agree(name: str) -> None:
    points = Points.of(POOLS[name], "euclidean")
    selection = select(POOLS[name], 100, metric="euclidean")
    saved = evenness(points, selection, draws=3, seed=4)
    asked = measured_points(points, selection.rows, random_draws=3, seed=4)
    assert asked.random is not None
    for quantity in ("h_min", "mean_nearest", "fill"):
        assert saved["random"][quantity]["values"] == list(asked.random.standings[quantity].random)
    for quantity in ("h_min", "fill", "mesh_ratio", "copies"):
        assert saved["kept"][quantity] == getattr(asked.exact, quantity)
    whole = measured_points(points, random_draws=0).exact
    assert (saved["pool"]["h_min"], saved["pool"]["copies"]) == (whole.h_min, whole.copies)
    assert saved["pool"]["closest_pairs"] == [plain(pair) for pair in whole.closest[:10]]


def test_rows_with_equal_sums_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWeights:
        def integers(self, *_: object, size: int, **__: object) -> np.ndarray:
            return np.ones(size, dtype=np.uint64)

    monkeypatch.setattr(np.random, "default_rng", lambda *_: NoWeights())
    rows = np.array([[1, 2], [2, 1], [0, 5], [2, 1], [1, 2], [-0.0, 5], [1, 1]], dtype=np.float32)
    assert first_equal_rows(rows).tolist() == [0, 1, 2, 1, 0, 2, 6]


def test_coded_rows_are_views() -> None:
    points = Points.of(POOLS["plain"].astype(np.float32), "euclidean")
    assert points.coded_of(np.array([1, 2, 5])).rows is points.coded.rows


def test_a_table_that_goes_to_a_file_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evenly.cli.select import _select_all

    row = [f"{name:>16}" for name in "abcdefghijkl"]
    monkeypatch.setattr("evenly.jobs.strategies.select_all", lambda *_: SimpleNamespace(missing={}))
    monkeypatch.setattr("evenly.jobs.strategies.arm_rows", lambda _: [row, row])
    _select_all(SimpleNamespace(out="arms/"), json_output=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [list("abcdefghijkl")] * 2


def test_the_knee_is_of_the_whole_order_or_none() -> None:
    vectors = np.random.default_rng(4).standard_normal((90, 6)).astype(np.float32)
    points = Points.of(vectors, "euclidean")
    for keep in (5, 30, 89):
        assert evenness(points, select(vectors, keep, metric="euclidean"), draws=0)["knee"] is None
    assert 1 <= evenness(points, select(vectors, 90, metric="euclidean"), draws=0)["knee"] <= 90
    copies = np.concatenate([vectors, vectors[:30]])
    exhausted = select(copies, len(copies), metric="euclidean")
    assert evenness(Points.of(copies, "euclidean"), exhausted, draws=0)["knee"] is not None
