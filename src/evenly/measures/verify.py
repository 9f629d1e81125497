"""Checks a claimed order from the vectors alone, by another road than the one that made it.

Nothing here is shared with the engine: plain numpy, float64 products, the definitions written down as they read.
An order is greedy max-min if and only if every pick is as far from the earlier ones as its radius says, and no row
was farther: for every row x and rank t, the distance of x to the nearest of the first t picks is at most the radius of
pick t. (A row that was picked before is at distance 0 from itself, so it needs no exception.)

Products decide first; what they find wrong is computed again by subtraction before it is reported. One file, though a
long one: whoever doubts a selection reads the whole proof in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from evenly.checks import check_metric, check_vectors
from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array, Metric, VectorsLike, metric_distance, squared_euclidean

TOLERANCE = 1e-6
"""Relative to the largest radius. Rounding unit rows to float32 alone moves a distance by about 1e-7."""

_ROWS = 2048
"""With `_CENTRES`: a block of squared distances is 8 MB of float64."""

_CENTRES = 512
"""See `_ROWS`."""


@dataclass(frozen=True)
class Check:
    """One line of a verification.

    Attributes:
        name: what was checked.
        passed: whether it holds.
        detail: what was found; where it failed, which row or rank, what was claimed and what is true.
    """

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAILED'}  {self.name}: {self.detail}"


@dataclass(frozen=True, eq=False)
class Departures:
    """How an order departs from plain max-min; the defaults are plain max-min.

    Attributes:
        given: so many picks at the start were given, not chosen.
        until: (N,) int64, the rank from which a row could no longer be picked: 0 for an excluded row. None where
            every row could be picked always.
        weights: (N,) float64; the largest weight times Euclidean distance was picked.
        least_distance: a row nearer than this to an earlier pick or anchor could not be picked.
        step: distances in the same step of this width counted as equal; 0 for none.
        part: (N,) int64, the part of each row where parts took turns: a pick had to be the farthest row of its part.
        farthest: whether picks had to be the farthest at all; another strategy's order has true radii only.
    """

    given: int = 0
    until: Int64Array | None = None
    weights: Float64Array | None = None
    least_distance: float = 0.0
    step: float = 0.0
    farthest: bool = True
    part: Int64Array | None = None

    @property
    def falls(self) -> bool:
        """Whether radii must never increase."""
        return self.farthest and self.weights is None and self.step == 0 and self.part is None


@dataclass(frozen=True, eq=False)
class Claim:
    """What is said of an order.

    Attributes:
        rows: (k,) row numbers in the order of picking.
        radii: (k,) radii; that of a first pick without anchors may be infinite, NaN or None.
        start: the row recorded as first pick; None where anchors stand in its place.
        start_rule: ``nearest-mean`` claims that no row lies nearer the mean of the pool.
        keeper: (N,) nearest kept row of every row, N + i for anchor i; None to leave it unchecked.
        keeper_distance: (N,) distance to it; with ``keeper``.
        h_min: smallest distance; None to leave it unchecked.
        fill: largest distance of a pool row to its keeper; None to leave it unchecked.
    """

    rows: Any
    radii: Any
    start: int | None = None
    start_rule: str = "row"
    keeper: Any = None
    keeper_distance: Any = None
    h_min: float | None = None
    fill: float | None = None


def verify_order(
    vectors: VectorsLike,
    claim: Claim,
    *,
    metric: str = "cosine",
    anchors: VectorsLike | None = None,
    departures: Departures | None = None,
    tolerance: float = TOLERANCE,
) -> list[Check]:
    """Checks an order line by line. Never raises for a wrong claim, only for input that cannot be read.

    Args:
        vectors: (N, d) numbers, the pool.
        claim: what is said of the order.
        metric: ``cosine`` or ``euclidean``; the unit of all distances.
        anchors: (A, d) rows that counted as kept before the first pick.
        departures: how the order departs from plain max-min; None for not at all.
        tolerance: how far distances may be off, as a share of the largest radius. Vectors from another
            machine or device need more: what their own differences amount to.

    Returns:
        The checks, in order. Where the row numbers themselves are wrong, nothing beyond them is checked.
        Cost: one float64 product of the pool with the picks; memory: blocks of 2,048 x 512.

    Raises:
        InputError: vectors or metric that cannot be used, or claims of the wrong length.
    """
    kind, departures = check_metric(metric), departures or Departures()
    pool = _prepared(check_vectors(vectors), kind)
    picks = _as_rows(claim.rows, "row numbers")
    radii = _as_distances(claim.radii, "radii", len(picks))
    first_check = _check_rows(picks, len(pool), departures)
    if not first_check.passed:
        return [first_check]
    fixed = np.empty((0, pool.shape[1]))
    if anchors is not None:
        fixed = _prepared(check_vectors(anchors, name="anchors"), kind)
    free_first = not len(fixed) and not departures.given
    largest = float(np.max(radii[np.isfinite(radii)], initial=0.0))
    slack = tolerance * (largest if largest > 0 else 1.0)
    sweep = _Sweep(pool, fixed, picks, radii, kind, slack, departures)
    sweep.run()
    checks = [first_check]
    if free_first:
        checks.append(_check_start(pool, picks, claim, slack, departures))
    if departures.falls:
        checks.append(_check_falling(radii, max(departures.given, int(free_first)), slack))
    checks.append(sweep.radius_check())
    if departures.farthest:
        checks.append(sweep.farthest_check())
    if claim.keeper is not None:
        distances = _as_distances(claim.keeper_distance, "keeper_distance", len(pool))
        checks.append(sweep.keeper_check(_as_rows(claim.keeper, "keeper"), distances))
    if claim.h_min is not None:
        checks.append(_check_number("h_min", claim.h_min, sweep.smallest_radius(), slack))
    if claim.fill is not None:
        checks.append(_check_number("fill", claim.fill, float(sweep.distance().max()), slack))
    return checks


def verify_bound(
    vectors: VectorsLike,
    parts: Any,
    count: int,
    upper_bound: float,
    *,
    metric: str = "cosine",
    tolerance: float = TOLERANCE,
) -> list[Check]:
    """Checks a certificate: the pool in fewer parts than rows are kept, none wider than the bound.

    Args:
        vectors: (N, d) numbers, the pool.
        parts: (N,) the part of every row (`Certificate.parts`).
        count: k, rows kept.
        upper_bound: what no selection of k rows can exceed, in the metric's unit.
        tolerance: as a share of the bound.

    Returns:
        Two checks. Cost: all pairs within parts, in float64.
    """
    kind = check_metric(metric)
    pool = _prepared(check_vectors(vectors), kind)
    label = _as_rows(parts, "parts")
    if label.shape != (len(pool),):
        raise InputError(f"parts must name the part of each of {len(pool)} rows; got shape {label.shape}")
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    fewer = Check("number of parts", len(groups) < count, f"{len(groups)} parts for {count} rows")
    widest, ends = 0.0, (0, 0)
    for members in groups:
        for at in range(0, len(members), _ROWS):
            squared = _squared_product(pool[members[at : at + _ROWS]], pool[members])
            top = int(squared.argmax())
            row, other = members[at + top // len(members)], members[top % len(members)]
            exact = float(np.square(pool[row] - pool[other]).sum())
            if exact > widest:
                widest, ends = exact, (int(row), int(other))
    found = float(metric_distance(np.array([widest]), kind)[0])
    detail = f"rows {ends[0]} and {ends[1]} of one part are {found:.9g} apart; the bound is {upper_bound:.9g}"
    return [fewer, Check("widest part", found <= upper_bound * (1 + tolerance), detail)]


def _prepared(rows: np.ndarray[Any, np.dtype[np.float32]], metric: Metric) -> Float64Array:
    """Rows as float64; for cosine divided by their lengths and rounded to float32, as the definition says."""
    wide = rows.astype(np.float64)
    if metric == "cosine":
        length = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
        if not length.all():
            raise InputError(
                f"row {int(np.argmin(length))} of the vectors is zero and has no direction under cosine"
            )
        wide = (wide / length).astype(np.float32).astype(np.float64)
    return wide


def _as_rows(values: Any, name: str) -> Int64Array:
    """Claimed row numbers as int64."""
    given = np.asarray(values)
    if len(given) and given.dtype.kind not in "iu":
        raise InputError(f"{name} must be whole numbers; got {given.dtype}")
    return given.astype(np.int64)


def _as_distances(values: Any, name: str, count: int) -> Float64Array:
    """Claimed distances as float64; None and NaN, which stand for no distance, as infinity."""
    given = np.array([np.inf if value is None else value for value in values], dtype=np.float64)
    if given.shape != (count,):
        raise InputError(f"{name} must hold one distance for each of {count} rows; got {given.shape}")
    return np.where(np.isnan(given), np.inf, given)


def _squared_product(left: Float64Array, right: Float64Array) -> Float64Array:
    """Squared distances of all pairs by |x|^2 + |y|^2 - 2 x.y; off by about 1e-15 of the squared lengths."""
    squared = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    squared -= 2.0 * (left @ right.T)
    np.maximum(squared, 0.0, out=squared)
    return cast(Float64Array, squared)


def _check_rows(picks: Int64Array, pool_rows: int, departures: Departures) -> Check:
    name = "row numbers"
    outside = picks[(picks < 0) | (picks >= pool_rows)]
    if len(outside):
        return Check(name, False, f"row {outside[0]} is not in the pool of {pool_rows} rows")
    values, counts = np.unique(picks, return_counts=True)
    if (counts > 1).any():
        return Check(name, False, f"row {values[counts > 1][0]} was picked more than once")
    if not len(picks):
        return Check(name, False, "no row was picked")
    if departures.until is not None:
        chosen = np.arange(departures.given, len(picks))
        late = chosen[departures.until[picks[chosen]] <= chosen]
        if len(late):
            reason = "it was excluded" if departures.until[picks[late[0]]] == 0 else "its group was full"
            return Check(name, False, f"row {picks[late[0]]} was picked at rank {late[0]} although {reason}")
    return Check(name, True, f"{len(picks)} different rows of the pool of {pool_rows}")


def _check_start(
    pool: Float64Array, picks: Int64Array, claim: Claim, slack: float, departures: Departures
) -> Check:
    if claim.start is not None and picks[0] != claim.start:
        return Check("start", False, f"the first pick is row {picks[0]}; the record says {claim.start}")
    if claim.start_rule != "nearest-mean":
        return Check("start", True, f"row {picks[0]}")
    distance = np.sqrt(np.square(pool - pool.mean(axis=0)).sum(axis=1))
    if departures.until is not None:
        distance[departures.until == 0] = np.inf
    if departures.part is not None:
        distance[departures.part != departures.part[picks[0]]] = np.inf
    nearest = int(distance.argmin())
    if distance[picks[0]] > distance[nearest] + slack:
        return Check(
            "start", False, f"row {nearest} is nearer the mean of the pool than the first pick, {picks[0]}"
        )
    return Check("start", True, f"row {picks[0]}, nearest the mean of the pool")


def _check_falling(radii: Float64Array, first: int, slack: float) -> Check:
    name = "radii never increase"
    counted = radii[first:]
    if not np.isfinite(counted).all() or (counted < 0).any():
        rank = int(np.argmin(np.isfinite(counted) & (counted >= 0))) + first
        return Check(name, False, f"the radius at rank {rank} is {radii[rank]}")
    rises = np.flatnonzero(np.diff(counted) > slack)
    if len(rises):
        rank = int(rises[0]) + 1 + first
        return Check(
            name, False, f"the radius rises from {radii[rank - 1]:.9g} to {radii[rank]:.9g} at rank {rank}"
        )
    return Check(name, True, f"{len(counted)} radii")


def _check_number(name: str, claimed: float, found: float, slack: float) -> Check:
    close = claimed == found or abs(claimed - found) <= slack
    return Check(name, close, f"{found:.9g}" if close else f"claimed {claimed:.9g}, found {found:.9g}")


class _Sweep:
    """Distances of all rows to the first t centres (anchors, then picks), for all t, block by block."""

    def __init__(
        self,
        pool: Float64Array,
        anchors: Float64Array,
        picks: Int64Array,
        radii: Float64Array,
        metric: Metric,
        slack: float,
        departures: Departures,
    ) -> None:
        self.pool, self.picks, self.radii, self.metric, self.slack = pool, picks, radii, metric, slack
        self.anchors = len(anchors)
        self.centres = np.concatenate([anchors, pool[picks]])
        # The centre from which on a row could not be picked, and what its square counts for.
        always = np.full(len(pool), len(self.centres))
        self.closed = (
            always if departures.until is None else np.minimum(departures.until + self.anchors - 1, always)
        )
        # Within the slack of the least distance a row may or may not have been open.
        self.squared_least = (
            float(squared_euclidean(departures.least_distance + slack, metric))
            if departures.least_distance
            else 0.0
        )
        self.squared_weight = (
            np.ones(len(pool)) if departures.weights is None else np.square(departures.weights)
        )
        # What a row's distance to the first t centres may be at most: the radius of the pick that comes next.
        next_rank = np.arange(len(self.centres) - 1) + 1 - self.anchors
        chosen = (
            next_rank >= departures.given if departures.farthest else np.zeros(len(next_rank), dtype=bool)
        )
        next_rank = next_rank[chosen]
        reach = radii[next_rank]
        if departures.step:
            reach = (np.floor(reach / departures.step) + 1) * departures.step
        self.squared_allowed = np.full(len(self.centres), np.inf)
        self.squared_allowed[:-1][chosen] = (
            squared_euclidean(reach + slack, metric) * self.squared_weight[picks[next_rank]]
        )
        self.part = np.zeros(len(pool), dtype=np.int64) if departures.part is None else departures.part
        self.next_part = np.full(
            len(self.centres), -2
        )  # of the pick that comes next, where it had to be farthest
        self.next_part[:-1][chosen] = self.part[picks[next_rank]]
        self.turn = np.full(len(pool), -1)  # the centre after which a row was picked
        self.turn[picks] = np.arange(len(picks)) + self.anchors - 1
        self.squared = np.full(len(pool), np.inf)
        self.squared_radius = np.full(len(pool), np.inf)
        self.flagged: list[int] = []

    def run(self) -> None:
        """Fills squared distances and squared radii, and notes rows that seem farther than a pick."""
        middle = self.pool.mean(axis=0)
        centres = self.centres - middle
        for at in range(0, len(self.pool), _ROWS):
            some = np.arange(at, min(at + _ROWS, len(self.pool)))
            rows = self.pool[some] - middle
            nearest, flagged = self.squared[some], np.zeros(len(some), dtype=bool)
            for first in range(0, len(centres), _CENTRES):
                last = min(first + _CENTRES, len(centres))
                squared = _squared_product(rows, centres[first:last])
                turn, weight = self.turn[some], self.squared_weight[some]
                # Rows nearer than every radius of this block need no closer look, unless picked in it.
                picked = (turn >= first) & (turn < last)
                open_rows = np.flatnonzero(
                    picked | (nearest * weight > self.squared_allowed[first:last].min())
                )
                steps = np.minimum(
                    np.minimum.accumulate(squared[open_rows], axis=1), nearest[open_rows, None]
                )
                late = steps * weight[open_rows, None] > self.squared_allowed[first:last]
                late &= steps >= self.squared_least
                late &= np.arange(first, last) < self.closed[some[open_rows], None]
                late &= self.part[some[open_rows], None] == self.next_part[first:last]
                flagged[open_rows] |= late.any(axis=1)
                own = np.flatnonzero(picked[open_rows])
                self.squared_radius[some[open_rows[own]]] = steps[own, turn[open_rows[own]] - first]
                nearest = np.minimum(nearest, squared.min(axis=1))
            self.squared[some] = nearest
            self.flagged += some[flagged].tolist()

    def distance(self) -> Float64Array:
        """Of every row to its nearest centre."""
        return metric_distance(self.squared, self.metric)

    def smallest_radius(self) -> float:
        """Smallest true radius; infinite for a first pick alone."""
        return float(metric_distance(self.squared_radius[self.picks], self.metric).min())

    def _steps(self, row: int) -> Float64Array:
        """Squared distances of one row to the nearest of the first 1, 2 … centres, by subtraction."""
        return np.minimum.accumulate(np.square(self.centres - self.pool[row]).sum(axis=1))

    def radius_check(self) -> Check:
        """Every claimed radius is the distance to the nearest earlier pick."""
        name = "radius of each pick"
        counted = np.arange(0 if self.anchors else 1, len(self.picks))
        found = metric_distance(self.squared_radius[self.picks], self.metric)
        for rank in counted[~(np.abs(found[counted] - self.radii[counted]) <= self.slack)]:
            before = self._steps(int(self.picks[rank]))[self.anchors + rank - 1]
            true = float(metric_distance(np.array([before]), self.metric)[0])
            if not abs(true - self.radii[rank]) <= self.slack:
                row = self.picks[rank]
                detail = f"rank {rank} (row {row}) claims {self.radii[rank]:.9g} and has {true:.9g}"
                return Check(name, False, detail)
        return Check(name, True, f"{len(counted)} radii within {self.slack:.2g}")

    def farthest_check(self) -> Check:
        """No row was ever farther than the row that was picked."""
        name = "farthest row at each pick"
        for row in self.flagged:
            steps = self._steps(row)
            late = (steps * self.squared_weight[row] > self.squared_allowed) & (steps >= self.squared_least)
            late &= self.part[row] == self.next_part
            late = np.flatnonzero(late[: max(self.closed[row], 0)])
            if len(late):
                rank = int(late[0]) + 1 - self.anchors
                true = float(metric_distance(steps[late[:1]], self.metric)[0])
                detail = f"at rank {rank}, row {row} was {true:.9g} away and the pick {self.radii[rank]:.9g}"
                return Check(name, False, detail)
        return Check(name, True, f"{len(self.pool)} rows at {len(self.picks)} picks within {self.slack:.2g}")

    def keeper_check(self, keeper: Int64Array, claimed: Float64Array) -> Check:
        """Every row's keeper is kept, is as far as claimed, and no kept row is nearer."""
        name = "keeper of each row"
        if keeper.shape != (len(self.pool),):
            raise InputError(
                f"keeper must name a row for each of {len(self.pool)} rows; got shape {keeper.shape}"
            )
        kept = np.concatenate([np.arange(len(self.pool), len(self.pool) + self.anchors), self.picks])
        order = np.argsort(kept)
        place = order[np.minimum(np.searchsorted(kept, keeper, sorter=order), len(kept) - 1)]
        strangers = np.flatnonzero(kept[place] != keeper)
        if len(strangers):
            row = strangers[0]
            return Check(name, False, f"the keeper of row {row}, {keeper[row]}, is not a kept row")
        for at in range(0, len(self.pool), _ROWS):
            some = slice(at, at + _ROWS)
            squared = np.square(self.pool[some] - self.centres[place[some]]).sum(axis=1)
            true, least = metric_distance(squared, self.metric), self.distance()[some]
            wrong = np.flatnonzero(~(np.abs(true - claimed[some]) <= self.slack))
            if len(wrong):
                row = at + int(wrong[0])
                found = f"{claimed[row]:.9g} to its keeper {keeper[row]} and has {true[wrong[0]]:.9g}"
                detail = f"row {row} claims {found}"
                return Check(name, False, detail)
            for far in np.flatnonzero(true > least + self.slack):
                steps = self._steps(at + int(far))
                if metric_distance(steps[-1:], self.metric)[0] < true[far] - self.slack:
                    return Check(
                        name,
                        False,
                        f"row {at + far} has a nearer kept row than its keeper {keeper[at + far]}",
                    )
        return Check(name, True, f"{len(self.pool)} rows within {self.slack:.2g}")
