"""Determinantal point process: the greedy most probable set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenly.strategies.rounds import Leaders
from evenly.strategies.task import Strategy, Task, whole_pool
from evenly.types import Int64Array

FACTOR_BYTES = 2**31
"""Memory for the factors: so many picks as fit are conditioned on one another, 10,000 of them for 52,000 rows."""
_AT_ONCE = 1024
"""Rows that are conditioned on one another at a time: their kernel is 4 MB."""

_SAMPLE = 1000
"""Rows whose median distance is the kernel's width."""

_LEAST_GAIN = 1e-6
"""A gain is 1 less a sum of float32 squares: that of a copy is 0, give or take about this."""


def order(task: Task) -> Int64Array:
    """Greedily the row that raises the determinant of the kept rows' kernel most.

    The picks of fast greedy MAP (Chen et al., algorithm 1), in rounds of matrix products, with a Gaussian kernel as
    wide as the median distance. Where the factors outgrow 2 GiB the conditioning starts anew on the rows that are
    left, so rows picked that far apart may be near. Cost: N k d for the kernel and N k^2 / 2 for the conditioning,
    in float32.
    """
    squares = task.vectors.square().sum(1)
    drawn = np.random.default_rng(task.seed).permutation(task.rows)[:_SAMPLE]
    sample = task.vectors[torch.from_numpy(drawn)].double()
    width = float(torch.cdist(sample, sample).square().median()) or 1.0
    window = max(1, FACTOR_BYTES // (4 * task.rows))
    left = torch.ones(task.rows, dtype=torch.bool)
    picks: list[int] = []
    while len(picks) < task.count:
        found = _Window(task.vectors, squares, width, left).pick(min(window, task.count - len(picks)))
        picks += found
        left[found] = False
        task.progress("select", len(picks), task.count)
    return np.asarray(picks, dtype=np.int64)


class _Window:
    """Picks that are conditioned on one another.

    With K the kernel and P the picks so far, row r of the factors is row r of L^-1 K_P, where L L^T = K_PP; the gain
    of a row, the factor by which picking it multiplies the determinant, is 1 less the squares in its column.
    """

    def __init__(self, vectors: Tensor, squares: Tensor, width: float, left: Tensor) -> None:
        self.vectors, self.squares, self.width = vectors, squares, width
        self.gain = torch.where(left, 1.0, -torch.inf)

    def pick(self, most: int) -> list[int]:
        """At most ``most`` rows; fewer where the rows left are copies of these."""
        factors = torch.empty(most, len(self.vectors))
        picks: list[int] = []
        while len(picks) < most:
            leaders = Leaders.of(self.gain, _AT_ONCE)
            places, triangle = self._among(leaders, factors[: len(picks)], most - len(picks), bool(picks))
            if not places:
                break
            rows = leaders.rows[places]
            known = factors[: len(picks)]
            new = self._kernel(rows, slice(None))
            new.addmm_(known[:, rows].T, known, alpha=-1)
            new = torch.linalg.solve_triangular(triangle, new, upper=False)
            factors[len(picks) : len(picks) + len(rows)] = new
            self.gain -= new.square_().sum(0)
            self.gain[rows] = -torch.inf
            picks += rows.tolist()
        return picks

    def _among(self, leaders: Leaders, factors: Tensor, most: int, started: bool) -> tuple[list[int], Tensor]:
        """Greedy among the leaders: places of the picks, and the lower triangular factor of their kernel."""
        known = factors[:, leaders.rows]
        kernel = self._kernel(leaders.rows, leaders.rows).addmm_(known.T, known, alpha=-1)
        gain = self.gain[leaders.rows]
        steps = torch.empty(min(most, len(leaders.rows)), len(leaders.rows))
        places: list[int] = []
        while len(places) < len(steps):
            place = leaders.best(gain)
            if place is None or (gain[place] <= _LEAST_GAIN and (started or places)):
                break
            made = steps[: len(places)]
            step = (kernel[place] - made.T @ made[:, place]) / float(gain[place]) ** 0.5
            steps[len(places)] = step
            gain -= step.square()
            gain[place] = -torch.inf
            places.append(place)
        return places, steps[: len(places), places].T.contiguous()

    def _kernel(self, rows: Tensor, others: Tensor | slice) -> Tensor:
        """exp(-r^2 / width) of some rows and others."""
        squared = self.squares[rows, None] + self.squares[others]
        squared.addmm_(self.vectors[rows], self.vectors[others].T, alpha=-2)
        return squared.clamp_(min=0.0).div_(-self.width).exp_()


STRATEGY = Strategy(
    "dpp",
    "the greedy most probable set of a k-DPP",
    "Chen, Zhang & Zhou 2018, arXiv 1709.05135",
    order,
    lambda rows, dimension, count: (
        whole_pool(rows, dimension) + min(FACTOR_BYTES, 4 * rows * count) + 3 * 4 * _AT_ONCE * rows
    ),
)
