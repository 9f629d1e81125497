"""Training loops: against torch's own optimisers, and what they say when a run goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenly.errors import InputError
from evenly.lab import descent, networks

NETWORK = networks.mlp(2, width=5)


def data(runs: int = 3, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(runs, count, 2, dtype=torch.float64, generator=generator)
    return x, torch.randn(runs, count, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("optimiser", ["gd", "adam"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_steps_are_those_of_torch(optimiser: descent.Optimiser, loss: descent.LossName) -> None:
    x, y = data(1)
    y = torch.sign(y)
    theta = NETWORK.init([0])
    run = descent.GradientDescent(NETWORK, 0.05, optimiser, loss).train(theta, x, y, steps=30)
    parameter = theta[0].clone().requires_grad_()
    reference = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser]([parameter], lr=0.05)
    for _ in range(30):
        reference.zero_grad()
        descent.batch_loss(NETWORK(parameter, x[0]), y[0], loss).backward()
        reference.step()
    torch.testing.assert_close(run.theta[0], parameter.detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("optimiser", ["gd", "adam"])
def test_runs_that_finish_do_not_disturb_the_others(optimiser: descent.Optimiser) -> None:
    x, y = data()
    theta = NETWORK.init([0, 1, 2])
    until = np.array([1e9, 0.0, 0.0])  # the first is finished at once and leaves at step 50
    trainer = descent.GradientDescent(NETWORK, 0.02, optimiser)
    pruned = trainer.train(theta, x, y, steps=120, until=until)
    whole = trainer.train(theta, x, y, steps=120)
    np.testing.assert_allclose(pruned.losses[:, 1:], whole.losses[:, 1:], rtol=1e-9)
    torch.testing.assert_close(pruned.theta[1:], whole.theta[1:], rtol=1e-8, atol=1e-10)
    assert np.isfinite(pruned.losses).all()
    assert (pruned.losses[50:, 0] == pruned.losses[49, 0]).all()


def test_batches_visit_every_row_once_an_epoch() -> None:
    rows = descent._batches(torch.zeros(2, 6, 1), 4)
    first = torch.cat([next(rows), next(rows)], dim=1)  # 4 rows, then the 2 left over
    assert first.sort(dim=1).values.tolist() == [list(range(6))] * 2
    x, y = data()
    run = descent.GradientDescent(NETWORK, 0.05, "gd", batch=2).train(
        NETWORK.init([0, 1, 2]), x, y, steps=200
    )
    assert (run.losses[-1] < run.losses[0]).all()


def test_divergence_is_named_with_its_run_and_step() -> None:
    x, y = data()
    with pytest.raises(InputError, match=r"run \d diverged at step \d+: .*use a learning rate below 2"):
        descent.GradientDescent(NETWORK, 2.0, "gd").train(NETWORK.init([0, 1, 2]), x, y, steps=500)


def test_steps_to_and_censored_medians() -> None:
    losses = np.array([[1.0, 1.0, 1.0], [0.5, 0.9, 1.0], [0.1, 0.8, 1.0]])
    steps = descent.steps_to(losses, 0.5)
    assert steps.tolist() == [1.0, np.inf, np.inf]
    assert descent.censored_median(steps, 2000) == "> 2,000"
    assert descent.censored_median(np.array([1.0, 73.0, np.inf]), 2000) == "73"


def test_unknown_optimiser() -> None:
    x, y = data()
    with pytest.raises(InputError, match="optimiser 'sgd' is not known; use gd or adam"):
        descent.GradientDescent(NETWORK, 0.1, "sgd").train(NETWORK.init([0, 1, 2]), x, y, steps=1)  # type: ignore[arg-type]
