"""From prepared controls to a selection: the loop, the knee, a rival strategy, or the search for a larger h_min."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from evenly.controls.prepare import Prepared
from evenly.controls.request import ControlRequest
from evenly.engine.budgets import read_budget
from evenly.engine.greedy import Start, select_prepared
from evenly.engine.knee import knee
from evenly.engine.orders import selection_of
from evenly.engine.pool import Pool
from evenly.engine.refine import refine
from evenly.engine.saved_order import SavedOrder
from evenly.errors import InputError
from evenly.opened import OpenedPool
from evenly.strategies import Task, strategy_named
from evenly.types import Int64Array, Progress, Selection, silent

MAXMIN = "maxmin"
ALL_STRATEGIES = "all"


_OF_ANY_STRATEGY = {"guard", "avoid", "distance", "floor", "quality"}


def check_strategy(
    strategy: str, asked: ControlRequest, keep: str | None, start: object, refine: bool
) -> None:
    """Refuses a strategy that is not known, and options that belong to the max-min order.

    Raises:
        InputError: says which option does not go with which.
    """
    if strategy == MAXMIN and not refine:
        return
    if strategy not in (MAXMIN, ALL_STRATEGIES):
        strategy_named(strategy)
    name = "--refine" if refine else f"--strategy {strategy}"
    if refine and strategy != MAXMIN:
        raise InputError("--refine starts from the max-min order; leave --strategy out")
    bent = [option for option in asked.asked() if option not in _OF_ANY_STRATEGY]
    if bent:
        option = bent[0].replace("_", "-")
        raise InputError(f"--{option} bends the max-min order and does not go with {name}; leave one out")
    if start is not None and strategy != MAXMIN:
        raise InputError(f"--start names the first pick of the max-min order; {name} has its own")
    if keep is None or read_budget(keep).unit != "rows":
        raise InputError(f"{name} keeps a number of rows: give --keep a share or a count")


@dataclass(frozen=True, eq=False)
class Picked:
    """A selection, and what was seen while it was made."""

    selection: Selection
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Picker:
    """Picks from one pool.

    Attributes:
        pool: the pool.
        start, seed, allow_copies: as asked.
        use_saved: whether an order that an earlier run saved may be gone on from.
        strategy: maxmin or a rival.
        refine: whether to look for a larger h_min than greedy reaches.
    """

    pool: OpenedPool
    start: Start = None
    seed: int = 0
    allow_copies: bool = False
    use_saved: bool = True
    strategy: str = MAXMIN
    refine: bool = False

    def pick(self, prepared: Prepared, progress: Progress = silent) -> Picked:
        """Picks by the strategy asked for; max-min under the controls unless another is named."""
        if self.strategy != MAXMIN:
            return Picked(self._by_strategy(prepared, progress))
        with self.pool.points.open() as pool:
            found = self._greedy(prepared, pool, progress)
        if not self.refine:
            return Picked(found)
        better = self._refined(prepared, found, progress)
        return Picked(better, {"refine": {"greedy_h_min": found.h_min, "h_min": better.h_min}})

    def _by_strategy(self, prepared: Prepared, progress: Progress) -> Selection:
        eligible = _eligible_rows(prepared)
        task = Task(
            self.pool.points.tensor[torch.from_numpy(eligible)],
            min(prepared.count, len(eligible)),
            self.pool.metric,
            prepared.lengths[eligible],
            None if prepared.quality is None else prepared.quality[eligible],
            self.seed,
            progress,
        )
        picks = eligible[strategy_named(self.strategy).order(task)]
        short = prepared.count > len(eligible)
        return selection_of(
            self.pool.points.tensor, picks, self.pool.metric, asked=prepared.count, exhausted=short
        )

    def _refined(self, prepared: Prepared, found: Selection, progress: Progress) -> Selection:
        eligible = _eligible_rows(prepared)
        some = self.pool.points.tensor[torch.from_numpy(eligible)]
        better = refine(
            some, selection_of(some, np.searchsorted(eligible, found.rows), self.pool.metric), progress
        )
        if better.h_min <= found.h_min:
            return found
        return selection_of(
            self.pool.points.tensor, eligible[better.rows], self.pool.metric, asked=found.asked
        )

    def _greedy(self, prepared: Prepared, pool: Pool, progress: Progress) -> Selection:
        found = select_prepared(
            self.pool.points.tensor,
            prepared.count,
            self.pool.metric,
            prepared.controls,
            start=self.start,
            seed=self.seed,
            allow_copies=self.allow_copies,
            saved=self._saved(_controls_key(prepared)),
            pool=pool,
            progress=progress,
        )
        if prepared.budget.unit != "knee":
            return found
        kept = max(knee(np.minimum.accumulate(found.radii)), self._fewest(prepared, found.rows))
        return selection_of(
            self.pool.points.tensor,
            found.rows[:kept],
            self.pool.metric,
            anchors=prepared.controls.anchors,
            asked=kept,
        )

    @staticmethod
    def _fewest(prepared: Prepared, picks: Int64Array) -> int:
        """How many first picks hold the given rows and what each group must give."""
        given, quotas = len(prepared.controls.given), prepared.controls.quotas
        return given if quotas is None else quotas.fewest(picks, given)

    def _saved(self, key: str) -> SavedOrder | None:
        cache = self.pool.cache
        if cache is None or not self.use_saved:
            return None
        parts = (self.pool.points.sha256, f"{self.start}", f"{self.seed}", *([key] if key else []))
        return SavedOrder(cache.orders, *parts)


def _eligible_rows(prepared: Prepared) -> Int64Array:
    eligible = prepared.controls.eligible
    return np.arange(len(prepared.lengths)) if eligible is None else np.flatnonzero(eligible)


def _controls_key(prepared: Prepared) -> str:
    """Names the order that controls lead to; empty where it is the plain one, cut short.

    Budgets and least distances only cut an order, so they are no part of it.
    """
    controls = prepared.controls
    digest = hashlib.sha256()
    quotas = controls.quotas
    arrays: list[Any] = [
        controls.eligible,
        None if controls.anchors is None else controls.anchors.numpy(),
        controls.given if len(controls.given) else None,
        controls.weights,
        None if controls.within == 0 else controls.quality,
        *((quotas.group, quotas.least, quotas.most, np.array([prepared.count])) if quotas else ()),
    ]
    if all(array is None for array in arrays):
        return ""
    for array in arrays:
        digest.update(
            b"-" if array is None else str(array.shape).encode() + np.ascontiguousarray(array).tobytes()
        )
    digest.update(f"{controls.within} {prepared.budget.unit == 'knee'}".encode())
    return digest.hexdigest()
