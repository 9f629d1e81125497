"""`select`: the greedy max-min selection of vectors, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from evenly.checks import check_device, check_int, check_keep, check_metric, check_vectors
from evenly.engine.constraints import Controls
from evenly.engine.distance import mean_from_block_sums, squared_distances_to, unit_rows
from evenly.engine.loop import Order, Rule, central_row, extend_order, order_arrays
from evenly.engine.memory import MemoryPool
from evenly.engine.orders import cover_in_order
from evenly.engine.placing import memory_pool
from evenly.engine.pool import Pool
from evenly.engine.saved_order import SavedOrder
from evenly.engine.tiles import steady_torch
from evenly.errors import InputError
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
        device: torch device of the products ("cuda"), and of the vectors where it has room for them; None works
            where the vectors are.
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
    count = check_keep(keep, len(rows))
    pool = memory_pool(rows, check_device(device)) if device is not None else None
    return select_prepared(
        rows, count, metric, start=start, seed=seed, allow_copies=allow_copies, pool=pool, progress=progress
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
    controls: Controls | None = None,
    *,
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    saved: SavedOrder | None = None,
    pool: Pool | None = None,
    progress: Progress = silent,
) -> Selection:
    """`select` for rows from `pool_tensor` and a checked count, under controls.

    At every pick no open row had a larger priority (distance, weight times distance, or step of distance and then
    quality); among equals the lowest row number. Open are eligible rows of open groups that lie at least the
    least distance away, and farther than 0.

    Args:
        rows: (N, d) float32.
        count: picks asked for, given ones among them.
        metric: of all distances.
        controls: what bends the order; None for the plain one.
        start: first pick where there are neither anchors nor given rows; None takes the open row nearest the
            mean of the pool.
        seed: for a random start.
        allow_copies: go on with copies in row order once no open row lies farther than 0.
        saved: picks of an earlier run over the same rows under the same controls, to go on from and to add to.
        pool: a new one of the same rows, wherever it holds them; None makes one in memory.
        progress: called with ("select", picks so far, picks asked for).

    Returns:
        The selection; ``radii`` are distances to the nearest earlier pick or anchor and need not fall where
        rows were given or weighted.

    Raises:
        InputError: nothing can be picked, the start may not be picked, or a quota cannot be met.
    """
    controls = controls or Controls()
    with steady_torch():
        pool = pool or MemoryPool(rows)
        rule = controls.rule(pool.count, count, metric)
        resumed = _admitted(saved.load() if saved else None, controls, rule, count, metric)
        order = _begin(pool, controls, rule, resumed, lambda: _first(pool, rows, rule, start, seed))

        def after_round(so_far: Order) -> None:
            if saved:
                saved.save_now_and_then(so_far)
            progress("select", len(so_far), count)

        extend_order(pool, order, count, rule=rule, after_round=after_round)
        if saved:
            saved.save(order)
        exhausted = len(order) < count and not rule.spent_up
        if exhausted and allow_copies:
            _add_copies(order, count, rule, pool.count)
        rule.check_met()
        _check_any(order, rule, controls)
        return _selection(pool, order, metric, asked=count, exhausted=exhausted)


def _admitted(saved: Order | None, controls: Controls, rule: Rule, count: int, metric: Metric) -> Order:
    """As much of a saved order as this count, budget and least distance take."""
    given = len(controls.given)
    if saved is None or len(saved) < max(given, 1):
        return Order([], [])
    near = metric_distance(np.asarray(saved.squared_radii), metric) < controls.least_distance
    near[: max(given, 1)] = False
    for rank, row in enumerate(saved.rows[:count]):
        if near[rank] or not (rule.spend(row) if rank < given else rule.take(row)):
            return Order(saved.rows[:rank], saved.squared_radii[:rank])
    return Order(saved.rows[:count], saved.squared_radii[:count])


def _begin(pool: Pool, controls: Controls, rule: Rule, resumed: Order, first: Callable[[], int]) -> Order:
    """Covers the pool with the anchors, and with the picks that were made before or are no matter of distance."""
    anchors = controls.anchors if controls.anchors is not None else torch.empty(0)
    if len(anchors):
        pool.cover(anchors, np.arange(len(anchors)) + pool.count)
    if len(resumed):
        picks = np.asarray(resumed.rows, dtype=np.int64)
        for at in range(0, len(picks), PICKS_AT_ONCE):
            part = picks[at : at + PICKS_AT_ONCE]
            pool.cover(pool.take(part), part)
        return resumed
    if len(controls.given):
        order = Order(controls.given.tolist(), cover_in_order(pool, controls.given).tolist())
        if not all(rule.spend(row) for row in order.rows):
            raise InputError(
                f"the rows that must be kept cost more than the budget of {controls.budget:,.0f}; raise --keep"
            )
        return order
    if len(anchors):
        return Order([], [])
    row = first()
    if not rule.take(row):
        return Order([], [])
    pool.cover(pool.take(np.array([row])), np.array([row]))
    return Order([row], [np.inf])


def _first(pool: Pool, rows: torch.Tensor, rule: Rule, start: Start, seed: int) -> int:
    """The row number of the first pick."""
    open_rows = rule.open_rows()
    if open_rows is not None and not open_rows.any():
        raise InputError("every row was set aside, so nothing can be picked; loosen a control")
    if start is None:
        if open_rows is None:
            return central_row(pool)
        mean = mean_from_block_sums(pool.block_sums(), pool.count)
        squared = squared_distances_to(rows, mean.to(rows.device)).cpu().numpy()
        return int(np.argmin(np.where(open_rows, squared, np.inf)))
    if isinstance(start, str):
        if start != "random":
            raise InputError(f'start must be a row number, "random" or None; got {start!r}')
        draw = np.random.default_rng(check_int(seed, "seed", at_least=0))
        if open_rows is None:
            return int(draw.integers(pool.count))
        return int(np.flatnonzero(open_rows)[draw.integers(open_rows.sum())])
    row = check_int(start, "start", at_least=0, below=pool.count)
    if open_rows is not None and not open_rows[row]:
        raise InputError(f"the start, row {row}, was set aside or is in a full group; name another row")
    return row


def _add_copies(order: Order, count: int, rule: Rule, pool_rows: int) -> None:
    """Goes on in row order with rows at distance 0, as far as quotas and budget allow."""
    for row in remaining_rows(pool_rows, order.rows).tolist():
        if len(order) == count:
            return
        if rule.is_open(row):
            if not rule.take(row):
                return
            order.rows.append(row)
            order.squared_radii.append(0.0)


def _check_any(order: Order, rule: Rule, controls: Controls) -> None:
    """Raises InputError where nothing was picked."""
    if not len(order) and rule.spent_up:
        raise InputError(f"the first pick costs more than the budget of {controls.budget:,.0f}; raise --keep")
    if not len(order):
        raise InputError(
            "nothing was picked: every eligible row is a copy of an anchor or too near to one; loosen a control"
        )


def _selection(pool: Pool, order: Order, metric: Metric, *, asked: int, exhausted: bool) -> Selection:
    """The selection that an order makes; kept copies are their own keepers."""
    rows, squared_radii = order_arrays(order)
    keeper, squared = pool.cover_result()
    copies = rows[squared_radii == 0]
    if len(copies):
        keeper = keeper.copy()
        keeper[copies] = copies
    return Selection(
        rows=rows,
        radii=metric_distance(squared_radii, metric),
        keeper=keeper,
        keeper_distance=metric_distance(squared, metric),
        metric=metric,
        asked=asked,
        exhausted=exhausted,
    )


def remaining_rows(count: int, rows: Int64Array | list[int]) -> Int64Array:
    """The row numbers below ``count`` that are not among ``rows``, ascending."""
    left = np.ones(count, dtype=bool)
    left[rows] = False
    return np.flatnonzero(left)
