"""``objective``: utility and distance in one number, with a bound that the run proves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.controls.control import SCORES, Control, Told, refuse
from evenly.errors import InputError
from evenly.request import option
from evenly.types import Float32Array, Float64Array, metric_distance
from evenly.words import counted, percent_proven

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.engine.gist import Sweep
    from evenly.measures.verify import Check
    from evenly.types import Selection

_WITHOUT = ("anchors", "must", "within", "weight", "density", "dedup", "by", "match_length", "toward")
"""Controls with an order of their own, or with rows that come first; `toward` with a share only excludes."""

_SLACK = 1e-9
"""Of sums of scores and of a distance, in float64 both here and where they were made."""

_ROWS = 1024
"""Rows looked at together when the bound is checked: their pairs are 8 MB of float64."""


@dataclass(frozen=True)
class Gist(Control):
    """The largest mean score plus ``lambda_`` times the smallest distance between two kept rows.

    GIST, arXiv 2405.18754; see `evenly.engine.gist` for what is proven. The distance is Euclidean, between unit rows
    where the metric is cosine, for the proof needs the triangle inequality, which 1 - cos has not.
    """

    group = SCORES
    restricting = reordering = sized = ("objective",)

    objective: str | None = option(
        None,
        "gist: the largest mean of `quality` plus `lambda_` times the distance of the closest kept pair.",
        label="Objective",
    )
    lambda_: float | None = option(
        None,
        "What a distance of 1 (Euclidean) between the closest pair is worth, in units of the score.",
        label="Lambda",
    )

    def check(self, choice: Choice) -> None:
        refuse(not self.objective, "`lambda_` needs `objective=gist`")
        refuse(self.objective != "gist", f"`objective` knows gist alone; got {self.objective!r}")
        refuse("quality" not in choice.options, "`objective=gist` needs `quality`, the score of each row")
        trade = self.lambda_
        refuse(
            trade is None or not 0 <= trade < math.inf,
            "`objective=gist` needs `lambda_`, a finite number of at least 0"
            + ("" if trade is None else f"; got {trade}"),
        )
        refuse(
            choice.budget.unit != "rows" or "keep" not in choice.options,
            "`objective=gist` keeps a number of rows: give `keep` a share or a count",
        )
        refuse(choice.start is not None, "`start` names the first pick; `objective=gist` has its own")
        refuse(choice.allow_copies, "`objective=gist` keeps distinct rows; leave `allow_copies` out")
        for name in _WITHOUT:
            alone = name != "toward" or "toward_share" not in choice.options
            refuse(
                alone and choice.options.get(name),
                f"`{name}` has an order of its own and does not go with `objective=gist`; leave one out",
            )

    def constrain(self, prepared: Prepared) -> None:
        from evenly.engine.gist import gist

        scores, rows = prepared.quality, prepared.distinct()
        if scores is None:
            return
        low = rows[scores[rows] < 0]
        if len(low):
            raise InputError(
                f"`objective=gist` needs scores of at least 0; row {prepared.pool.rows.ids[low[0]]} has "
                f"{scores[low[0]]:g}: use `floor`, or add a number to all"
            )
        order = rows[np.lexsort((rows, -scores[rows]))]
        if prepared.count > 1 and len(rows) > 1:
            sweep = gist(prepared.pool.points, rows, scores, prepared.count, self.lambda_ or 0.0)
            prepared.facts["gist"] = self._facts(prepared, sweep)
            distance = metric_distance(np.array([sweep.best.distance**2]), prepared.pool.metric)
            prepared.keep_apart(float(distance[0]) * (1 - _SLACK))
            if math.isinf(sweep.best.threshold):
                order = np.concatenate(
                    [sweep.best.rows, np.setdiff1d(order, sweep.best.rows, assume_unique=True)]
                )
                prepared.count = len(sweep.best.rows)
        prepared.sequence = np.full(len(prepared.pool), len(order))
        prepared.sequence[order] = np.arange(len(order))

    def _facts(self, prepared: Prepared, sweep: Sweep) -> dict[str, Any]:
        from evenly.engine.gist import upper_bound

        trade, tried = self.lambda_ or 0.0, [one for one in sweep.tried if math.isfinite(one.threshold)]
        thresholds, utilities = [one.threshold for one in tried], [one.utility for one in tried]
        bound = upper_bound(thresholds, utilities, sweep.diameter, trade)
        value = sweep.best.value(trade)
        return {
            "asked": prepared.count,
            "kept": len(sweep.best.rows),
            "utility": sweep.best.utility,
            "distance": sweep.best.distance,
            "value": value,
            "upper_bound": max(bound, value),
            "share_of_best": value / bound if bound > value else 1.0,
            "largest_lambda_for_all": _largest_for_all(sweep, prepared.count),
            "diameter": sweep.diameter,
            "thresholds": thresholds,
            "utilities": utilities,
            "selections_of_work": sweep.work / (len(prepared.distinct()) * prepared.count),
        }

    def told(self, found: Mapping[str, Any]) -> Told:
        if (one := found.get("gist")) is None:
            return []
        line = (
            f"utility {one['utility']:.4g} + {self.lambda_:g} x distance {one['distance']:.4g} (Euclidean) = "
            f"{one['value']:.4g}, proven at least {percent_proven(one['share_of_best'])} of the best "
            f"possible ({one['upper_bound']:.4g})"
        )
        lines = [("gist", line)]
        if one["kept"] < one["asked"]:
            limit, kept = one["largest_lambda_for_all"], counted(one["kept"], "row")
            remedy = (
                f"with a `lambda_` below {limit:.4g} all {one['asked']:,} are" if limit else "lower `lambda_`"
            )
            reason = (
                f"only {kept} of {one['asked']:,} kept: at this `lambda_`, few rows far apart are worth more"
            )
            lines.append(("gist", f"{reason}; {remedy}"))
        return lines

    def verify(self, prepared: Prepared, selection: Selection, found: Mapping[str, Any]) -> list[Check]:
        from evenly.measures.verify import Check

        claim, scores = found.get("gist"), prepared.quality
        if claim is None or scores is None:
            return []
        trade, rows, asked = self.lambda_ or 0.0, prepared.distinct(), int(claim["asked"])
        vectors = prepared.pool.points.vectors
        utility = float(scores[selection.rows].sum()) / asked
        value = utility + trade * _closest(vectors[selection.rows])
        close = abs(value - claim["value"]) <= _SLACK * max(1.0, abs(value)) * 1e3
        bound = _bound(vectors[rows], scores[rows], asked, trade, claim["thresholds"])
        held = bound <= claim["upper_bound"] * (1 + _SLACK) and claim["share_of_best"] * bound <= value * (
            1 + 1e-6
        )
        tried = f"{len(claim['thresholds'])} thresholds tried anew"
        return [
            Check("gist, value", close, f"claimed {claim['value']:.9g}, found {value:.9g}"),
            Check("gist, bound", held, f"claimed {claim['upper_bound']:.9g}, proven {bound:.9g}; {tried}"),
        ]


def _largest_for_all(sweep: Sweep, asked: int) -> float | None:
    """Up to which lambda a set of all rows asked for is worth more than any smaller one that was tried."""
    whole = [one for one in sweep.tried if len(one.rows) == asked]
    fewer = [one for one in sweep.tried if 1 < len(one.rows) < asked]
    limits = (
        [
            min(
                ((one.utility - other.utility) / (other.distance - one.distance))
                if other.distance > one.distance
                else math.inf
                for other in fewer
            )
            for one in whole
        ]
        if fewer
        else []
    )
    largest = max(limits, default=0.0)
    return largest if 0 < largest < math.inf else None


# What follows checks the claim and shares nothing with what made it: plain numpy, in float64.


def _closest(vectors: Float32Array) -> float:
    """The smallest Euclidean distance between two of some rows; 0 for one alone."""
    wide, smallest = vectors.astype(np.float64), math.inf
    for at in range(0, len(wide), _ROWS):
        squared = _squared(wide[at : at + _ROWS], wide)
        squared[np.arange(len(squared)), np.arange(len(squared)) + at] = np.inf
        row, other = np.unravel_index(int(squared.argmin()), squared.shape)
        smallest = min(smallest, float(np.square(wide[row + at] - wide[other]).sum()))
    return math.sqrt(smallest) if math.isfinite(smallest) else 0.0


def _bound(
    vectors: Float32Array, scores: Float64Array, count: int, trade: float, thresholds: list[float]
) -> float:
    """What no set of 2 to k of some rows exceeds, by the thresholds that are said to prove it.

    Sets with h of at least 2 d have at most the utility that is kept at d, and no h exceeds twice the largest distance
    from the mean.
    """
    wide = vectors.astype(np.float64)
    order = np.lexsort((np.arange(len(wide)), -scores))
    wide, scores = wide[order], scores[order]
    diameter = 2 * float(np.sqrt(np.square(wide - wide.mean(axis=0)).sum(axis=1)).max())
    start = wide[int(np.square(wide - wide.mean(axis=0)).sum(axis=1).argmax())]
    for _ in range(_ROWS):  # from a row to the farthest, as long as that proves a smaller diameter
        distance = np.sqrt(np.square(wide - start).sum(axis=1))
        if 2 * distance.max() >= diameter:
            break
        diameter, start = 2 * float(distance.max()), wide[int(distance.argmax())]
    utilities = [_kept_utility(wide, scores, count, threshold) for threshold in thresholds]
    ends = [*thresholds[1:], math.inf]
    largest, least = -math.inf, math.inf
    for utility, end in zip(utilities, ends, strict=True):
        least = min(least, utility)
        largest = max(largest, least + trade * min(2 * end, diameter))
    return largest


def _kept_utility(wide: Float64Array, scores: Float64Array, count: int, threshold: float) -> float:
    """Rows by falling score, skipping those nearer than the threshold to a kept one: the sum of scores over k."""
    kept: list[int] = []
    for at in range(0, len(wide), _ROWS):
        block = np.arange(at, min(at + _ROWS, len(wide)))
        near = _squared(wide[block], wide[kept]).min(axis=1, initial=np.inf)
        block = block[near >= threshold**2]
        pairs = _squared(wide[block], wide[block])
        free = np.ones(len(block), dtype=bool)
        for place in range(len(block)):
            if free[place] and len(kept) < count:
                kept.append(int(block[place]))
                free &= pairs[place] >= threshold**2
        if len(kept) == count:
            break
    return float(scores[kept].sum()) / count


def _squared(left: Float64Array, right: Float64Array) -> Float64Array:
    squared = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2.0 * (left @ right.T)
    return np.asarray(np.maximum(squared, 0.0))
