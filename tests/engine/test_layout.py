"""The map: its forces against sums over all pairs, the neighbours it keeps, and what it promises of equal rows."""

from __future__ import annotations

import numpy as np
import pytest

from evenly.engine.layout import FEWEST_ROWS, NEIGHBOURS, _Pull, _Push, neighbour_layout, shared
from evenly.engine.plane import principal_places
from evenly.engine.points import Points


def pool(rows: int, seed: int = 0) -> np.ndarray:
    """Rows along fifty curves in 12 dimensions: neighbourhoods that no plane through them shows."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 50, rows)
    along = rng.uniform(0, 6, rows)
    bent = np.stack([np.cos(along), np.sin(along), along / 3], axis=1) @ rng.normal(size=(3, 12))
    return (rng.normal(size=(50, 12))[topic] + bent + 0.1 * rng.normal(size=(rows, 12))).astype(np.float32)


def true_neighbours(rows: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    gaps = np.linalg.norm(rows[:, None].astype(np.float64) - rows[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return np.argsort(gaps, axis=1, kind="stable")[:, :count]


def kernel(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    away = places[:, None].astype(np.float64) - places[None]
    near = 1 / (1 + (away**2).sum(axis=2))
    return away, near


@pytest.mark.parametrize(("width", "error"), [(1.0, 0.02), (20.0, 0.15), (120.0, 0.15)])
def test_the_push_is_that_of_all_rows_on_all(width: float, error: float) -> None:
    """Where rows are few, most of all push is within one cell, which the grid sees least sharply."""
    places = (np.random.default_rng(0).normal(size=(400, 2)) * width).astype(np.float32)
    away, near = kernel(places)
    np.fill_diagonal(near, 0)
    expected = (near[:, :, None] ** 2 * away).sum(axis=1) / near.sum()
    found = _Push().forces(places)
    assert np.linalg.norm(found - expected) < error * np.linalg.norm(expected)


def test_the_pull_is_that_of_the_neighbours_both_ways() -> None:
    rng = np.random.default_rng(1)
    neighbours = true_neighbours(pool(60), 5)
    places = rng.normal(size=(60, 2)).astype(np.float32)
    weight = np.zeros((60, 60))
    np.add.at(weight, (np.repeat(np.arange(60), 5), neighbours.ravel()), 1)
    weight += weight.T
    away, near = kernel(places)
    expected = ((weight / weight.sum() * near)[:, :, None] * away).sum(axis=1)
    assert np.allclose(_Pull(neighbours).forces(places), expected, atol=1e-7)


def test_near_rows_lie_near_one_another_and_every_run_gives_the_same_map() -> None:
    rows = pool(1500)
    points = Points.of(rows, "euclidean")
    found = neighbour_layout(points)
    assert found is not None
    assert found.laid_out == 1500
    nearest = true_neighbours(rows)
    on_map = true_neighbours(found.places)
    kept = np.mean([len(np.intersect1d(*pair)) for pair in zip(nearest, on_map, strict=True)]) / NEIGHBOURS
    assert found.shared == pytest.approx(kept, abs=1e-3)
    assert kept > 0.6
    assert kept > 2 * shared(nearest, principal_places(points.vectors))
    again = neighbour_layout(Points.of(rows, "euclidean"))
    assert again is not None
    assert np.array_equal(again.places, found.places)


def test_equal_rows_lie_on_one_place() -> None:
    rows = pool(150)
    points = Points.of(np.concatenate([rows, rows[:40]]))
    found = neighbour_layout(points)
    assert found is not None
    assert np.array_equal(found.places[150:], found.places[:40])


def test_rows_beyond_a_sample_lie_beside_their_nearest_ones() -> None:
    rows = pool(600)
    rows[1::2] = rows[::2] + np.float32(1e-4)
    rows[3] = rows[2]
    sample = np.arange(0, 600, 2)
    found = neighbour_layout(Points.of(rows, "euclidean"), sample)
    assert found is not None
    assert found.laid_out == 300
    assert np.isfinite(found.places).all()
    apart = np.linalg.norm(found.places[1::2] - found.places[::2], axis=1)
    assert np.median(apart) < 0.01 * np.ptp(found.places)
    assert np.linalg.norm(found.places[3] - found.places[2]) < 0.01 * np.ptp(found.places)


def test_a_pool_without_neighbourhoods_has_no_layout() -> None:
    few = pool(FEWEST_ROWS - 1)
    assert neighbour_layout(Points.of(few)) is None
    assert neighbour_layout(Points.of(np.tile(few, (5, 1)))) is None
    assert neighbour_layout(Points.of(pool(FEWEST_ROWS))) is not None
