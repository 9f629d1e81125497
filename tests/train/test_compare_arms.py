"""Test parts and arms on vectors alone: what the comparison's fairness rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.jobs.arms import ArmMaker, nearest_cosine_distance, set_tests_aside
from evenly.train.curves import EVEN_TEST, RANDOM_TEST


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """600 rows: three blobs of very different size, and 60 near-copies of other rows."""
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(size=(3, 16)), [400, 120, 20], axis=0)
    rows = centres + 0.4 * random.normal(size=(540, 16))
    copies = rows[random.permutation(540)[:60]] + 1e-3
    return random.permutation(np.concatenate([rows, copies])).astype(np.float32)


@pytest.fixture(scope="module")
def maker(vectors: np.ndarray) -> ArmMaker:
    random = np.random.default_rng(1)
    tests = set_tests_aside(Points.of(vectors), 20, 0.01)
    count = len(tests.candidates)
    return ArmMaker(
        tests.candidates,
        Points.of(vectors[tests.candidates]),
        random.normal(3, 1, count),
        random.integers(1, 50, count),
        150,
        2.0,
    )


def test_no_test_row_or_near_copy_is_in_any_arm(vectors: np.ndarray) -> None:
    tests = set_tests_aside(Points.of(vectors), 20, 0.01)
    held = np.concatenate(list(tests.parts.values()))
    assert len(np.unique(held)) == 40
    assert len(tests.left_out) > 0
    assert nearest_cosine_distance(vectors[tests.candidates], vectors[held]).min() > 0.01
    everything = np.concatenate([held, tests.left_out, tests.candidates])
    np.testing.assert_array_equal(np.sort(everything), np.arange(len(vectors)))


def test_even_test_is_more_even_than_the_random_one(vectors: np.ndarray) -> None:
    parts = set_tests_aside(Points.of(vectors), 20, 0.01).parts

    def closest(rows: np.ndarray) -> float:
        unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
        distance = 1 - unit @ unit.T
        return float(distance[np.triu_indices(len(rows), 1)].min())

    assert closest(parts[EVEN_TEST]) > closest(parts[RANDOM_TEST])


def test_arms_have_their_rows(maker: ArmMaker) -> None:
    arms = {
        (arm.name, arm.seed): arm
        for arm in maker.make(("full", "random", "uniform", "clumped", "matched"), 2)
    }
    allowed = set(maker.candidates.tolist())
    for (name, _), arm in arms.items():
        assert set(arm.rows.tolist()) <= allowed
        assert len(arm.rows) == (len(allowed) if name == "full" else 150)
        assert (arm.cost_seconds >= 2.0) == (name in ("uniform", "clumped"))
    for name in ("random", "uniform", "clumped", "matched"):
        assert set(arms[name, 0].rows) != set(arms[name, 1].rows)
    again = maker.make(("random", "uniform"), 1)
    np.testing.assert_array_equal(again[0].rows, arms["random", 0].rows)
    np.testing.assert_array_equal(again[1].rows, arms["uniform", 0].rows)


@pytest.fixture(scope="module")
def uneven(maker: ArmMaker) -> ArmMaker:
    """Loss and length that go with the rows: lonely ones are longer and harder."""
    unit = maker.points.vectors / np.linalg.norm(maker.points.vectors, axis=1, keepdims=True)
    loneliness = np.sort(1 - unit @ unit.T, axis=1)[:, 5]
    tokens = (1 + 90 * loneliness).astype(np.int64)
    return ArmMaker(maker.candidates, maker.points, loneliness, tokens, 100, 0.0)


def distances_from_uniform(maker: ArmMaker, measure: np.ndarray, name: str) -> float:
    arms = {arm.name: arm.rows for arm in maker.make(("uniform", name), 1)}
    means = {each: measure[np.searchsorted(maker.candidates, rows)].mean() for each, rows in arms.items()}
    return float(abs(means[name] - means["uniform"]))


def test_matched_arm_has_the_loss_and_length_of_the_uniform_one(uneven: ArmMaker) -> None:
    for measure in (uneven.row_loss, uneven.response_tokens):
        matched, random = (distances_from_uniform(uneven, measure, name) for name in ("matched", "random"))
        assert matched < 0.3 * random


def test_with_match_length_every_arm_has_the_lengths_of_the_pool(uneven: ArmMaker) -> None:
    alike = replace(uneven, match_length=True)
    kinds = ("random", "uniform", "clumped", "matched")
    borders = np.quantile(uneven.response_tokens, np.linspace(0, 1, 11)[1:-1])
    tenth = np.searchsorted(borders, uneven.response_tokens, side="right")
    expected = np.bincount(tenth, minlength=10) * 100 / len(tenth)
    for arm in alike.make(kinds, 2):
        found = np.bincount(tenth[np.searchsorted(uneven.candidates, arm.rows)], minlength=10)
        assert np.abs(found - expected).max() < 1.0
        assert len(np.unique(arm.rows)) == 100
    free = {arm.name: arm.rows for arm in uneven.make(kinds, 1)}
    assert set(free["uniform"]) != set(alike.make(("uniform",), 1)[0].rows)


def test_clumped_arm_is_less_even_than_a_random_one(maker: ArmMaker) -> None:
    def median_nearest(rows: np.ndarray) -> float:
        chosen = maker.points.vectors[np.searchsorted(maker.candidates, rows)]
        unit = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
        distance = 1 - unit @ unit.T + 2 * np.eye(len(rows))
        return float(np.median(distance.min(axis=1)))

    arms = {arm.name: arm.rows for arm in maker.make(("random", "uniform", "clumped"), 1)}
    assert median_nearest(arms["clumped"]) < median_nearest(arms["random"]) < median_nearest(arms["uniform"])


def test_what_cannot_be_made_is_one_line(maker: ArmMaker, vectors: np.ndarray) -> None:
    with pytest.raises(InputError, match="too small for tests of 200 rows; `test` may be 60 at most"):
        set_tests_aside(Points.of(vectors), 200, 0.01)
    with pytest.raises(InputError, match="lower `near_copy`"):
        set_tests_aside(Points.of(vectors), 20, 3.0)


def test_rows_of_the_dedup_arm_lie_apart_while_there_are_such_rows(maker: ArmMaker) -> None:
    arm = replace(maker, near_copy=1e-4).make(("dedup",), 1)[0]
    chosen = maker.points.vectors[np.searchsorted(maker.candidates, arm.rows)]
    nearest = 1 - chosen @ chosen.T + 2 * np.eye(len(chosen))
    assert len(arm.rows) == 150
    assert nearest.min() >= 1e-4 - 1e-6
    random = maker.make(("random",), 1)[0]
    assert len(np.intersect1d(arm.rows, random.rows)) > 75
