"""`measure`: how even rows are, alone, in their pool, and beside random sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenly.api.options import READING, split_options, takes_options
from evenly.api.pools import opened
from evenly.bars import own_or_bars
from evenly.measures import Measures
from evenly.measures.measure import measured_points
from evenly.types import Progress, Selection


@takes_options(*READING)
def measure(
    data: Any,
    rows: Any = None,
    *,
    random_draws: int = 20,
    seed: int = 0,
    thresholds: Sequence[float] | None = None,
    diversity: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> Measures:
    """Says how even a set of rows is, alone, in its pool, and against random sets of its size.

    Args:
        data: the pool: (N, d) vectors as for `select`, or rows as for `select_rows`.
        rows: a `Selection`, or (k,) distinct row numbers of the set, in any order; None measures the whole pool.
        random_draws: random subsets to compare with; 0 for none. Not done where the set is the pool.
        seed: of samples and draws. Exact measures do not depend on it.
        thresholds: distances of the metric to count pairs within; None takes 0.01, 0.05, 0.1 for cosine and none for
            euclidean, which has no natural unit.
        diversity: whether to compute the diversity scores.
        progress: as for `select`.
        options: those of ``evenly measure`` for reading and embedding rows; of vectors metric, device, memory.

    Returns:
        `Measures`. Everything under ``exact`` but ``pair_distances`` is exact: computed by subtraction in float64 and
        independent of seed, processor and thread count. Cost: low-precision products of the set with itself and with
        the rest of the pool; with draws, once of the pool with itself.

    Raises:
        InputError: vectors that are not finite rows of equal length, a zero row under cosine, rows that cannot be
            embedded, or row numbers that are not in the pool or named twice.
    """
    (reading,) = split_options("measure", options, READING)
    chosen = rows.rows if isinstance(rows, Selection) else rows
    with own_or_bars(progress) as shown, opened(data, reading, {}, shown) as (pool, _):
        return measured_points(
            pool.points,
            chosen,
            random_draws=random_draws,
            seed=seed,
            thresholds=thresholds,
            diversity=diversity,
            progress=shown,
        )
