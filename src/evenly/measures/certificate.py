"""How good a selection provably is: a bound on the h_min of every selection of the same size.

Cut the pool into k - 1 parts in any way. Of any k rows two lie in the same part, so no k rows have an h_min
above the largest distance between two rows of one part. The parts that share a nearest of the first k - 1
picks have diameters of at most twice the k-th radius (Gonzalez 1985; the greedy order therefore has at least
half the best h_min in Euclidean distance), and their exact diameters are smaller. From there the largest
diameter is lowered by moving one of its two end rows to a part that can take it, or to a part of its own
where merging a single row into another part sets one free. Every state on the way is a proof, so the search
may stop anywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenly.checks import check_int
from evenly.engine.blocks import ROWS_AT_ONCE, on_all_cores, slices, steady_torch
from evenly.engine.codes import BLOCK, ROUNDING, Coded, squared_by_product
from evenly.engine.distance import squared_distances
from evenly.engine.filter import as_integers
from evenly.engine.mapped import release
from evenly.engine.neighbours import nearest
from evenly.engine.points import Points
from evenly.measures.exact import MOST_PAIRS, nearest_within
from evenly.measures.result import plain
from evenly.measures.sets import RowSet
from evenly.types import (
    Float64Array,
    Int64Array,
    Metric,
    Progress,
    metric_distance,
    silent,
    squared_euclidean,
)
from evenly.words import percent_proven

PAIRS_PER_ROUND = 20_000_000
"""Pool rows times parts looked at in a round, so that a round takes as long in pools of all sizes."""

_WORST_AT_MOST = 512
"""Parts looked at in a round at most: many of the next ones would no longer be the widest once these are narrower."""

_EXACT_ROWS = 2048
"""Larger parts are bounded by the low-precision product: a float64 one of so many rows is 32 MB."""

_FEW_ROWS = 32
"""Among so few rows all exact distances take less time than a product that would spare most of them."""
_ASKED_AT_ONCE = 128
"""Rows whose products with the whole pool are held at once on each core: 51 MB for 100,000 rows."""

_WORTHWHILE = 1 - 1e-4
"""A part must get narrower by this much, so that rounds of ever smaller gains end."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of a selection. Distances in the metric's unit.

    Attributes:
        rows: k, the size of the selection and of every selection it is compared with.
        h_min: of the selection, rows kept before it (anchors) included; infinite for a single row.
        upper_bound: no k rows of the pool have a larger h_min.
        share_of_best: h_min / upper_bound, so the selection has at least this share of the best h_min; 1
            where both are 0 or infinite.
        euclidean_share: the same in Euclidean distance (its root where the metric is cosine).
        radius_bound: what twice the k-th radius alone would prove.
        method: how the bound was found.
        moves: rows moved between parts to lower it.
        restricted_by: what kept rows of the pool from being picked freely. The bound makes no use of it, so it holds
            and is loose: the best that the restrictions leave may be far below it.
        parts: (N,) int64, the proof: the part of every row, fewer than k in all and none wider than the
            bound. Empty for a single row.
    """

    metric: Metric
    rows: int
    h_min: float
    upper_bound: float
    share_of_best: float
    euclidean_share: float
    radius_bound: float
    method: str
    moves: int
    restricted_by: tuple[str, ...]
    parts: Int64Array = field(metadata={"saved": False})

    def __str__(self) -> str:
        """The line to print."""
        if self.rows == 1:
            return "a single row has no other row near it, so there is nothing to bound"
        unit = " (1 - cos)" if self.metric == "cosine" else ""
        line = (
            f"h_min {self.h_min:.6g}{unit}; no selection of {self.rows:,} rows can exceed "
            f"{self.upper_bound:.6g}; at least {percent_proven(self.share_of_best)} of the best"
        )
        if self.metric == "cosine":
            line += f" ({percent_proven(self.euclidean_share)} in Euclidean distance)"
        if self.restricted_by:
            line += (
                f", measured against a free choice without {', '.join(self.restricted_by).replace('_', '-')}"
            )
        return line

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, with the line as ``text``; infinite numbers as "inf"."""
        return {**plain(self), "text": str(self)}


@steady_torch()
def certificate(
    points: Points,
    rows: Any,
    *,
    rounds: int = 20,
    keeper: Int64Array | None = None,
    h_min: float | None = None,
    restricted_by: Sequence[str] = (),
    progress: Progress = silent,
) -> Certificate:
    """Bounds the best possible h_min of as many rows, and says what share of it a selection has.

    Args:
        points: the pool.
        rows: (k,) row numbers in the order of picking. Any set gives a valid bound, a greedy order a good one.
        rounds: how often to look for rows to move; 0 takes the parts of the first k - 1 picks as they are.
        keeper: (N,) `Selection.keeper`, which saves the search for each row's nearest pick; None where unknown.
        h_min: `Selection.h_min`, exact, which saves another search and counts anchors; None to find that of the rows.
        restricted_by: what kept rows from being picked freely, to be said beside the bound.

    Returns:
        The certificate. h_min is exact; the bound is exact where no part has more than 2,048 rows, and at
        most a few per mille above the largest diameter otherwise. Cost: one low-precision product of pool and
        selection, and for each round a float32 one of the pool with at most 1,500 rows.

    Raises:
        InputError: as `evenly.measures.measure`.
    """
    order = np.asarray(rows)
    chosen = RowSet.of(points, rows)
    rounds = check_int(rounds, "rounds", at_least=0)
    count = len(chosen.rows)
    if count == 1:
        method = "a single row has no other row near it"
        no_parts = np.zeros(0, dtype=np.int64)
        near = np.inf if h_min is None else h_min  # finite beside anchors, and then nothing is proved
        share = 1.0 if np.isinf(near) else 0.0
        proved = (chosen.points.metric, 1, near, np.inf, share, share, np.inf, method, 0)
        return Certificate(*proved, tuple(restricted_by), no_parts)
    if h_min is None:
        squared_h_min = float(nearest_within(chosen, progress)[1].min())
    else:
        squared_h_min = float(squared_euclidean(h_min, chosen.points.metric))
    parts = _Parts.of_picks(chosen, order.astype(np.int64), keeper, progress)
    squared_radius = parts.squared_radius
    moves = _lower(parts, rounds, progress)
    squared_bound = min(parts.largest(), 4 * squared_radius)
    squared_bound = max(squared_bound, squared_h_min)
    squares = np.array([squared_h_min, squared_bound, 4 * squared_radius])
    found_h_min, bound, radius_bound = metric_distance(squares, chosen.points.metric).tolist()
    share = 1.0 if squared_bound == 0 else squared_h_min / squared_bound
    method = "largest distance between two rows sharing the nearest of the first k - 1 picks"
    if not parts.measured[parts.squared.argmax()]:
        method = "two largest distances to one of the first k - 1 picks, in a part too large to be measured"
    if moves:
        method += f", after moving {moves} rows between those parts"
    return Certificate(
        metric=chosen.points.metric,
        rows=count,
        h_min=found_h_min if h_min is None else h_min,
        upper_bound=bound,
        share_of_best=share if chosen.points.metric == "cosine" else share**0.5,
        euclidean_share=share**0.5,
        radius_bound=radius_bound,
        method=method,
        moves=moves,
        restricted_by=tuple(restricted_by),
        parts=parts.label[np.searchsorted(chosen.points.distinct, chosen.points.first_equal)],
    )


class _Parts:
    """A pool of distinct rows cut into at most k - 1 parts, and the diameter of each or a bound on it."""

    def __init__(self, coded: Coded, label: Int64Array, count: int, squared: Float64Array) -> None:
        self.coded, self.label, self.squared_radius = coded, label, float(squared.max())
        self.order = np.argsort(label, kind="stable")
        self.edges = np.searchsorted(label[self.order], np.arange(count + 1))
        self.changed: dict[int, Int64Array] = {}  # parts that rows were moved from or to
        self.ends = np.zeros((count, 2), dtype=np.int64)
        self.measured = np.diff(self.edges) < 2
        self.squared = np.where(self.measured, 0.0, self._reach_bounds(squared))

    def _reach_bounds(self, squared: Float64Array) -> Float64Array:
        """Two rows of a part are no farther apart than the two largest distances to its pick together."""
        order = np.lexsort((squared, self.label))
        reach = np.append(0.0, np.sqrt(squared[order]))
        last = self.edges[1:]
        farthest, second = reach[last], reach[np.maximum(last - 1, 0)]
        bounds: Float64Array = np.square(second + farthest) * (1 + 1e-12)
        return bounds

    @property
    def count(self) -> int:
        return len(self.squared)

    def members(self, part: int) -> Int64Array:
        """Rows of a part; ascending where none was moved."""
        if (changed := self.changed.get(part)) is not None:
            return changed
        rows: Int64Array = self.order[self.edges[part] : self.edges[part + 1]]
        return rows

    def sizes(self) -> Int64Array:
        """(parts,) int64, rows in each."""
        found = np.diff(self.edges)
        for part, rows in self.changed.items():
            found[part] = len(rows)
        return found

    @staticmethod
    def of_picks(chosen: RowSet, order: Int64Array, keeper: Int64Array | None, progress: Progress) -> _Parts:
        """Each distinct row to the nearest of the first k - 1 picks."""
        distinct = chosen.points.distinct
        coded = chosen.points.coded_of(distinct)
        picks = np.searchsorted(distinct, chosen.points.first_equal[order[:-1]])
        centres = picks[np.sort(np.unique(picks, return_index=True)[1])]
        label = np.full(len(distinct), -1, dtype=np.int64)
        squared = np.zeros(len(distinct))
        if keeper is not None:
            place = np.full(len(distinct), -1, dtype=np.int64)
            place[centres] = np.arange(len(centres))
            own = np.flatnonzero(keeper[distinct] < len(chosen.points))  # the others have anchors for keepers
            label[own] = place[np.searchsorted(distinct, chosen.points.first_equal[keeper[distinct][own]])]
            known = np.flatnonzero(label >= 0)
            for block in slices(len(known), ROWS_AT_ONCE):
                rows = known[block]
                squared[rows] = _squared_distances(coded, rows, centres[label[rows]])
        open_rows = np.flatnonzero(label < 0)
        if len(open_rows):
            queries, keys = (coded.take(torch.from_numpy(some)) for some in (open_rows, centres))
            found = nearest(queries, keys, progress=progress, stage="parts")
            label[open_rows], squared[open_rows] = found.index[:, 0], found.squared_distance[:, 0]
        # Parts beyond the distinct picks (copies) are empty: they wait for rows that are moved out.
        return _Parts(coded, label, len(order) - 1, squared)

    def measure(self, part: int) -> None:
        """Replaces the bound of a part by its diameter."""
        self.squared[part], self.ends[part] = _diameter(self.coded, self.members(part))
        self.measured[part] = True

    def worst(self, count: int) -> Int64Array:
        """The ``count`` widest parts, widest first, measured; others keep a bound that is low enough.

        Fewer, where parts would have to be measured whose pairs are more than `MOST_PAIRS` together.
        """
        by_bound = np.argsort(-self.squared, kind="stable").tolist()
        found: list[
            tuple[float, int]
        ] = []  # a heap of parts measured on the way, which may be narrower than others
        widest: list[int] = []
        at = pairs = 0
        while len(widest) < count:
            part = by_bound[at] if at < self.count else None
            if found and (part is None or found[0] <= (-self.squared[part], part)):
                widest.append(heapq.heappop(found)[1])
                continue
            if part is None or self.squared[part] == 0:
                break
            at += 1
            if self.measured[part]:
                widest.append(part)
                continue
            pairs += len(self.members(part)) ** 2
            if pairs > MOST_PAIRS:
                break
            self.measure(part)
            heapq.heappush(found, (-float(self.squared[part]), part))
        return np.array(widest, dtype=np.int64)

    def largest(self) -> float:
        """Squared diameter of the widest part, or a bound on it where it is too large to be measured."""
        self.worst(1)
        return float(self.squared.max())

    def reach(self, row: int, part: int) -> float:
        """Squared distance from a row to the farthest row of a part."""
        members = self.members(part)
        return float(_squared_distances(self.coded, np.full_like(members, row), members).max())

    def move(self, row: int, part: int) -> None:
        """Moves a row and measures the two parts anew."""
        left = int(self.label[row])
        self.changed[left] = self.members(left)[self.members(left) != row]
        self.changed[part] = np.append(self.members(part), row)
        self.label[row] = part
        self.measure(left)
        self.measure(part)

    def targets(self, rows: Int64Array) -> tuple[Int64Array, Float64Array]:
        """The other part that can take each of some rows best, and the square to its farthest row.

        The squares come from a float32 product: good enough to choose by, not to rely on.
        """
        order = np.argsort(self.label, kind="stable")
        labels, starts = np.unique(self.label[order], return_index=True)
        pool = self._centred(order)
        half_squares = pool.square().sum(1) / 2

        def work(some: Int64Array) -> tuple[Int64Array, Float64Array]:
            queries = self._centred(some)
            half = half_squares - queries @ pool.T
            farthest = np.maximum.reduceat(half.numpy(), starts, axis=1)
            farthest[np.arange(len(some)), np.searchsorted(labels, self.label[some])] = np.inf
            best = farthest.argmin(axis=1)
            half_reach = farthest[np.arange(len(some)), best] + queries.square().sum(1).numpy() / 2
            return labels[best], 2.0 * half_reach.astype(np.float64)

        found = on_all_cores(work, np.array_split(rows, -(-len(rows) // _ASKED_AT_ONCE)))
        return np.concatenate([part for part, _ in found]), np.concatenate([far for _, far in found])

    def _centred(self, rows: Int64Array) -> Tensor:
        taken = self.coded.rows.index_select(0, self.coded.pool_rows(torch.from_numpy(rows)))
        return taken - self.coded.map.centre.float()


def _lower(parts: _Parts, rounds: int, progress: Progress) -> int:
    """Lowers the largest diameter round by round; returns how many rows were moved."""
    moves = 0
    if parts.count < 2:
        return moves
    at_once = int(np.clip(PAIRS_PER_ROUND // len(parts.label), 8, _WORST_AT_MOST))
    for done in range(rounds):
        progress("certificate", done, rounds)
        moved = _lower_once(parts, parts.worst(at_once), at_once)
        moves += moved
        if not moved:
            break
    progress("certificate", rounds, rounds)
    return moves


def _lower_once(parts: _Parts, worst: Int64Array, singles: int) -> int:
    """One round over the widest parts; stops at the first that cannot be made narrower."""
    if not len(worst):
        return 0
    sizes = parts.sizes()
    lone = [int(parts.members(part)[0]) for part in np.flatnonzero(sizes == 1)[::-1][:singles].tolist()]
    asked = np.concatenate([parts.ends[worst].ravel(), np.array(lone, dtype=np.int64)])
    found, reach = parts.targets(asked)
    target = dict(zip(asked.tolist(), zip(found.tolist(), reach.tolist(), strict=True), strict=True))
    empty = np.flatnonzero(sizes == 0).tolist()
    touched: set[int] = set()
    moves = 0
    for part in worst.tolist():
        if part in touched:
            continue
        squared = float(parts.squared[part]) * _WORTHWHILE
        row = min(parts.ends[part].tolist(), key=lambda end: target[end][1])
        to, farthest = target[row]
        if to in touched or farthest >= squared or parts.reach(row, to) >= squared:
            if not empty and (freed := _free_part(parts, lone, target, touched, squared)) is not None:
                empty.append(freed)
                moves += 1
            if not empty:
                break
            to = empty.pop()
        parts.move(row, to)
        touched |= {part, to}
        moves += 1
    return moves


def _free_part(
    parts: _Parts, lone: list[int], target: dict[int, tuple[int, float]], touched: set[int], squared: float
) -> int | None:
    """Merges a lone row into another part if that stays narrower than ``squared``; the part it left."""
    while lone:
        row = lone.pop(0)
        part = int(parts.label[row])
        to, farthest = target[row]
        if farthest < squared and not {part, to} & touched and parts.reach(row, to) < squared:
            parts.move(row, to)
            touched |= {part, to}
            return part
    return None


def _squared_distances(coded: Coded, rows: Int64Array | Tensor, others: Int64Array | Tensor) -> Float64Array:
    """Exact squared distances of pairs of rows, (M,) int64 both."""
    left, right = (coded.pool_rows(torch.as_tensor(part)) for part in (rows, others))
    found: Float64Array = squared_distances(coded.rows, left, coded.rows, right).numpy()
    release(coded.vectors)
    return found


def _diameter(coded: Coded, members: Int64Array) -> tuple[float, Int64Array]:
    """Largest squared distance of two rows of a part (just above it for many rows), and those rows."""
    if len(members) < 2:
        return 0.0, np.zeros(2, dtype=np.int64)
    index = torch.from_numpy(members)
    if len(members) > _EXACT_ROWS:
        return _wide_diameter(coded.take(index), members)
    if len(members) <= _FEW_ROWS:
        first, second = torch.triu_indices(len(members), len(members), 1)
        apart = _squared_distances(coded, index[first], index[second])
        top = int(apart.argmax())
        return float(apart[top]), members[[int(first[top]), int(second[top])]]
    rows = coded.rows.index_select(0, coded.pool_rows(index))
    release(coded.vectors)
    squared, error = squared_by_product(rows, rows, coded.map.centre)
    squared.triu_(1)
    near_top = (squared >= squared.max() - 2 * error.max()).triu(1)
    where, which = near_top.nonzero(as_tuple=True)
    exact = squared_distances(rows, where, rows, which)
    top = int(exact.argmax())
    return float(exact[top]), members[[int(where[top]), int(which[top])]]


def _wide_diameter(coded: Coded, members: Int64Array) -> tuple[float, Int64Array]:
    """Upper bound of the squared diameter by the low-precision product, and a pair about as far apart."""
    codes = coded.codes(slice(0, len(coded)))
    unit = ROUNDING[coded.map.dtype]

    def work(start: int) -> tuple[float, int, int]:
        rows = slice(start, min(start + BLOCK, len(coded)))
        query = codes.query(rows)
        best = (-1.0, 0, 0)
        for column in range(start, len(coded), BLOCK):
            columns = slice(column, min(column + BLOCK, len(coded)))
            product = torch.mm(query, codes.key[columns].T)
            top = int(as_integers(product).argmax())
            row, other = divmod(top, product.shape[1])
            slack = coded.product_error(codes.norm[rows].max(), codes.norm[columns].max())
            reach = codes.error[rows].max() + codes.error[columns].max()
            half = (float(product[row, other]) + float(slack)) * (1 + 4 * unit)
            bound = (2 * half) ** 0.5 + float(reach)
            best = max(best, (bound, start + row, column + other))
        return best

    bound, row, other = max(on_all_cores(work, list(range(0, len(coded), BLOCK))))
    return (bound / coded.map.scale) ** 2, members[[row, other]]
