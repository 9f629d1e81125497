"""Point sets, labels, and what their geometry says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from evenly.errors import InputError
from evenly.lab import designs, geometry, labels
from evenly.lab.experiments import law


def test_near_copies_lie_at_their_distance_and_nothing_else_is_close() -> None:
    points = designs.near_copies(designs.generator(0), 20, 4, pairs=3, distance=0.01)
    assert points.shape == (20, 4)
    gaps = np.linalg.norm(points[0:6:2] - points[1:6:2], axis=1)
    assert gaps == pytest.approx([0.01] * 3)
    assert geometry.separation(np.delete(points, [1, 3, 5], axis=0)) > 0.2


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: designs.uniform(random, 33, 3),
        lambda random: designs.biased(random, 33, 3, 4.0),
        lambda random: designs.clusters(random, 33, 3, 4, 0.5),
        lambda random: designs.sobol(random, 33, 3),
    ],
)
def test_designs_lie_in_the_cube_and_repeat(draw) -> None:  # type: ignore[no-untyped-def]
    points = draw(designs.generator(1, 2))
    assert points.shape == (33, 3)
    assert np.abs(points).max() <= 1.0
    assert np.array_equal(points, draw(designs.generator(1, 2)))


def test_corner_lattice_and_one_duplicate_fool_h_min() -> None:
    lattice = designs.corner_lattice(9, 2, side=0.8)
    assert geometry.separation(lattice) == pytest.approx(0.4)
    assert lattice.max() == pytest.approx(-0.2)
    even = designs.max_min(designs.uniform(designs.generator(0), 200, 2), 20)
    points = designs.uniform(designs.generator(0), 200, 2)[even]
    assert geometry.separation(designs.one_duplicate(points, 1e-3)) == pytest.approx(1e-3)


def test_clumped_half_is_distinct_and_closer_than_random() -> None:
    random = designs.generator(5)
    pool = designs.uniform(random, 80, 3)
    rows = designs.clumped(random, pool, 40)
    assert len(np.unique(rows)) == 40
    nearest = geometry.nearest_distances(pool[rows]).mean()
    assert nearest < geometry.nearest_distances(pool[designs.max_min(pool, 40)]).mean()


def test_label_models_and_their_roughness() -> None:
    points = designs.uniform(designs.generator(0), 400, 2)
    rough = {}
    for model in labels.LABEL_MODELS:
        drawn = labels.draw_labels(model, designs.generator(1), points)
        assert drawn.values.mean() == pytest.approx(0.0, abs=1e-12)
        assert drawn.values.std() == pytest.approx(1.0)
        rough[model] = labels.roughness(points, drawn.values)
    assert rough["smooth"] < 0.05 < 0.35 < rough["mixed"] < rough["independent"]
    assert rough["independent"] == pytest.approx(1.0, abs=0.2)
    drawn = labels.draw_labels("smooth", designs.generator(1), points)
    assert drawn.clean(points) == pytest.approx(drawn.values)
    with pytest.raises(InputError, match="label model 'noisy' is not known"):
        labels.draw_labels("noisy", designs.generator(0), points)


def test_riesz_energy_and_kernel_spectrum() -> None:
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert geometry.riesz_energy(square) == pytest.approx((4 * 1 + 2 * 2) / 6 * (4 * 1 + 2 * 0.5) / 6)
    assert geometry.riesz_energy(7 * square) == pytest.approx(geometry.riesz_energy(square))
    assert geometry.riesz_energy(square[[0, 0, 1]]) == np.inf
    eigenvalues = geometry.kernel_eigenvalues(square)
    assert eigenvalues.mean() == pytest.approx(1.0)
    assert (np.diff(eigenvalues) <= 1e-12).all()


def test_spectral_time_is_that_of_one_exponential() -> None:
    flat = np.ones(5)
    for rough in (0.0, 0.4, 1.0):
        assert geometry.spectral_time(flat, rough, 0.1) == pytest.approx(np.log(10) / 2)
    uneven = np.array([1.9, 0.1])
    assert geometry.spectral_time(uneven, 1.0, 0.1) > geometry.spectral_time(uneven, 0.0, 0.1)
    assert geometry.spectral_time(np.array([2.0, 0.0]), 1.0, 0.1) == np.inf


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_collision_integral_of_the_density(dimension: int) -> None:
    density = law.DensityProfile(dimension, share=0.6, side=0.2)
    inside = 0.2**dimension
    assert density.collision == pytest.approx(density.peak**2 * inside + 0.4**2 * (1 - inside))
    points = density.draw(designs.generator(0), 20_000)
    share = np.mean((points < 0.2).all(axis=1))
    assert share == pytest.approx(0.6 + 0.4 * inside, abs=0.02)


def test_ball_volume_and_mean_of_the_law() -> None:
    assert law.ball_volume(3) == pytest.approx(4 * np.pi / 3)
    # E h = integral of P(h_min > h) dh with P = exp(-N (N-1) V h^d / 2)
    expected, _ = quad(lambda h: np.exp(-50 * 49 * law.ball_volume(2) * h**2 / 2), 0, 1)
    assert law.expected_h_min(50, 2) == pytest.approx(expected, rel=1e-6)


def test_torus_distance_is_that_of_all_pairs() -> None:
    points = designs.generator(3).uniform(size=(60, 2))
    gap = np.abs(points[:, None] - points[None])
    gap = np.minimum(gap, 1 - gap)
    distance = np.sqrt((gap**2).sum(axis=2))[np.triu_indices(60, 1)].min()
    for guess in (1e-4, 0.05, 0.4):
        assert law.torus_h_min(points, guess) == pytest.approx(distance)


def test_single_and_equal_points() -> None:
    with pytest.raises(InputError, match="N must be at least 2"):
        law.expected_h_min(1, 2)
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.1, 0.2]])
    assert law.torus_h_min(points, 0.1) == 0.0
