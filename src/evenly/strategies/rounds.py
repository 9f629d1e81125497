"""Greedy choice in rounds: the same picks as one pass over the pool for each, at the price of matrix products.

Where a row's worth can only fall as rows are picked, greedy among the worthiest rows alone is greedy over the pool for
as long as its pick is worth at least what the best of the others was: the rounds of `evenly.engine.loop`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenly.engine.pool import largest


@dataclass(frozen=True, eq=False)
class Leaders:
    """The worthiest rows of a pool.

    Attributes:
        rows: (B,) int64, ascending.
        rest: the worth of the best of the other rows, and its row number.
    """

    rows: Tensor
    rest: tuple[float, int]

    @staticmethod
    def of(worth: Tensor, most: int) -> Leaders:
        """From (N,) worths, infinitely low for rows that cannot be picked; at most ``most`` rows, at least one."""
        order = torch.from_numpy(largest(worth.numpy(), most + 1))
        order = order[: max(1, int((worth[order] > -torch.inf).sum()))]
        rest = (-torch.inf, len(worth))
        if len(order) > most:
            rest = (float(worth[order[most]]), int(order[most]))
        return Leaders(order[:most].sort().values, rest)

    def best(self, worth: Tensor) -> int | None:
        """Which of the rows greedy picks next, by their worth now, (B,); None where it may be another row."""
        place = int((worth == worth.max()).nonzero()[0])  # the lowest row among equals
        value = float(worth[place])
        sure = value > self.rest[0] or (value == self.rest[0] and int(self.rows[place]) < self.rest[1])
        return place if sure and value > -torch.inf else None
