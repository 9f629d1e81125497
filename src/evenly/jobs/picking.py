"""From prepared controls to a selection: the loop, the knee, a rival strategy, or the search for a larger h_min."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
from evenly.strategies import Task, strategy_named
from evenly.types import Int64Array, Metric, Progress, Selection, silent
from evenly.vectors import Cache

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
class Picker:
    """Picks from one pool.

    Attributes:
        vectors: (N, d) float32 prepared rows.
        hashed: their hash.
        metric: of all distances.
        start, seed, allow_copies: as asked.
        cache: where orders are saved, or None.
        open_pool: makes a pool of the rows; None for one in memory.
        strategy: maxmin or a rival.
        refine: whether to look for a larger h_min than greedy reaches.
    """

    vectors: Tensor
    hashed: str
    metric: Metric
    start: Start = None
    seed: int = 0
    allow_copies: bool = False
    cache: Cache | None = None
    open_pool: Callable[[], AbstractContextManager[Pool]] | None = None
    strategy: str = MAXMIN
    refine: bool = False

    def pick(self, prepared: Prepared, progress: Progress = silent) -> Selection:
        """Picks by the strategy asked for; max-min under the controls unless another is named."""
        if self.strategy != MAXMIN:
            return self._by_strategy(prepared, progress)
        if self.open_pool is None:
            found = self._greedy(prepared, None, progress)
        else:
            with self.open_pool() as pool:
                found = self._greedy(prepared, pool, progress)
        return self._refined(prepared, found, progress) if self.refine else found

    def _by_strategy(self, prepared: Prepared, progress: Progress) -> Selection:
        eligible = _eligible_rows(prepared)
        task = Task(
            self.vectors[torch.from_numpy(eligible)],
            min(prepared.count, len(eligible)),
            self.metric,
            prepared.lengths[eligible],
            None if prepared.quality is None else prepared.quality[eligible],
            self.seed,
            progress,
        )
        picks = eligible[strategy_named(self.strategy).order(task)]
        short = prepared.count > len(eligible)
        return selection_of(self.vectors, picks, self.metric, asked=prepared.count, exhausted=short)

    def _refined(self, prepared: Prepared, found: Selection, progress: Progress) -> Selection:
        eligible = _eligible_rows(prepared)
        some = self.vectors[torch.from_numpy(eligible)]
        better = refine(
            some, selection_of(some, np.searchsorted(eligible, found.rows), self.metric), progress
        )
        if better.h_min <= found.h_min:
            return found
        return selection_of(self.vectors, eligible[better.rows], self.metric, asked=found.asked)

    def _greedy(self, prepared: Prepared, pool: Pool | None, progress: Progress) -> Selection:
        found = select_prepared(
            self.vectors,
            prepared.count,
            self.metric,
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
            self.vectors, found.rows[:kept], self.metric, anchors=prepared.controls.anchors, asked=kept
        )

    @staticmethod
    def _fewest(prepared: Prepared, picks: Int64Array) -> int:
        """How many first picks hold the given rows and what each group must give."""
        given, quotas = len(prepared.controls.given), prepared.controls.quotas
        return given if quotas is None else quotas.fewest(picks, given)

    def without_quality(self, prepared: Prepared, progress: Progress = silent) -> Selection | None:
        """The order that the scores were left out of, for what they cost; None where it cannot be made."""
        controls = replace(prepared.controls, quality=None, within=0.0, weights=prepared.plain_weights)
        if "floor" in prepared.set_aside.counts():
            aside = {row for row, (control, _) in prepared.set_aside.reasons.items() if control != "floor"}
            eligible = np.ones(len(prepared.lengths), dtype=bool)
            eligible[list(aside)] = False
            controls = replace(controls, eligible=eligible)
        try:
            return replace(self, cache=None).pick(replace(prepared, controls=controls), progress)
        except InputError:
            return None

    def _saved(self, key: str) -> SavedOrder | None:
        if self.cache is None:
            return None
        parts = (self.hashed, f"{self.start}", f"{self.seed}", *([key] if key else []))
        return SavedOrder(self.cache.orders, *parts)


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
