"""Picks in proportion: parts of a pool take turns, and each turn picks the row that comes first in its part.

Whose turn it is depends on what was taken so far and not on the vectors, so every prefix of an order keeps the shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evenly.types import Int64Array


@dataclass(frozen=True, eq=False)
class Mixture:
    """Shares of G parts.

    Attributes:
        names: of the parts.
        group: (N,) int64, the part of every row; -1 for none, and such rows are never picked.
        shares: (G,) int64 above 0: whole numbers in the ratio of the shares.
        costs: (N,) int64 tokens of every row where tokens are shared out; None for rows.
    """

    names: tuple[str, ...]
    group: Int64Array
    shares: Int64Array
    costs: Int64Array | None = None

    def turns(self) -> Turns:
        """Whose turn it is, from the beginning."""
        return Turns(self)

    def cost(self, row: int) -> int:
        """What a row counts for."""
        return 1 if self.costs is None else int(self.costs[row])

    def most(self, sizes: Int64Array) -> int:
        """How many rows can be taken in turns from parts of so many rows, (G,), where rows are shared out."""
        turns, left = self.turns(), sizes.tolist()
        count = 0
        while left[turns.next] > 0:
            left[turns.next] -= 1
            turns.take(turns.next, 1)
            count += 1
        return count


class Turns:
    """Whose turn it is.

    Rows are dealt so that after every pick each part has less than one row more or fewer than its share: Tijdeman
    (1980), The chairman assignment problem, Discrete Mathematics 32. Of the parts that are behind, the one that would
    be too far behind soonest is next.

    Tokens, which come in rows of unequal length, go to the part that is farthest behind its share, so that no part is
    ahead of its share by more than one row's tokens.
    """

    def __init__(self, mixture: Mixture) -> None:
        self._shares: list[int] = mixture.shares.tolist()
        self._whole: int = sum(self._shares)
        self._by_cost = mixture.costs is not None
        # Urgencies are compared as whole numbers: over one denominator, and twice the parts but one.
        common = math.lcm(*self._shares)
        self._scale: list[int] = [common // share for share in self._shares]
        self._double: int = max(2 * len(self._shares) - 2, 1)
        self.taken = [0] * len(self._shares)
        self._sum = 0
        self.next: int = self._find()

    def take(self, part: int, cost: int) -> None:
        """A pick of a part was made."""
        self.taken[part] += cost
        self._sum += cost
        self.next = self._find()

    def behind(self, part: int, more: int = 0) -> int:
        """How far a part is behind its share of what is taken and ``more``, times the sum of the shares."""
        return self._shares[part] * (self._sum + more) - self.taken[part] * self._whole

    def _find(self) -> int:
        parts = range(len(self._shares))
        if self._by_cost:
            return max(parts, key=lambda part: (self.behind(part), self._shares[part], -part))
        due = [part for part in parts if self._double * self.behind(part, 1) >= self._whole]
        return min(due, key=lambda part: (self._rest(part) * self._scale[part], part))

    def _rest(self, part: int) -> int:
        """How much farther than now a part may fall behind."""
        return (self._double - 1) * self._whole - self._double * self.behind(part, 1)
