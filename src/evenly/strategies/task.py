"""What a strategy is given and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evenly.engine.blocks import available_cores
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array, Metric, Progress, silent
from evenly.words import size


@dataclass(frozen=True, eq=False)
class Task:
    """A pool and how much to keep of it.

    Attributes:
        points: N rows.
        count: k, rows to keep; at most N.
        lengths: (N,) int64 characters of every row; None where there are no texts.
        quality: (N,) float64 scores, or None.
        seed: of every draw.
        progress: called as the work goes on.
    """

    points: Points
    count: int
    lengths: Int64Array | None
    quality: Float64Array | None = None
    seed: int = 0
    progress: Progress = silent

    @property
    def known_lengths(self) -> Int64Array:
        """The lengths, for a strategy that cannot do without.

        Raises:
            InputError: there are no texts.
        """
        if self.lengths is None:
            raise InputError(
                "this strategy looks at lengths of texts, and vectors alone have none; give rows"
            )
        return self.lengths

    @property
    def rows(self) -> int:
        """N."""
        return len(self.points)

    @property
    def vectors(self) -> Tensor:
        """(N, d) float32."""
        return self.points.tensor

    @property
    def metric(self) -> Metric:
        """Of distances."""
        return self.points.metric


@dataclass(frozen=True)
class Strategy:
    """A way to choose rows.

    Attributes:
        name: on the command line.
        line: what it does, in one line.
        source: where it is from.
        order: from a task to (k,) different row numbers in the order of choosing.
        needs: bytes it holds for N rows of d numbers and k picks; None where it works within any bound that the
            max-min order works within.
    """

    name: str
    line: str
    source: str
    order: Callable[[Task], Int64Array]
    needs: Callable[[int, int, int], int] | None = None

    def lacks_room(self, points: Points, count: int) -> str:
        """Why it cannot choose so many within the memory that there is, in one line; empty where it can."""
        if self.needs is None:
            return ""
        needed, limit = self.needs(len(points), points.dimension, count), points.backend.most_memory()
        if limit is None or needed <= limit:
            return ""
        return (
            f"{self.name} holds all rows in memory: {len(points):,} of {points.dimension} numbers take "
            f"{size(needed)} of the {size(limit)} that selection may hold; raise `memory`, or choose a strategy "
            "that does without"
        )


def whole_pool(rows: int, dimension: int, numbers: int = 0) -> int:
    """Bytes of (N, d) float32 rows, of four numbers of 8 bytes for each, and of as many more as are said."""
    return rows * (4 * dimension + 32 + 8 * numbers)


def products(rows: int) -> int:
    """Bytes of products of 1,024 rows with all rows: three float32 copies on each core while they are made."""
    return available_cores() * 3 * 4 * 1024 * rows
