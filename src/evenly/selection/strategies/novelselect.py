"""NovelSelect: the row of most novelty, where distance counts for more in dense regions."""

from __future__ import annotations

import numpy as np
import torch

from evenly.selection.strategies.neighbours import nearest_neighbours
from evenly.selection.strategies.task import Strategy, Task
from evenly.types import Int64Array

NEIGHBOURS = 10
"""For the density of a row, as in the paper."""
NEAREST_KEPT = 8
"""Kept rows that a row's novelty is summed over; the paper sums over all, with weights that fall with rank."""
PROXIMITY, DENSITY = 1.0, 0.5
"""The exponents alpha and beta of the paper."""


def order(task: Task) -> Int64Array:
    """Greedily the row x with the largest sum over kept rows s of rank(s)^-alpha density(s)^beta |x - s|.

    rank counts kept rows from the nearest to x; density(s) is one over the mean distance to its 10 nearest rows.
    Differs from the paper in summing over the 8 nearest kept rows, divided by the sum of the weights, and in
    weighting by the density of x too, which a row needs to be worth its distance. The first row is random.
    Cost: k passes over the pool, N d k in all but memory-bound, and N^2 d for the densities.
    """
    vectors, count = task.vectors, task.rows
    if count == 1:
        return np.zeros(1, dtype=np.int64)
    _, squared = nearest_neighbours(vectors, min(NEIGHBOURS, count - 1))
    mean = squared.sqrt().mean(1)
    density = (mean.median().clamp(min=1e-12) / mean.clamp(min=1e-12)).clamp(max=1e3) ** DENSITY
    squares = vectors.square().sum(1)
    nearest = torch.full((NEAREST_KEPT, count), torch.inf)
    rank = (torch.arange(NEAREST_KEPT) + 1.0) ** -PROXIMITY
    left = torch.ones(count, dtype=torch.bool)
    row = int(np.random.default_rng(task.seed).integers(count))
    picks = []
    while True:
        picks.append(row)
        left[row] = False
        if len(picks) == task.count:
            return np.asarray(picks, dtype=np.int64)
        squared = (squares + squares[row] - 2.0 * (vectors @ vectors[row])).clamp_(min=0.0)
        weighted = squared.sqrt() * density[row]
        for place in range(min(len(picks), NEAREST_KEPT)):  # insertion into the sorted nearest
            lower = torch.minimum(nearest[place], weighted)
            weighted = torch.maximum(nearest[place], weighted)
            nearest[place] = lower
        held = min(len(picks), NEAREST_KEPT)
        novelty = (nearest[:held] * rank[:held, None]).sum(0) * density
        row = int(torch.where(left, novelty, -1.0).argmax())
        if len(picks) % 1000 == 0:
            task.progress("select", len(picks), task.count)


STRATEGY = Strategy(
    "novelselect", "the most novel row, weighted by density", "Yang et al. 2025, arXiv 2502.17184", order
)
