"""Gradient descent and Adam on squared or logistic loss, many runs at once, with every loss kept.

All runs of a call share one learning rate: arms that are compared differ in their data alone. A run that
diverges stops the call and is named with its step; a run short of a threshold is reported as "more than".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from evenly.errors import InputError
from evenly.lab.networks import Network
from evenly.types import Float64Array, Int64Array, Progress, silent

Optimiser = Literal["gd", "adam"]
LossName = Literal["squared", "logistic"]

DIVERGED = 1e4  # times the first loss (and above 1e4 itself): no run of the lab comes near it and returns
PRUNE_EVERY = 50  # steps between the moments at which finished runs leave the batch


@dataclass(frozen=True, eq=False)
class Descent:
    """What a training call left behind.

    Attributes:
        theta: (runs, P) float64, the last parameters of each run.
        losses: (steps + 1, runs) float64, the loss before each step and after the last, on the whole set or
            on the rows of the step's batch; a run that reached ``until`` keeps its last loss from there on.
    """

    theta: Tensor
    losses: Float64Array


def batch_loss(outputs: Tensor, targets: Tensor, loss: LossName) -> Tensor:
    """Mean loss of each run, (runs,): |r|^2 / (2 N), or logistic with targets -1 and 1."""
    if loss == "squared":
        return (outputs - targets).square().mean(-1) / 2
    return F.softplus(-outputs * targets).mean(-1)


def descend(
    network: Network,
    theta: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    rate: float,
    steps: int,
    optimiser: Optimiser = "gd",
    loss: LossName = "squared",
    batch: int | None = None,
    until: Float64Array | float = 0.0,
    watch: Callable[[int, Tensor], None] | None = None,
    progress: Progress = silent,
    stage: str = "train",
) -> Descent:
    """Trains every run on its set for ``steps`` steps or until each is below ``until``.

    Args:
        network: the architecture.
        theta: (runs, P) first parameters; not changed.
        x: (runs, N, d) points.
        y: (runs, N) targets.
        rate: learning rate of all runs.
        steps: most steps.
        optimiser: ``gd`` or ``adam`` (0.9, 0.999, 1e-8).
        loss: ``squared`` or ``logistic``.
        batch: rows per step, shuffled anew each epoch; the whole set where None.
        until: a loss per run, or one for all, below which a run is finished.
        watch: called as ``watch(step, theta)`` before each step; keeps all runs in the batch.
        progress: told of every 50 steps.
        stage: what to call them.

    Raises:
        InputError: a run diverged; names the run and the step.
    """
    theta = theta.detach().clone()
    losses = np.full((steps + 1, len(theta)), np.nan)
    goal = np.broadcast_to(np.asarray(until, dtype=np.float64), len(theta))
    stepper = _Stepper(optimiser, theta, rate)
    rows = _batches(x, batch) if batch is not None else None
    active = torch.arange(len(theta), device=theta.device)
    live, live_x, live_y = theta.clone(), x, y
    for step in range(steps + 1):
        if watch is not None:
            watch(step, live)
        live = live.detach().requires_grad_()
        chosen = None if rows is None else next(rows)
        value = batch_loss(network(live, _drawn(live_x, chosen)), _drawn(live_y, chosen), loss)
        running = active.cpu().numpy()
        losses[step, running] = value.detach().cpu().numpy()
        _refuse_divergence(losses, step, running, rate)
        if step == steps:
            break
        (gradient,) = torch.autograd.grad(value.sum(), live)
        live = live.detach() - stepper.move(gradient)
        if step % PRUNE_EVERY == PRUNE_EVERY - 1:
            progress(stage, step + 1, steps)
            theta[active] = live
            going = torch.as_tensor(losses[step] > goal, device=theta.device)[active]
            if watch is None and rows is None and not going.all():
                active, live, live_x, live_y = active[going], live[going], live_x[going], live_y[going]
                stepper.keep(going)
            if len(active) == 0:
                break
    theta[active] = live.detach()
    progress(stage, steps, steps)
    return Descent(theta, _carry_forward(losses))


def _drawn(values: Tensor, rows: Tensor | None) -> Tensor:
    """Those rows (runs, batch) of points (runs, N, d) or targets (runs, N); all where None."""
    if rows is None:
        return values
    return values.take_along_dim(rows if values.ndim == 2 else rows.unsqueeze(-1), dim=1)


def _batches(x: Tensor, batch: int) -> Iterator[Tensor]:
    """Row numbers (runs, batch) of one step after another; each epoch is a new shuffle of each run's rows."""
    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.rand(x.shape[:2], generator=generator).argsort(dim=1).to(x.device)
        yield from order.split(batch, dim=1)


class _Stepper:
    """The memory of the optimiser: moments for Adam, nothing for gradient descent."""

    def __init__(self, optimiser: Optimiser, theta: Tensor, rate: float) -> None:
        if optimiser not in ("gd", "adam"):
            raise InputError(f"optimiser {optimiser!r} is not known; use gd or adam")
        self.adam = optimiser == "adam"
        self.rate = rate
        self.count = 0
        self.mean = torch.zeros_like(theta)
        self.square = torch.zeros_like(theta)

    def move(self, gradient: Tensor) -> Tensor:
        if not self.adam:
            return self.rate * gradient
        self.count += 1
        self.mean.mul_(0.9).add_(gradient, alpha=0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        size = self.rate / (1 - 0.9**self.count)
        return size * self.mean / ((self.square / (1 - 0.999**self.count)).sqrt() + 1e-8)

    def keep(self, rows: Tensor) -> None:
        self.mean, self.square = self.mean[rows], self.square[rows]


def _refuse_divergence(losses: Float64Array, step: int, running: Int64Array, rate: float) -> None:
    now, first = losses[step, running], losses[0, running]
    wild = ~np.isfinite(now) | (now > DIVERGED * np.maximum(first, 1.0))
    if wild.any():
        which = int(np.argmax(wild))
        raise InputError(
            f"run {running[which]} diverged at step {step}: its loss went from {first[which]:.3g} to "
            f"{now[which]:.3g}; use a learning rate below {rate:g}"
        )


def _carry_forward(losses: Float64Array) -> Float64Array:
    """A finished run keeps its last loss: fills the NaN below each column's last number."""
    last = np.sum(np.isfinite(losses), axis=0) - 1
    step = np.minimum(np.arange(len(losses))[:, None], last[None, :])
    return np.take_along_axis(losses, step, axis=0)


def steps_to(losses: Float64Array, threshold: Float64Array | float) -> Float64Array:
    """The first step at which each run's loss is at or below its threshold, (runs,); infinite where never."""
    below = losses <= threshold
    return np.where(below.any(axis=0), below.argmax(axis=0), np.inf)


def censored_median(steps: Float64Array, cap: int) -> str:
    """The median number of steps as a table says it: "73", or "> 2,000" where half the runs were cut off."""
    middle = float(np.quantile(steps, 0.5, method="higher"))
    return f"{middle:,.0f}" if np.isfinite(middle) else f"> {cap:,}"
