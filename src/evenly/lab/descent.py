"""Gradient descent and Adam on squared or logistic loss, many runs at once, with every loss kept.

A run that diverges stops the call and is named with its step; a run short of a threshold is reported as
"more than".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from evenly.errors import InputError
from evenly.lab.networks import Network, Values, on
from evenly.types import Float64Array, Int64Array

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
        kept: (runs, P), the parameters before each step that was to be kept.
    """

    theta: Tensor
    losses: Float64Array
    kept: Mapping[int, Tensor]


def batch_loss(outputs: Tensor, targets: Tensor, loss: LossName) -> Tensor:
    """Mean loss of each run, (runs,): |r|^2 / (2 N), or logistic with targets -1 and 1."""
    if loss == "squared":
        return (outputs - targets).square().mean(-1) / 2
    return F.softplus(-outputs * targets).mean(-1)


@dataclass(frozen=True)
class GradientDescent:
    """A network and how it is trained; the same for all runs that are compared, which differ in their data alone.

    Attributes:
        network: the architecture.
        rate: the learning rate.
        optimiser: ``gd`` or ``adam`` (0.9, 0.999, 1e-8).
        loss: ``squared`` or ``logistic``.
        batch: rows per step, shuffled anew each epoch; the whole set where None.
    """

    network: Network
    rate: float
    optimiser: Optimiser = "adam"
    loss: LossName = "squared"
    batch: int | None = None

    def train(
        self,
        theta: Tensor,
        x: Values,
        y: Values,
        *,
        steps: int,
        until: Float64Array | float = 0.0,
        keep: Iterable[int] = (),
        told: Callable[[int, int], None] = lambda step, steps: None,
    ) -> Descent:
        """Trains every run on its set for ``steps`` steps or until each is below ``until``.

        Args:
            theta: (runs, P) first parameters; not changed.
            x: (runs, N, d) points.
            y: (runs, N) targets.
            steps: most steps.
            until: a loss per run, or one for all, below which a run is finished.
            keep: the steps before which the parameters are kept; then every run goes on to the end.
            told: called as ``told(step, steps)`` every 50 steps.

        Raises:
            InputError: a run diverged; names the run and the step.
        """
        x, y = on(theta, x), on(theta, y)
        theta, kept, wanted = theta.detach().clone(), {}, frozenset(keep)
        losses = np.full((steps + 1, len(theta)), np.nan)
        goal = np.broadcast_to(np.asarray(until, dtype=np.float64), len(theta))
        rows = _batches(x, self.batch) if self.batch is not None else None
        live = _Live(self, theta, x, y)
        for step in range(steps + 1):
            now = live.theta.detach().requires_grad_()
            if step in wanted:
                kept[step] = live.theta
            chosen = None if rows is None else next(rows)
            outputs = self.network(now, _drawn(live.x, chosen))
            value = batch_loss(outputs, _drawn(live.y, chosen), self.loss)
            running = live.runs.cpu().numpy()
            losses[step, running] = value.detach().cpu().numpy()
            _refuse_divergence(losses, step, running, self.rate)
            if step == steps:
                break
            (gradient,) = torch.autograd.grad(value.sum(), now)
            live.move(gradient)
            if step % PRUNE_EVERY == PRUNE_EVERY - 1:
                told(step + 1, steps)
                theta[live.runs] = live.theta
                going = torch.as_tensor(losses[step] > goal, device=theta.device)[live.runs]
                if not wanted and rows is None and not going.all():
                    live.keep(going)
                if len(live.runs) == 0:
                    break
        theta[live.runs] = live.theta
        told(steps, steps)
        return Descent(theta, _carry_forward(losses), kept)


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


class _Live:
    """The runs that are not finished: their parameters and data, and the moments of Adam."""

    def __init__(self, trainer: GradientDescent, theta: Tensor, x: Tensor, y: Tensor) -> None:
        if trainer.optimiser not in ("gd", "adam"):
            raise InputError(f"optimiser {trainer.optimiser!r} is not known; use gd or adam")
        self.adam, self.rate, self.count = trainer.optimiser == "adam", trainer.rate, 0
        self.runs = torch.arange(len(theta), device=theta.device)
        self.theta, self.x, self.y = theta.clone(), x, y
        self.mean, self.square = torch.zeros_like(theta), torch.zeros_like(theta)

    def move(self, gradient: Tensor) -> None:
        """One step. The parameters before it are left as they are."""
        if not self.adam:
            self.theta = self.theta - self.rate * gradient
            return
        self.count += 1
        self.mean.mul_(0.9).add_(gradient, alpha=0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        size = self.rate / (1 - 0.9**self.count)
        root = (self.square / (1 - 0.999**self.count)).sqrt() + 1e-8
        self.theta = self.theta - size * self.mean / root

    def keep(self, going: Tensor) -> None:
        """Drops the runs that are finished."""
        for name in ("runs", "theta", "x", "y", "mean", "square"):
            setattr(self, name, getattr(self, name)[going])


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


def median_steps(steps: Float64Array) -> Float64Array:
    """The median over the last axis, (...,): infinite where half the runs were cut off."""
    middle: Float64Array = np.quantile(steps, 0.5, axis=-1, method="higher")
    return middle


def censored_median(steps: Float64Array, cap: int) -> str:
    """The median of (runs,) steps as a table says it: "73", or "> 2,000" where half the runs were cut off."""
    middle = float(median_steps(steps))
    return f"{middle:,.0f}" if np.isfinite(middle) else f"> {cap:,}"
