"""Normalised measures and diversity scores: known answers, and the definition where there is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evenly.measures import measure
from evenly.measures.diversity import PoolClusters, entropy_bits, squared_distances_to_all, vendi_score
from evenly.measures.normalised import log_expected_h_min, log_unit_ball_volume
from tests.measures.oracle import all_distances, all_squared, as_rows, hard_pools, prepared

POOLS = hard_pools()


def test_volume_of_the_unit_ball() -> None:
    for dimension, volume in ((1, 2.0), (2, math.pi), (3, 4 / 3 * math.pi)):
        assert math.exp(log_unit_ball_volume(dimension)) == pytest.approx(volume)


def test_the_sharp_law_holds_on_a_torus() -> None:
    """Mean h_min of uniform rows of a unit torus, where the integral of pi^2 is 1, over 400 draws."""
    random = np.random.default_rng(0)
    count, dimension, draws = 40, 2, 400
    h_min = []
    for _ in range(draws):
        rows = random.uniform(size=(count, dimension))
        gap = np.abs(rows[:, None] - rows)
        gap = np.minimum(gap, 1 - gap)
        h_min.append(np.sqrt((gap**2).sum(-1))[np.triu_indices(count, 1)].min())
    expected = math.exp(log_expected_h_min(count, dimension, 0.0))
    # The standard deviation of one h_min is 0.52 of its mean: 4 standard errors are 0.105.
    assert np.mean(h_min) == pytest.approx(expected, rel=0.105)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_uniform_rows_have_their_dimension_and_ratios_near_one(dimension: int) -> None:
    flat = np.random.default_rng(dimension).uniform(size=(2500, dimension))
    turned = flat @ np.linalg.qr(np.random.default_rng(9).normal(size=(12, dimension)))[0].T + 3
    found = measure(turned, metric="euclidean", diversity=False, random_draws=0).normalised
    for estimate in (found.dimension_two_nn, found.dimension_likelihood):
        assert estimate is not None
        assert estimate.value == pytest.approx(dimension, rel=0.15)
        assert estimate.low < estimate.value < estimate.high
    assert found.spread == pytest.approx(math.sqrt(dimension / 12), rel=0.03)
    # Per dimension the estimate of the density is that of 1 on the cube, up to edges.
    assert found.log_effective_density is not None
    assert abs(found.log_effective_density) / dimension < 0.2
    assert found.clark_evans == pytest.approx(1.0, abs=0.15)
    assert found.h_min_to_density is not None
    assert 0 <= found.h_min_to_density < 4


def test_ratios_do_not_depend_on_size_or_scale() -> None:
    random = np.random.default_rng(3)
    ratios = []
    for count, scale in ((500, 1.0), (2000, 1000.0)):
        rows = random.uniform(size=(count, 3)) * scale
        found = measure(rows, metric="euclidean", diversity=False, random_draws=0).normalised
        ratios.append((found.clark_evans, found.fill_to_ball))
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=0.2)


def test_dimension_is_that_of_the_pool_for_an_even_set() -> None:
    from evenly.engine.greedy import select

    rows = np.random.default_rng(5).uniform(size=(1500, 2))
    selection = select(rows, 200, metric="euclidean")
    even = measure(rows, selection.rows, metric="euclidean", diversity=False, random_draws=0).normalised
    whole = measure(rows, metric="euclidean", diversity=False, random_draws=0).normalised
    assert even.dimension_two_nn == whole.dimension_two_nn
    assert even.clark_evans is not None
    assert even.clark_evans > 1.5
    assert even.h_min_to_uniform is not None
    assert even.h_min_to_uniform > 10


def test_vendi_score_of_known_sets_and_both_forms() -> None:
    assert vendi_score(as_rows(np.eye(8))) == pytest.approx(8.0)
    assert vendi_score(as_rows(np.repeat(np.eye(4), 5, axis=0) * 3)) == pytest.approx(4.0)
    assert vendi_score(as_rows(np.zeros((3, 3)))) is None
    rows = as_rows(POOLS["plain"])  # 300 x 70: by the dual
    unit = prepared(POOLS["plain"], "cosine")
    shares = np.clip(np.linalg.eigvalsh(unit @ unit.T / len(unit)), 1e-300, None)
    assert vendi_score(rows) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


@pytest.mark.parametrize("name", ["plain", "tight clusters", "far from the origin", "copies"])
def test_squared_distances_to_all_are_the_definition(name: str) -> None:
    rows = as_rows(POOLS[name])
    at = np.arange(0, len(rows), 7)
    wide = rows.double().numpy()
    found = squared_distances_to_all(rows, at).numpy()
    np.testing.assert_allclose(found, all_squared(wide[at], wide), rtol=1e-8)
    assert (found[np.arange(len(at)), at] == 0).all()


def test_energy_uniformity_and_novelsum_are_the_definition() -> None:
    vectors = POOLS["plain"]
    rows = np.arange(0, 300, 3)
    found = measure(vectors, rows, random_draws=0).diversity
    assert found is not None
    distance = all_distances(vectors, "cosine")
    within = 2 * distance[np.ix_(rows, rows)]
    pairs = within[np.triu_indices(len(rows), 1)]
    assert found.riesz_energy == pytest.approx((1 / pairs).mean())
    assert found.uniformity == pytest.approx(math.log(np.exp(-2 * pairs).mean()))
    assert found.riesz_energy_error == found.uniformity_error == found.novelsum_error == 0.0

    weights = 1 / np.arange(1, len(rows) + 1)
    novelty = np.sort(distance[np.ix_(rows, rows)], axis=1) @ weights / weights.sum()
    near = np.sort(2 * distance[rows], axis=1)[:, 1:11].mean(axis=1)
    assert found.novelsum == pytest.approx((novelty / np.sqrt(near + 1e-9)).mean())


def test_sums_over_some_rows_are_within_their_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = POOLS["two blocks"]
    whole = measure(vectors, random_draws=0).diversity
    monkeypatch.setattr("evenly.measures.diversity.PAIRS", 300_000)
    part = measure(vectors, random_draws=0).diversity
    assert whole is not None
    assert part is not None
    assert (whole.pair_rows, part.pair_rows) == (1100, 272)
    for name in ("riesz_energy", "uniformity", "novelsum"):
        assert abs(getattr(whole, name) - getattr(part, name)) < 4 * getattr(part, f"{name}_error")


def test_cluster_entropy() -> None:
    assert entropy_bits(np.repeat(np.arange(8), 3)) == pytest.approx(3.0)
    assert entropy_bits(np.zeros(5, dtype=np.int64)) == 0.0
    pool = as_rows(
        np.repeat(np.eye(40) * 10, 6, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(240, 40))
    )
    clusters = PoolClusters(pool, seed=0)
    assert clusters.count == 100
    assert torch.equal(
        torch.from_numpy(clusters.members(pool)), torch.cdist(pool, clusters.centres).argmin(1)
    )
    assert 4.0 < entropy_bits(clusters.members(pool)) <= math.log2(100)
