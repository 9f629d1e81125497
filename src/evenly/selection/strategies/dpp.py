"""Determinantal point process: the greedy most probable set."""

from __future__ import annotations

import numpy as np
import torch

from evenly.selection.strategies.task import Strategy, Task
from evenly.types import Int64Array

WINDOW = 256
"""Picks that are conditioned on one another; the paper's own window for long sequences."""
_SAMPLE = 1000
_LEAST_GAIN = 1e-6


def order(task: Task) -> Int64Array:
    """Fast greedy MAP (Chen et al., algorithm 1) with a Gaussian kernel as wide as the median distance.

    Every 256 picks the conditioning starts anew on the rows that are left: conditioning on all k picks would cost
    k^2 N. So rows picked 256 picks apart may be near. Cost: N d k for the kernel and 256 N k for the conditioning.
    """
    vectors = task.vectors
    squares = vectors.square().sum(1)
    drawn = np.random.default_rng(task.seed).permutation(task.rows)[:_SAMPLE]
    sample = vectors[torch.from_numpy(drawn)].double()
    width = float(torch.cdist(sample, sample).square().median()) or 1.0
    left = torch.ones(task.rows, dtype=torch.bool)
    picks: list[int] = []
    while len(picks) < task.count:
        most = min(WINDOW, task.count - len(picks))
        gain = torch.where(left, 1.0, -torch.inf)
        factors = torch.zeros(most, task.rows)
        for step in range(most):
            row = int(gain.argmax())
            if gain[row] <= (_LEAST_GAIN if step else 0.0):
                break  # the rows left are copies of this window's picks
            picks.append(row)
            left[row] = False
            squared = (squares + squares[row] - 2.0 * (vectors @ vectors[row])).clamp_(min=0.0)
            kernel = torch.exp(squared / -width)
            new = (kernel - factors[:step].T @ factors[:step, row]) / float(gain[row]) ** 0.5
            factors[step] = new
            gain = gain - new.square()
            gain[row] = -torch.inf
        task.progress("select", len(picks), task.count)
    return np.asarray(picks, dtype=np.int64)


STRATEGY = Strategy(
    "dpp", "the greedy most probable set of a k-DPP", "Chen, Zhang & Zhou 2018, arXiv 1709.05135", order
)
