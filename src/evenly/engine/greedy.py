"""`select`: the greedy max-min selection of vectors, from Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from evenly.checks import check_device, check_int, check_keep
from evenly.engine.blocks import steady_torch
from evenly.engine.constraints import Constraints
from evenly.engine.loop import MOST_AT_MOST, Order, Rule, central_row, extend_order, order_arrays
from evenly.engine.orders import cover_in_order, cover_outside
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.engine.pool import Pool
from evenly.engine.saved_order import SavedOrder
from evenly.errors import InputError
from evenly.types import Int64Array, Metric, Progress, Selection, VectorsLike, metric_distance, silent

Start = int | Literal["random"] | None


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
    if device is not None:
        backend = Backend(device=check_device(device))
    else:
        backend = Backend(device=vectors.device) if isinstance(vectors, torch.Tensor) else Backend()
    points = Points.of(vectors, metric, backend)
    return select_prepared(
        points,
        check_keep(keep, len(points)),
        start=start,
        seed=seed,
        allow_copies=allow_copies,
        progress=progress,
    )


def select_prepared(
    points: Points,
    count: int,
    constraints: Constraints | None = None,
    *,
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    saved: SavedOrder | None = None,
    progress: Progress = silent,
) -> Selection:
    """`select` for a checked count, under constraints, in the pool that the points open.

    Args:
        points: the pool.
        count, constraints, start, seed, allow_copies: see `Greedy`.
        saved, progress: see `Greedy.run`.

    Raises:
        InputError: as `Greedy.run`.
    """
    asked = Greedy(count, points.metric, constraints or Constraints(), start, seed, allow_copies)
    with points.open() as pool:
        return asked.run(pool, saved, progress)


@dataclass(frozen=True, eq=False)
class Greedy:
    """A greedy order that is asked for.

    At every pick no open row had a larger priority (distance, weight times distance, or step of distance and then
    quality); among equals the lowest row number. Open are eligible rows of open groups that lie at least the
    least distance away, and farther than 0.

    Attributes:
        count: picks asked for, given ones among them.
        metric: of all distances.
        constraints: what changes the order; none for the plain one.
        start: first pick where there are neither anchors nor given rows; None takes the open row nearest the
            mean of the pool.
        seed: for a random start.
        allow_copies: go on with copies in row order once no open row lies farther than 0.
        twins: (n,) rows that are gone on with all the same, for their vectors alone are those of others.
    """

    count: int
    metric: Metric
    constraints: Constraints = field(default_factory=Constraints)
    start: Start = None
    seed: int = 0
    allow_copies: bool = False
    twins: Int64Array | None = None

    def run(self, pool: Pool, saved: SavedOrder | None = None, progress: Progress = silent) -> Selection:
        """Picks from a pool that has no picks.

        Args:
            pool: wherever it holds its vectors; nothing is read past it.
            saved: picks of an earlier run over the same rows under the same constraints, to go on from and add to.
            progress: called with ("select", picks so far, picks asked for).

        Returns:
            The selection; ``radii`` are distances to the nearest earlier pick or anchor and need not fall where
            rows were given or weighted.

        Raises:
            InputError: nothing can be picked, the start may not be picked, or a quota cannot be met.
        """
        with steady_torch():
            rule = self.constraints.rule(pool.count, self.count, self.metric)
            order = self._begun(pool, rule, self._admitted(saved.load() if saved else None, rule))

            def after_round(so_far: Order) -> None:
                if saved:
                    saved.save_now_and_then(so_far)
                progress("select", len(so_far), self.count)

            extend_order(pool, order, self.count, rule=rule, after_round=after_round)
            if saved:
                saved.save(order)
            exhausted = len(order) < self.count and not rule.spent_up
            if exhausted and self.allow_copies:
                self._add_copies(order, rule, remaining_rows(pool.count, order.rows))
            elif exhausted and self.twins is not None:
                self._add_copies(order, rule, np.setdiff1d(self.twins, order.rows))
            rule.check_met()
            self._check_any(order, rule)
            return self._selection(pool, order, exhausted)

    def _admitted(self, saved: Order | None, rule: Rule) -> Order:
        """As much of a saved order as this count, budget and least distance take."""
        given = len(self.constraints.given)
        if saved is None or len(saved) < max(given, 1):
            return Order([], [])
        distance = metric_distance(np.asarray(saved.squared_radii), self.metric)
        near = distance < self.constraints.least_distance
        near[: max(given, 1)] = False
        for rank, row in enumerate(saved.rows[: self.count]):
            if near[rank] or not (rule.spend(row) if rank < given else rule.take(row)):
                return Order(saved.rows[:rank], saved.squared_radii[:rank])
        return Order(saved.rows[: self.count], saved.squared_radii[: self.count])

    def _begun(self, pool: Pool, rule: Rule, resumed: Order) -> Order:
        """Covers the pool with the anchors, and with the picks that were made before or are no matter of distance."""
        anchors, given = self.constraints.anchors, self.constraints.given
        if anchors is not None:
            cover_outside(pool, anchors)
        if len(resumed):
            picks = np.asarray(resumed.rows, dtype=np.int64)
            for at in range(0, len(picks), MOST_AT_MOST):  # a pool on disk has room for a round
                part = picks[at : at + MOST_AT_MOST]
                pool.cover(pool.take(part), part)
            return resumed
        if len(given):
            order = Order(given.tolist(), cover_in_order(pool, given).tolist())
            if not all(rule.spend(row) for row in order.rows):
                raise InputError(
                    f"the rows that must be kept cost more than the budget of {self.constraints.budget:,.0f}; "
                    "raise `keep`"
                )
            return order
        if anchors is not None:
            return Order([], [])
        row = self._first(pool, rule)
        if not rule.take(row):
            return Order([], [])
        pool.cover(pool.take(np.array([row])), np.array([row]))
        return Order([row], [np.inf])

    def _first(self, pool: Pool, rule: Rule) -> int:
        """The row number of the first pick."""
        open_rows = rule.open_rows()
        if open_rows is not None and not open_rows.any():
            raise InputError("every row was excluded, so nothing can be picked; loosen a control")
        if (sequence := self.constraints.sequence) is not None:
            return int(np.argmin(sequence if open_rows is None else np.where(open_rows, sequence, np.inf)))
        if self.start is None:
            return central_row(pool, open_rows)
        if isinstance(self.start, str):
            if self.start != "random":
                raise InputError(f'`start` must be a row number, "random" or None; got {self.start!r}')
            draw = np.random.default_rng(check_int(self.seed, "`seed`", at_least=0))
            if open_rows is None:
                return int(draw.integers(pool.count))
            return int(np.flatnonzero(open_rows)[draw.integers(open_rows.sum())])
        row = check_int(self.start, "`start`", at_least=0, below=pool.count)
        if open_rows is not None and not open_rows[row]:
            raise InputError(f"the start, row {row}, was excluded or is in a full group; name another row")
        return row

    def _add_copies(self, order: Order, rule: Rule, copies: Int64Array) -> None:
        """Goes on in row order with rows at distance 0, as far as quotas and budget allow."""
        for row in copies.tolist():
            if len(order) == self.count:
                return
            if rule.is_open(row):
                if not rule.take(row):
                    return
                order.rows.append(row)
                order.squared_radii.append(0.0)

    def _check_any(self, order: Order, rule: Rule) -> None:
        """Raises InputError where nothing was picked."""
        if not len(order) and rule.spent_up:
            budget = self.constraints.budget
            raise InputError(f"the first pick costs more than the budget of {budget:,.0f}; raise `keep`")
        if not len(order):
            raise InputError(
                "nothing was picked: every eligible row is a copy of an anchor or too near to one; loosen a control"
            )

    def _selection(self, pool: Pool, order: Order, exhausted: bool) -> Selection:
        """The selection that an order makes; kept copies are their own keepers."""
        rows, squared_radii = order_arrays(order)
        keeper, squared = pool.cover_result()
        copies = rows[squared_radii == 0]
        if len(copies):
            keeper = keeper.copy()
            keeper[copies] = copies
        return Selection(
            rows=rows,
            radii=metric_distance(squared_radii, self.metric),
            keeper=keeper,
            keeper_distance=metric_distance(squared, self.metric),
            metric=self.metric,
            asked=self.count,
            exhausted=exhausted,
        )


def remaining_rows(count: int, rows: Int64Array | list[int]) -> Int64Array:
    """The row numbers below ``count`` that are not among ``rows``, ascending."""
    left = np.ones(count, dtype=bool)
    left[rows] = False
    return np.flatnonzero(left)
