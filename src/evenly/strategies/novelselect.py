"""NovelSelect: the row of most novelty, where distance counts for more in dense regions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import Blocks, default_blocks
from evenly.strategies.neighbours import nearest_neighbours
from evenly.strategies.rounds import Leaders
from evenly.strategies.task import Strategy, Task, products, whole_pool
from evenly.types import Int64Array

NEIGHBOURS = 10
"""For the density of a row, as in the paper."""
NEAREST_KEPT = 8
"""Kept rows that a row's novelty is summed over; the paper sums over all, with weights that fall with rank."""
PROXIMITY, DENSITY = 1.0, 0.5
"""The exponents alpha and beta of the paper."""
_AT_ONCE = 1024
"""Rows among which the next picks are looked for: their distances are 4 MB."""


def order(task: Task) -> Int64Array:
    """Greedily the row x that is most novel: the largest sum over kept rows s of

        rank(s)^-alpha (sigma(x)^beta + sigma(s)^beta) d(x, s).

    rank counts kept rows from the nearest to x, by the weighted distance; the density sigma of a row is one over its
    mean squared distance to its 10 nearest rows; the first row is random. Weighting by both densities is what the
    authors' code does; their paper names that of s alone. Differs from both in summing over the 8 nearest kept rows
    only. Cost: N k d in rounds of float32 products, and N^2 d for the densities.
    """
    if task.rows == 1:
        return np.zeros(1, dtype=np.int64)
    state = _Novelty(task)
    picks = [int(np.random.default_rng(task.seed).integers(task.rows))]
    state.add(torch.tensor(picks))
    while len(picks) < task.count:
        # Until the sum has all its terms a pick may raise it, so only one pick a round is sure.
        most = 1 if len(picks) < NEAREST_KEPT else task.count - len(picks)
        rows = state.next_rows(most)
        state.add(rows)
        picks += rows.tolist()
        task.progress("select", len(picks), task.count)
    return np.asarray(picks, dtype=np.int64)


class _Novelty:
    """Every row's smallest weighted distances to the kept rows, (N, 8) and infinite where there are fewer."""

    def __init__(self, task: Task) -> None:
        self.vectors = task.vectors
        self.squares = task.vectors.square().sum(1)
        self.halved = task.metric == "cosine"
        _, squared = nearest_neighbours(task.vectors, min(NEIGHBOURS, task.rows - 1))
        mean = squared.mean(1)
        # Relative to the median density: the scale does not matter, and copies have no finite density.
        self.density = (mean.median().clamp(min=1e-12) / mean.clamp(min=1e-12)).clamp(max=1e6) ** DENSITY
        self.rank = (torch.arange(NEAREST_KEPT) + 1.0) ** -PROXIMITY
        self.nearest = torch.full((task.rows, NEAREST_KEPT), torch.inf)
        self.left = torch.ones(task.rows, dtype=torch.bool)

    def add(self, rows: Tensor) -> None:
        """Keeps some rows."""
        self.left[rows] = False

        def work(block: slice) -> None:
            self.nearest[block] = self._with(self.nearest[block], self._weighted(block, rows))

        threads = default_blocks(self.vectors.device).threads
        Blocks(rows=2048, threads=threads).over(len(self.vectors), work)

    def next_rows(self, most: int) -> Tensor:
        """The next picks, as many of at most ``most`` as are sure: (m,) int64."""
        leaders = Leaders.of(torch.where(self.left, self._sum(self.nearest), -torch.inf), _AT_ONCE)
        apart = self._weighted(leaders.rows, leaders.rows)
        nearest = self.nearest[leaders.rows]
        novelty = self._sum(nearest)
        places: list[int] = []
        while len(places) < min(most, len(leaders.rows)):
            place = leaders.best(novelty)
            if place is None:
                break
            places.append(place)
            nearer = (apart[:, place] < nearest[:, -1]).nonzero().flatten()
            nearest[nearer] = self._with(nearest[nearer], apart[nearer, place, None])
            novelty[nearer] = torch.where(
                novelty[nearer] > -torch.inf, self._sum(nearest[nearer]), -torch.inf
            )
            novelty[place] = -torch.inf
        return leaders.rows[places]

    def _weighted(self, rows: slice | Tensor, kept: Tensor) -> Tensor:
        """(A, m) distances of rows to kept ones, times the sum of the two densities."""
        squared = self.squares[rows, None] + self.squares[kept]
        squared.addmm_(self.vectors[rows], self.vectors[kept].T, alpha=-2).clamp_(min=0.0)
        distance = squared.div_(2.0) if self.halved else squared.sqrt_()
        return distance.mul_(self.density[rows, None] + self.density[kept])

    @staticmethod
    def _with(nearest: Tensor, weighted: Tensor) -> Tensor:
        """The smallest of (A, 8) and (A, m), ascending."""
        return torch.cat([nearest, weighted], dim=1).topk(NEAREST_KEPT, dim=1, largest=False).values

    def _sum(self, nearest: Tensor) -> Tensor:
        """Novelty from the smallest weighted distances."""
        return torch.where(nearest < torch.inf, nearest, 0.0) @ self.rank


STRATEGY = Strategy(
    "novelselect",
    "the most novel row, weighted by density",
    "Yang et al. 2025, arXiv 2502.17184",
    order,
    lambda rows, dimension, count: (
        whole_pool(rows, dimension, NEAREST_KEPT + 2 * NEIGHBOURS) + products(rows)
    ),
)
