"""The networks as functions: batches of runs, derivatives, and the normalising map."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evenly.errors import InputError
from evenly.lab import kernel, networks

EVERY = {
    "mlp": networks.mlp(4, width=6, depth=3, activation="gelu"),
    "one layer": networks.one_layer(4, width=6),
    "residual": networks.residual(4, width=6, inner=2, depth=3),
    "plain blocks": networks.residual(4, width=6, inner=2, depth=3, connect=False, normalise=False),
    "transformer": networks.transformer(4, width=6, depth=2),
}


@pytest.mark.parametrize("name", EVERY)
def test_runs_in_one_call_equal_runs_alone(name: str) -> None:
    network = EVERY[name]
    theta = network.init([3, 4, 5])
    x = torch.randn(3, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = network(theta, x)
    assert together.shape == (3, 7)
    for run in range(3):
        torch.testing.assert_close(together[run], network(theta[run], x[run]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_gives_the_same_parameters_alone_and_among_others(name: str) -> None:
    network = EVERY[name]
    assert torch.equal(network.init([9])[0], network.init([1, 9, 2])[1])
    assert network.init([0]).shape == (1, network.size)


@pytest.mark.parametrize("name", EVERY)
def test_jacobian_matches_finite_differences(name: str) -> None:
    network = EVERY[name]
    theta = network.init([0])[0]
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = kernel.jacobian(network, theta, x)
    direction = torch.randn(network.size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    step = 1e-6
    difference = (network(theta + step * direction, x) - network(theta - step * direction, x)) / (2 * step)
    torch.testing.assert_close(rows @ direction, difference, rtol=1e-6, atol=1e-8)


def test_top_curvature_is_that_of_the_dense_hessian() -> None:
    network = networks.mlp(3, width=4)
    theta = network.init([0])[0]
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.ones(5, dtype=torch.float64)
    dense = torch.func.hessian(lambda t: (network(t, x) - y).square().mean() / 2)(theta)
    eigenvalues = torch.linalg.eigvalsh(dense)
    top = kernel.top_curvature(network, theta, x, y)
    assert top == pytest.approx(float(eigenvalues[-1]), rel=1e-3)
    size = kernel.top_curvature(network, theta, x, y, magnitude=True)
    assert size == pytest.approx(float(eigenvalues.abs().max()), rel=1e-3)


def test_eigenvalues_keep_what_the_product_loses() -> None:
    rows = torch.diag(torch.tensor([1.0, 1e-6, 1e-12], dtype=torch.float64))
    assert kernel.eigenvalues(rows) == pytest.approx([1.0, 1e-12, 1e-24], rel=1e-10)
    wide = torch.ones(3, 2, dtype=torch.float64)  # fewer parameters than points: K has null directions
    assert kernel.eigenvalues(wide)[1:] == pytest.approx([0.0, 0.0], abs=1e-25)


def test_tau_is_short_and_lipschitz() -> None:
    x = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    image = networks.tau(x, eps=0.3)
    assert bool((image.norm(dim=1) < 1).all())
    stretch = torch.pdist(image) / torch.pdist(x)
    assert float(stretch.max()) <= 1 / 0.3
    assert torch.equal(networks.tau(torch.zeros(1, 5)), torch.zeros(1, 5))


def test_xavier_scale() -> None:
    network = networks.mlp(50, width=150, depth=1)
    weights = network.named(network.init([0])[0])["w0"]
    assert float(weights.std()) == pytest.approx(math.sqrt(2 / 200), rel=0.03)
    assert bool((network.named(network.init([0])[0])["b0"] == 0).all())
    assert float(np.std(networks.one_layer(50, width=150).init([0]).numpy())) == pytest.approx(1.0, rel=0.03)


def test_unknown_activation() -> None:
    with pytest.raises(InputError, match="activation 'swish' is not known"):
        networks.mlp(2, activation="swish")
