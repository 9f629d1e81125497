"""Utility and distance in one objective: f(S) = g(S) + lambda h(S), over sets of 2 to k distinct rows.

g(S) is the sum of the scores of S divided by k, h(S) the smallest Euclidean distance between two rows of S. GIST
(Fahrbach et al. 2025, arXiv 2405.18754) tries distance thresholds d: by falling score, every row that lies at least d
from those kept before is kept, up to k of them. What it rests on, for scores that are nowhere below 0:

    every set whose rows lie at least 2 d apart has at most the utility of the set kept at d,

for a kept row is nearer than d to at most one row of the other set, which therefore has no larger score than the kept
row that first stood in its way. So sets with h from 2 d to 2 d' are worth at most g(kept at d) + 2 lambda d', and the
largest of these over consecutive thresholds bounds the best f there is. Beside the pair of rows that lie farthest
apart, f is two thirds of the best for thresholds close enough together (the paper's theorem for linear utility; one
half where g is any monotone submodular function, which is not offered here).

Ours: thresholds are tried where the bound is largest, and not all on a grid, and the bound that the run itself proves
is kept.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

import numpy as np

from evenly.engine.blocks import slices, steady_torch
from evenly.engine.codes import squared_by_product
from evenly.engine.mapped import release
from evenly.engine.points import ROWS_AT_ONCE, Points
from evenly.types import Float64Array, Int64Array, Progress, silent

CLOSE = 1.05
"""Thresholds need no finer ratio: a finer one would lower the bound by less than 5 %."""

MOST_WORK = 3
"""No threshold is begun after so many times the distances that one selection takes, N k; each takes at most as many
again."""

_NO_WORK = 2**20
"""So many distances take milliseconds and are never too many."""

_BLOCK = 1024
"""Rows looked at together, at most: their own pairs are 8 MB of float64."""

_SMALL_BLOCK = 16
"""And at least. In between half of k, for a block's own pairs are to stay a part of those with the rows kept."""

_PASSES = 4
"""Steps from a row to the row farthest from it: the distance rarely grows after the second."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A set of rows and what it is worth.

    Attributes:
        threshold: rows were kept at least so far from those before; Euclidean. Infinite for the pair.
        rows: in the order of keeping.
        utility: g, sum of scores over the rows asked for.
        distance: h, Euclidean; 0 for a single row.
    """

    threshold: float
    rows: Int64Array
    utility: float
    distance: float

    def value(self, trade: float) -> float:
        """f for a lambda."""
        return self.utility + trade * self.distance if len(self.rows) > 1 else -math.inf


@dataclass(frozen=True, eq=False)
class Sweep:
    """All that was tried.

    Attributes:
        best: the set of largest value.
        tried: by rising threshold, the pair last.
        diameter: no two rows lie farther apart; Euclidean.
        work: distances computed.
    """

    best: Kept
    tried: list[Kept]
    diameter: float
    work: int


def upper_bound(thresholds: list[float], utilities: list[float], diameter: float, trade: float) -> float:
    """What no set of at most k rows can exceed: rising thresholds, the first 0, and the utility kept at each."""
    return max(_bounds(thresholds, utilities, diameter, trade))


def _bounds(thresholds: list[float], utilities: list[float], diameter: float, trade: float) -> list[float]:
    """The same for sets with h between twice each threshold and twice the next."""
    least = np.minimum.accumulate(utilities)
    ends = [min(2 * end, diameter) for end in [*thresholds[1:], math.inf]]
    return [float(utility + trade * end) for utility, end in zip(least, ends, strict=True)]


def gist(
    points: Points,
    rows: Int64Array,
    scores: Float64Array,
    count: int,
    trade: float,
    progress: Progress = silent,
) -> Sweep:
    """Tries thresholds where the bound is largest, then beside the best, until they are close or work is spent.

    Args:
        points: the pool.
        rows: (M,) int64, two distinct rows or more that may be kept.
        scores: (N,) float64, at least 0.
        count: k, 2 or more.
        trade: lambda, at least 0.
        progress: called with distances computed so far.

    Returns:
        The sweep. Cost: at most four times the N k distances of one selection, by float64 products, and as a rule one
        or two, for a threshold that keeps k rows early looks at no others.
    """
    order = rows[np.lexsort((rows, -scores[rows]))]
    work = _Thresholds(points, order, scores, count)
    most = max(MOST_WORK * len(order) * count, _NO_WORK)
    with steady_torch():
        pair, diameter = _far_pair(work)
        tried = [work.keep(0.0)]
        if diameter > 0:
            tried.append(work.keep((CLOSE - 1) * diameter / 2))
        while work.done <= most:
            progress("thresholds", work.done, most)
            threshold = _next(tried, pair, diameter, trade)
            if threshold is None:
                break
            insort(tried, work.keep(threshold), key=lambda one: one.threshold)
    every = [*tried, pair]
    best = max(every, key=lambda one: (one.value(trade), len(one.rows)))
    return Sweep(best, every, diameter, work.done)


def _next(tried: list[Kept], pair: Kept, diameter: float, trade: float) -> float | None:
    """Between which thresholds to look next; None where nothing is gained."""
    thresholds = [one.threshold for one in tried]
    bounds = _bounds(thresholds, [one.utility for one in tried], diameter, trade)
    values = [one.value(trade) for one in tried]
    best = int(np.argmax(values))
    if max(bounds) <= max(*values, pair.value(trade)):
        return None
    ends = [*thresholds[1:], diameter / 2]
    for place in (int(np.argmax(bounds)), best, best - 1):
        start, end = thresholds[place], ends[place]
        if start > 0 and end > CLOSE * start:
            return math.sqrt(start * end)
    return None


class _Thresholds:
    """Rows by falling score, and the distances that were computed of them."""

    def __init__(self, points: Points, order: Int64Array, scores: Float64Array, count: int) -> None:
        self.points, self.order, self.scores, self.count = points, order, scores, count
        self.centre = points.take(order[:: max(1, len(order) // 64)]).double().mean(0)
        self.done = 0

    def kept(self, threshold: float, rows: list[int], squared: float) -> Kept:
        chosen = np.array(rows, dtype=np.int64)
        distance = math.sqrt(squared) if len(rows) > 1 else 0.0
        return Kept(threshold, chosen, float(self.scores[chosen].sum()) / self.count, distance)

    def keep(self, threshold: float) -> Kept:
        """The rows kept at a threshold."""
        limit, nearest, rows = threshold * threshold, math.inf, list[int]()
        vectors = self.points.take(self.order[: self.count])  # room for what is kept
        for block in slices(len(self.order), min(max(self.count // 2, _SMALL_BLOCK), _BLOCK)):
            part = self.order[block]
            candidates = self.points.take(part)
            near = np.full(len(part), np.inf)
            for some in slices(len(rows), ROWS_AT_ONCE):
                squared, _ = squared_by_product(candidates, vectors[some], self.centre)
                near = np.minimum(near, squared.amin(1).numpy())
            free = np.flatnonzero(near >= limit)
            own, _ = (
                squared_by_product(candidates[free], candidates[free], self.centre)
                if len(free)
                else (None, None)
            )
            self.done += len(part) * len(rows) + len(free) * (len(free) - 1) // 2
            pairs, near = np.empty((0, 0)) if own is None else own.numpy(), near[free]
            for place, row in enumerate(free):
                if near[place] >= limit:
                    nearest = min(nearest, float(near[place]))
                    vectors[len(rows)] = candidates[row]
                    rows.append(int(part[row]))
                    if len(rows) == self.count:
                        return self.kept(threshold, rows, max(nearest, 0.0))
                    np.minimum(near, pairs[place], out=near)
        return self.kept(threshold, rows, max(nearest, 0.0))

    def squared_to(self, point: Float64Array) -> Float64Array:
        """(M,) float64 squared distances to a point, by subtraction."""
        found = np.empty(len(self.order))
        for block in slices(len(self.order), ROWS_AT_ONCE):
            part = self.points.take(self.order[block]).double().numpy()
            found[block] = np.square(part - point).sum(1)
            release(self.points.vectors)
        self.done += len(self.order)
        return found

    def vector(self, place: int) -> Float64Array:
        row: Float64Array = self.points.take(self.order[place : place + 1])[0].double().numpy()
        return row


def _far_pair(work: _Thresholds) -> tuple[Kept, float]:
    """Two rows that lie far apart, and what no two rows exceed: twice the largest distance from one point."""
    squared = work.squared_to(work.centre.numpy())
    bound = 2 * math.sqrt(float(squared.max()))
    pair, farthest = (0, 0), -1.0
    for _ in range(_PASSES):
        start = int(squared.argmax())
        squared = work.squared_to(work.vector(start))
        end = int(squared.argmax())
        bound = min(bound, 2 * math.sqrt(float(squared[end])))
        if squared[end] <= farthest:
            break
        pair, farthest = (start, end), float(squared[end])
    rows = [int(work.order[place]) for place in sorted(pair)]
    return work.kept(math.inf, rows, farthest), bound
