"""`split`: train and test parts, or folds, that cover the pool."""

from __future__ import annotations

from typing import Any

from evenly.api.options import READING, split_options, takes_options
from evenly.api.pools import opened
from evenly.bars import own_or_bars
from evenly.jobs.split import HowToSplit, Split, split_pool
from evenly.types import Progress


@takes_options(*READING)
def split(
    data: Any,
    *,
    test: Any = None,
    folds: int | None = None,
    both: bool = False,
    gap: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Split:
    """Makes a test part that covers the pool, without near-copies of its rows in the train part; or folds.

        parts = split(vectors, test="10%")
        train, test = parts.rows["train"], parts.rows["test"]

    Args:
        data: vectors as for `select`, or rows as for `select_rows`.
        test: a share ("10%", 0.1) or a count of rows for the test part.
        folds: into so many parts instead, dealt from one order.
        both: choose train and test in turns (DUPLEX), both as far apart.
        gap: train rows lie farther than this from every test row; None takes 0.05 under cosine, else copies alone.
        progress: as for `select`.
        options: those of ``evenly split`` for reading and embedding rows.

    Raises:
        InputError: neither or both of test and folds, a gap that leaves no train row, or what cannot be read.
    """
    (reading,) = split_options("split", options, READING)
    how = HowToSplit(None if test is None else str(test), folds, both, gap)
    how.check()
    with own_or_bars(progress) as shown, opened(data, reading, {}, shown) as (pool, _):
        return split_pool(how, pool, shown)
