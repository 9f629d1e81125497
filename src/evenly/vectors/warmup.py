"""A short training of adapters on random rows, and what Adam then makes of the gradient of a row.

As LESS has it (M. Xia et al., 2402.04333): influence on a step of Adam goes by

    m = (b1 m' + (1 - b1) g) / (1 - b1^t),  v = (b2 v' + (1 - b2) g^2) / (1 - b2^t),  step = m / (sqrt(v) + e)

with m' and v' as the warm-up left them after t - 1 steps. Ours is one short epoch where theirs is four over a twentieth
of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from evenly.errors import InputError
from evenly.rows.index import KeyArray
from evenly.types import Int64Array
from evenly.vectors.adapters import Adapters
from evenly.vectors.causal import Batch, RowTokens
from evenly.vectors.embedding import distinct
from evenly.vectors.running import run_jobs
from evenly.vectors.token_loss import Head, send_back

if TYPE_CHECKING:
    from evenly.vectors.row_gradients import GradientsEncoder

SEED = 0
ROWS_PER_STEP = 16
RATE = 2e-4
"""Usual for adapters; LESS trains at 2e-5 for some thousand steps, and a few dozen at that rate would move nothing."""

BETAS = 0.9, 0.999
EPSILON = 1e-8


def random_rows(texts: Sequence[str], keys: KeyArray, count: int) -> tuple[str, ...]:
    """As many distinct texts in random order, the same for the same pool.

    Raises:
        InputError: there are not so many.
    """
    first, _ = distinct(keys)
    if count > len(first):
        raise InputError(
            f"`warmup` asks for {count:,} rows and the pool has {len(first):,} distinct ones; lower it"
        )
    chosen = np.random.default_rng(SEED).permutation(first)[:count]
    return tuple(texts[row] for row in chosen.tolist())


class Moments:
    """What Adam knows of every part of the gradient: (n,) float32 means of it and of its square, flattened."""

    def __init__(self) -> None:
        self.steps = 0
        self._mean: dict[int, torch.Tensor] = {}
        self._square: dict[int, torch.Tensor] = {}

    def step(self, part: int, gradient: torch.Tensor) -> torch.Tensor:
        """The step of Adam on each of (R, …) gradients, were it the next."""
        mean, square = self._after(part, gradient)
        return self._scaled(mean, square, self.steps + 1)

    def take(self, gradients: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """Goes on by one step, on the gradient of every part, and gives the step."""
        self.steps += 1
        for part, gradient in gradients.items():
            self._mean[part], self._square[part] = self._after(part, gradient)
        return {part: self._scaled(self._mean[part], self._square[part], self.steps) for part in gradients}

    def _after(self, part: int, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        zero = torch.zeros((), device=gradient.device)
        first, second = BETAS
        mean = first * self._mean.get(part, zero) + (1 - first) * gradient
        square = second * self._square.get(part, zero) + (1 - second) * gradient**2
        return mean, square

    @staticmethod
    def _scaled(mean: torch.Tensor, square: torch.Tensor, steps: int) -> torch.Tensor:
        first, second = BETAS
        return (mean / (1 - first**steps)) / ((square / (1 - second**steps)).sqrt() + EPSILON)


def warmed_up(
    encoder: GradientsEncoder, adapters: Adapters, head: Head, rows: Sequence[RowTokens]
) -> Moments:
    """Trains adapters in place on rows in their order, and gives what Adam knows at the end.

    Batches of a step are run side by side and added up in their order, so that the number of cores changes nothing.
    """
    moments = Moments()
    for adapter in adapters.each:
        adapter.up = torch.zeros(adapter.outputs, len(adapter.down), device=adapter.down.device)

    def work(job: tuple[Int64Array, Batch]) -> dict[int, torch.Tensor]:
        sums: dict[int, torch.Tensor] = {}

        def see(number: int, given: torch.Tensor, grad: torch.Tensor) -> None:
            for which, gradient in enumerate(adapters.each[number].gradients(given, grad)):
                part = 2 * number + which
                sums[part] = sums.get(part, 0) + gradient.sum(dim=0)

        with adapters.seen_by(see):
            send_back(encoder.model, head, job[1])
        return sums

    for start in range(0, len(rows), ROWS_PER_STEP):
        members = rows[start : start + ROWS_PER_STEP]
        total: dict[int, torch.Tensor] = {}
        for sums in run_jobs(encoder.batches(members), work, encoder.model.device):
            for part, gradient in sums.items():
                total[part] = total.get(part, 0) + gradient / len(members)
        for part, step in moments.take(total).items():
            adapter = adapters.each[part // 2]
            weight = adapter.down if part % 2 else adapter.up
            weight -= RATE * step
    return moments
