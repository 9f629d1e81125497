"""The statements of docs/theory.md that are theorems, asserted without slack beyond rounding."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine.greedy import select
from evenly.lab import descent, designs, geometry, kernel, labels, networks

NETWORKS = {
    "mlp": networks.mlp(3, width=12),
    "relu": networks.mlp(3, width=12, activation="relu"),
    "one layer": networks.one_layer(3, width=12),
    "residual": networks.residual(3, width=8),
    "transformer": networks.transformer(3, width=6),
}


def problem(seed: int, count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    points = designs.uniform(designs.generator(seed), count, 3)
    values = labels.draw_labels("mixed", designs.generator(seed, 1), points).values
    return torch.tensor(points), torch.tensor(values)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimiser", ["gd", "adam"])
def test_pair_bound_and_pl_range_hold_at_every_iterate(name: str, optimiser: descent.Optimiser) -> None:
    network = NETWORKS[name]
    x, y = problem(3)
    x[1] = x[0] + 1e-3  # a close pair makes the bound bite
    trainer = descent.GradientDescent(network, 1e-2, optimiser)
    kept = trainer.train(network.init([0]), x[None], y[None], steps=25, keep=range(26)).kept
    assert list(kept) == list(range(26))
    for theta in kept.values():
        rows = kernel.jacobian(network, theta[0], x)
        eigenvalues = kernel.eigenvalues(rows)
        slack = kernel.rounding(eigenvalues)
        assert np.all(eigenvalues[-1] <= kernel.pair_bounds(rows) + slack)
        ratio = kernel.pl_ratio(rows, network(theta[0], x) - y) * len(x)
        assert eigenvalues[-1] - slack <= ratio <= eigenvalues[0] * (1 + 1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_pl_ratio_is_that_of_the_gradient(name: str) -> None:
    network = NETWORKS[name]
    x, y = problem(4)
    theta = network.init([1])[0].requires_grad_()
    loss = descent.batch_loss(network(theta, x), y, "squared")
    (gradient,) = torch.autograd.grad(loss, theta)
    rows = kernel.jacobian(network, theta.detach(), x)
    ratio = kernel.pl_ratio(rows, (network(theta, x) - y).detach())
    assert ratio == pytest.approx(float((gradient.square().sum() / (2 * loss)).detach()), rel=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimiser", ["gd", "adam"])
def test_equal_inputs_conserve_their_difference(name: str, optimiser: descent.Optimiser) -> None:
    network = NETWORKS[name]
    x, y = problem(5)
    x[1] = x[0]
    before = (network(network.init([2])[0], x) - y)[:2]
    run = descent.GradientDescent(network, 1e-2, optimiser).train(
        network.init([2]), x[None], y[None], steps=60
    )
    after = (network(run.theta[0], x) - y)[:2]
    assert abs(float((before[0] - before[1]) - (after[0] - after[1]))) < 1e-12
    eigenvalues = kernel.eigenvalues(kernel.jacobian(network, run.theta[0], x))
    assert eigenvalues[-1] <= kernel.rounding(eigenvalues)


@pytest.mark.parametrize("pairs", [1, 3])
def test_equal_inputs_trap_their_share_of_the_loss(pairs: int) -> None:
    network = NETWORKS["mlp"]
    x, y = problem(6)
    x[1 : 2 * pairs : 2] = x[0 : 2 * pairs : 2]
    floor = float((y[0 : 2 * pairs : 2] - y[1 : 2 * pairs : 2]).square().sum() / 2 / (2 * len(x)))
    run = descent.GradientDescent(network, 1e-2).train(network.init([0]), x[None], y[None], steps=400)
    assert run.losses.min() >= floor * (1 - 1e-12)
    assert run.losses[-1, 0] <= 1.5 * floor


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(4, 9), st.integers(1, 3), st.data())
def test_greedy_order_fills_and_is_half_as_even_as_any(
    seed: int, count: int, dimension: int, data: st.DataObject
) -> None:
    # Whole-number points bring ties and copies.
    pool = designs.generator(seed).integers(0, 6, (count, dimension)).astype(np.float64)
    distinct = len(np.unique(pool, axis=0))
    if distinct < 2:
        return
    keep = data.draw(st.integers(2, distinct))
    chosen = select(pool, keep=keep, metric="euclidean")
    distance = np.linalg.norm(pool[:, None] - pool[None], axis=2)
    best = max(
        min(distance[i, j] for i, j in combinations(subset, 2)) for subset in combinations(range(count), keep)
    )
    fill = distance[:, chosen.rows].min(axis=1).max()
    assert fill <= chosen.h_min * (1 + 1e-12)
    assert chosen.h_min >= best / 2 * (1 - 1e-12)


def test_polynomials_in_the_scale_have_their_exponent() -> None:
    scales = np.geomspace(1.0, 8.0, 7)
    assert geometry.exponent(scales, scales**2.5) == pytest.approx(2.5)
