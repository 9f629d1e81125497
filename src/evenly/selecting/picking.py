"""From a prepared pool to a selection: the loop, the knee, a rival strategy, or the search for a larger h_min."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from evenly.controls.choice import MAXMIN
from evenly.controls.prepared import Prepared
from evenly.engine.greedy import Greedy
from evenly.engine.knee import knee
from evenly.engine.orders import selection_of
from evenly.engine.refine import refine
from evenly.engine.saved_order import SavedOrder
from evenly.errors import InputError
from evenly.strategies import Task, strategy_named
from evenly.types import Int64Array, Progress, Selection, silent


def pick(prepared: Prepared, *, use_saved: bool = True, progress: Progress = silent) -> Selection:
    """Picks by the strategy asked for; max-min under the controls unless another is named.

    Args:
        prepared: a pool and what was asked of it.
        use_saved: whether an order that an earlier run saved may be gone on from.
        progress: called as picks are made.

    Raises:
        InputError: nothing can be picked, the start may not be picked, or a quota cannot be met.
    """
    choice, points = prepared.choice, prepared.pool.points
    if choice.strategy != MAXMIN:
        return _by_strategy(prepared, progress)
    asked = Greedy(
        prepared.count,
        points.metric,
        prepared.constraints(),
        choice.start,
        choice.seed,
        choice.allow_copies,
        _twins(prepared),
    )
    saved = _saved(prepared) if use_saved else None
    with points.open() as pool:
        found = asked.run(pool, saved, progress)
    prepared.reused = saved.loaded if saved else 0
    if choice.budget.unit != "knee":
        return found
    kept = max(knee(np.minimum.accumulate(found.radii)), _fewest(prepared, found.rows))
    return selection_of(points, found.rows[:kept], anchors=prepared.anchors, asked=kept)


def _twins(prepared: Prepared) -> Int64Array | None:
    """Rows that are no copies but have the vector of another: they follow where a count is asked for that distinct
    vectors do not fill.

    A budget of another unit, or a least distance, asks for rows that lie apart.
    """
    if prepared.choice.budget.unit in ("knee", "distance") or prepared.least_distance > 0 or prepared.mixture:
        return None
    hidden = prepared.pool.hidden
    return hidden if len(hidden) else None


def refined(prepared: Prepared, found: Selection, progress: Progress = silent) -> Selection:
    """As many rows with a larger h_min, from a max-min selection without controls that reorder; itself where there
    are none."""
    eligible, points = np.flatnonzero(prepared.eligible()), prepared.pool.points
    some = points.part(eligible)
    greedy = selection_of(some, np.searchsorted(eligible, found.rows))
    better = refine(some, greedy, progress)
    if better.h_min <= found.h_min:
        return found
    return selection_of(points, eligible[better.rows], asked=found.asked)


def _by_strategy(prepared: Prepared, progress: Progress) -> Selection:
    eligible, points = np.flatnonzero(prepared.eligible()), prepared.pool.points
    strategy = strategy_named(prepared.choice.strategy)
    if lacking := strategy.lacks_room(points, prepared.count):
        raise InputError(lacking)
    task = Task(
        points.part(eligible),
        min(prepared.count, len(eligible)),
        prepared.pool.rows.characters[eligible] if prepared.pool.rows.has_texts else None,
        None if prepared.quality is None else prepared.quality[eligible],
        prepared.choice.seed,
        progress,
    )
    picks = eligible[strategy.order(task)]
    short = prepared.count > len(eligible)
    return selection_of(points, picks, asked=prepared.count, exhausted=short)


def _fewest(prepared: Prepared, picks: Int64Array) -> int:
    """How many first picks hold the given rows and what each group must give."""
    given, quotas = len(prepared.given), prepared.quotas
    return given if quotas is None else quotas.fewest(picks, given)


def _saved(prepared: Prepared) -> SavedOrder | None:
    cache, key = prepared.pool.cache, _constraints_key(prepared)
    if cache is None:
        return None
    choice = prepared.choice
    parts = (prepared.pool.points.sha256, f"{choice.start}", f"{choice.seed}", *([key] if key else []))
    return SavedOrder(cache.orders, *parts)


def _constraints_key(prepared: Prepared) -> str:
    """Names the order that controls lead to; empty where it is the plain one, cut short.

    Budgets and least distances only cut an order, so they are no part of it.
    """
    digest = hashlib.sha256()
    quotas, mixture = prepared.quotas, prepared.mixture
    arrays: list[Any] = [
        prepared.eligible() if prepared.excluded else None,
        None if prepared.anchors is None else prepared.anchors.vectors,
        prepared.given if len(prepared.given) else None,
        prepared.weights,
        None if prepared.within == 0 else prepared.quality,
        *(() if prepared.sequence is None else (prepared.sequence,)),
        *((quotas.group, quotas.least, quotas.most, np.array([prepared.count])) if quotas else ()),
        *((mixture.group, mixture.shares, mixture.costs) if mixture else ()),
    ]
    if all(array is None for array in arrays):
        return ""
    for array in arrays:
        digest.update(
            b"-" if array is None else str(array.shape).encode() + np.ascontiguousarray(array).tobytes()
        )
    digest.update(f"{prepared.within} {prepared.choice.budget.unit == 'knee'}".encode())
    return digest.hexdigest()
