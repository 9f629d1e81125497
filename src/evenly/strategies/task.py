"""What a strategy is given and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evenly.types import Float64Array, Int64Array, Metric, Progress, silent


@dataclass(frozen=True, eq=False)
class Task:
    """A pool and how much to keep of it.

    Attributes:
        vectors: (N, d) float32 rows from `evenly.engine.greedy.pool_tensor`.
        count: k, rows to keep; at most N.
        metric: of distances.
        lengths: (N,) int64 characters of every row.
        quality: (N,) float64 scores, or None.
        seed: of every draw.
        progress: called as the work goes on.
    """

    vectors: Tensor
    count: int
    metric: Metric
    lengths: Int64Array
    quality: Float64Array | None = None
    seed: int = 0
    progress: Progress = silent

    @property
    def rows(self) -> int:
        """N."""
        return len(self.vectors)


@dataclass(frozen=True)
class Strategy:
    """A way to choose rows.

    Attributes:
        name: on the command line.
        line: what it does, in one line.
        source: where it is from.
        order: from a task to (k,) different row numbers in the order of choosing.
    """

    name: str
    line: str
    source: str
    order: Callable[[Task], Int64Array]
