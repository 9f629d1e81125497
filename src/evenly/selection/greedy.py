"""`select`: the greedy max-min selection of vectors, from Python."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch

from evenly.checks import check_int, check_keep, check_metric, check_vectors
from evenly.errors import InputError
from evenly.selection.distance import unit_rows
from evenly.selection.loop import Order, central_row, extend_order, order_arrays
from evenly.selection.memory import MemoryPool
from evenly.selection.pool import Pool
from evenly.selection.saved_order import SavedOrder
from evenly.selection.tiles import steady_torch
from evenly.types import Int64Array, Metric, Progress, Selection, VectorsLike, metric_distance, silent

Start = int | Literal["random"] | None

PICKS_AT_ONCE = 8192
"""Saved picks are taken up in parts, for their vectors may be many."""


def select(
    vectors: VectorsLike,
    keep: Any,
    *,
    metric: str = "cosine",
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    device: str | None = None,
    progress: Progress = silent,
) -> Selection:
    """Keeps the rows of a pool that lie as far apart as possible: the greedy max-min order.

    At every pick no row of the pool was farther from the picks before it. Ties go to the lowest row number. The
    order depends on the vectors, the metric and the start alone.

    Args:
        vectors: (N, d) finite numbers, compared as float32: numpy, torch, nested lists or a datasets column.
        keep: a share (0.5, "50%") or a count (5000) of rows.
        metric: ``cosine`` (rows are normalised first; distances are 1 - cos) or ``euclidean``.
        start: row number of the first pick; "random" draws it with ``seed``; None takes the row nearest the mean.
        seed: for a random start.
        allow_copies: go on with radius 0, in row order, once every distinct row is kept.
        device: torch device to work on ("cuda"); None works where the vectors are.
        progress: called with ("select", picks so far, picks asked for).

    Returns:
        The selection, with exact radii and the nearest kept row of every pool row.

    Raises:
        InputError: a value cannot be used; the message says which and what to do.

    Cost: one low-precision product of the pool with the picks (N k d), plus a few passes over the pool.
    Source: Gonzalez (1985), Theoretical Computer Science 38, for the order and its factor of two; Wang & Gu,
    arXiv 2506.24120, for selecting training data by it.
    """
    metric = check_metric(metric)
    rows = pool_tensor(vectors, metric)
    if device is not None:
        rows = rows.to(device)
    count = check_keep(keep, len(rows))
    return select_prepared(
        rows, count, metric, start=start, seed=seed, allow_copies=allow_copies, progress=progress
    )


def pool_tensor(vectors: VectorsLike, metric: Metric) -> torch.Tensor:
    """The (N, d) float32 rows that distances are taken of: checked, and normalised under cosine.

    Shares memory with ``vectors`` where they need no change.
    """
    if isinstance(vectors, torch.Tensor) and vectors.device.type != "cpu":
        rows = vectors.detach().float().contiguous()
        check_vectors(rows[:1], check_finite=False)
    else:
        array = check_vectors(vectors)
        with warnings.catch_warnings():
            # A read-only memory map: torch warns that it could be written to, which never happens here.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            rows = torch.from_numpy(array)
    return unit_rows(rows) if metric == "cosine" else rows


def select_prepared(
    rows: torch.Tensor,
    count: int,
    metric: Metric,
    *,
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    saved: SavedOrder | None = None,
    pool: Pool | None = None,
    progress: Progress = silent,
) -> Selection:
    """`select` for rows from `pool_tensor` and a checked count.

    Args:
        saved: picks of an earlier run over the same rows from the same start, to go on from and to add to.
        pool: a new one of the same rows, wherever it holds them; None makes one in memory.
    """
    with steady_torch():
        pool = pool or MemoryPool(rows)
        order = (saved.load() if saved else None) or Order([resolve_start(pool, start, seed)], [np.inf])
        order = Order(order.rows[:count], order.squared_radii[:count])
        picks = np.asarray(order.rows, dtype=np.int64)
        for at in range(0, len(picks), PICKS_AT_ONCE):
            part = picks[at : at + PICKS_AT_ONCE]
            pool.cover(pool.take(part), part)

        def after_round(so_far: Order) -> None:
            if saved:
                saved.save_now_and_then(so_far)
            progress("select", len(so_far), count)

        extend_order(pool, order, count, after_round=after_round)
        if saved:
            saved.save(order)
        return finish(pool, order, metric, asked=count, allow_copies=allow_copies)


def resolve_start(pool: Pool, start: Start, seed: int) -> int:
    """The row number of the first pick."""
    if start is None:
        return central_row(pool)
    if isinstance(start, str):
        if start != "random":
            raise InputError(f'start must be a row number, "random" or None; got {start!r}')
        return int(np.random.default_rng(check_int(seed, "seed", at_least=0)).integers(pool.count))
    return check_int(start, "start", at_least=0, below=pool.count)


def finish(pool: Pool, order: Order, metric: Metric, *, asked: int, allow_copies: bool) -> Selection:
    """The selection that an order makes, with copies appended in row order where they are wanted."""
    rows, squared_radii = order_arrays(order)
    exhausted = len(rows) < asked
    keeper, squared = pool.cover_result()
    if exhausted and allow_copies:
        copies = remaining_rows(pool.count, rows)[: asked - len(rows)]
        keeper = keeper.copy()
        keeper[copies] = copies
        rows = np.concatenate([rows, copies])
        squared_radii = np.concatenate([squared_radii, np.zeros(len(copies))])
    return Selection(
        rows=rows,
        radii=metric_distance(squared_radii, metric),
        keeper=keeper,
        keeper_distance=metric_distance(squared, metric),
        metric=metric,
        asked=asked,
        exhausted=exhausted,
    )


def remaining_rows(count: int, rows: Int64Array) -> Int64Array:
    """The row numbers below ``count`` that are not among ``rows``, ascending."""
    left = np.ones(count, dtype=bool)
    left[rows] = False
    return np.flatnonzero(left)
