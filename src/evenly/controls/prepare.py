"""From what was asked for to what the loop takes: rows set aside, anchors, weights, quotas and costs of a pool."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evenly.controls.lengths import length_bins, token_counts
from evenly.controls.request import ControlRequest
from evenly.engine.budgets import ALL, Budget, read_budget
from evenly.engine.constraints import Controls
from evenly.engine.guard import NEIGHBOURS, density_weights, lonely_rows, read_share
from evenly.engine.orders import nearest_of
from evenly.engine.points import Points
from evenly.engine.quotas import Quotas, group_rows, quotas_for
from evenly.errors import InputError
from evenly.measures.loneliest import loneliest, neighbour_radius
from evenly.opened import OpenedPool
from evenly.rows.rows import Rows
from evenly.types import BoolArray, Float64Array, Int64Array, metric_distance


@dataclass
class SetAside:
    """Rows that may not be picked, each with the first control that took it and what it found."""

    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, rows: Int64Array, control: str, details: list[str]) -> None:
        for row, detail in zip(rows.tolist(), details, strict=True):
            self.reasons.setdefault(row, (control, detail))

    def eligible(self, count: int) -> BoolArray:
        """(N,) rows that none of them took."""
        left = np.ones(count, dtype=bool)
        left[list(self.reasons)] = False
        return left

    def counts(self) -> dict[str, int]:
        """Rows by control."""
        names = [control for control, _ in self.reasons.values()]
        return {name: names.count(name) for name in dict.fromkeys(names)}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pool and what was asked of it, ready to pick from.

    Attributes:
        controls: for the loop.
        count: picks at most.
        budget: what ``--keep`` says.
        set_aside: rows that may not be picked.
        lengths: (N,) characters.
        quality: (N,) scores, or None.
        plain_weights: what the weights are without the scores.
        facts: for the record: what each control found.
    """

    controls: Controls
    count: int
    budget: Budget
    set_aside: SetAside
    lengths: Int64Array
    quality: Float64Array | None
    plain_weights: Float64Array | None
    facts: dict[str, Any]


def prepare_controls(
    asked: ControlRequest,
    keep: str | None,
    pool: OpenedPool,
    given: Int64Array | None = None,
) -> Prepared:
    """Turns options into what the loop takes.

    Args:
        asked: passed `check_controls`.
        keep: as asked; None for all that the controls leave.
        pool: the pool.
        given: rows kept first, of a selection that is extended.

    Raises:
        InputError: an unknown field, a score that is no number, a control that leaves nothing, a quota that
            cannot be met, other vectors of another dimension.
    """
    rows, points = pool.rows, pool.points
    budget = read_budget(ALL if keep is None else keep)
    facts: dict[str, Any] = {}
    lengths = rows.characters
    must = _must_rows(asked, rows) if given is None else given
    anchors = None
    if asked.anchors is not None:
        anchors = pool.outside(asked.anchors, "anchors").tensor
        facts["anchors"] = {"name": asked.anchors, "rows": len(anchors)}
    quality = _quality(rows, asked.quality) if asked.quality else None
    aside = SetAside()
    _floor(asked, quality, aside)
    _avoid(asked, pool, must, aside, facts)
    radius = neighbour_radius(points.tensor, NEIGHBOURS) if asked.density else None
    by_density = None if radius is None else density_weights(radius, asked.density)
    if asked.guard:
        _guard(asked.guard, points, radius, must, aside)
    eligible = aside.eligible(len(rows))
    if not eligible.any():
        raise InputError(f"every row was set aside ({_told(aside.counts())}); loosen one of these controls")
    count = min(budget.count(len(rows)), len(rows))
    shared = None if keep is None else count - len(must)
    quotas = _quotas(asked, rows, lengths, eligible, shared)
    if quotas is not None and asked.quota:
        count = quotas.total + len(must)
    if len(must) > count:
        raise InputError(
            f"{len(must)} rows must be kept and --keep {budget.text} gives {count}; raise --keep"
        )
    costs = token_counts(rows, asked.tokenizer, pool.request.encoder) if budget.unit == "tokens" else None
    controls = Controls(
        eligible=eligible if aside.reasons else None,
        anchors=anchors,
        given=must,
        weights=_weights(asked, by_density, quality, eligible),
        quality=quality,
        within=asked.within or 0.0,
        quotas=quotas,
        least_distance=max(asked.dedup or 0.0, budget.amount if budget.unit == "distance" else 0.0),
        costs=lengths if budget.unit == "chars" else costs,
        budget=budget.amount if budget.has_costs else float("inf"),
    )
    return Prepared(controls, count, budget, aside, lengths, quality, by_density, facts)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _must_rows(asked: ControlRequest, rows: Rows) -> Int64Array:
    kept = np.zeros(len(rows), dtype=bool)
    for condition in asked.must:
        name, _, value = condition.partition("=")
        matches = np.array([str(found) == value for found in rows.field(name)])
        if not matches.any():
            raise InputError(f"--must {condition}: no row has this value; check the spelling")
        kept |= matches
    return np.flatnonzero(kept)


def _quality(rows: Rows, name: str) -> Float64Array:
    scores = np.empty(len(rows))
    for row, value in enumerate(rows.field(name)):
        try:
            if value is None or isinstance(value, bool):
                raise ValueError
            scores[row] = float(value)
        except ValueError:
            scores[row] = np.nan
        if not np.isfinite(scores[row]):
            raise InputError(
                f"--quality {name}: row {rows.ids[row]} has {value!r}, not a finite number; "
                "give every row a score or name another field"
            )
    return scores


def _floor(asked: ControlRequest, quality: Float64Array | None, aside: SetAside) -> None:
    if asked.floor is None or quality is None:
        return
    low = np.flatnonzero(quality < asked.floor)
    aside.add(low, "floor", [f"{asked.quality} {quality[row]:g} is below {asked.floor:g}" for row in low])


def _avoid(
    asked: ControlRequest,
    pool: OpenedPool,
    must: Int64Array,
    aside: SetAside,
    facts: dict[str, Any],
) -> None:
    if asked.avoid is None or asked.distance is None:
        return
    others = pool.outside(asked.avoid, "rows to avoid")
    index, distance = nearest_of(pool.points.tensor, others.tensor, pool.metric)
    near = np.flatnonzero(distance <= asked.distance)
    blocked = np.intersect1d(near, must)
    if len(blocked):
        raise InputError(
            f"row {blocked[0]} must be kept but lies {distance[blocked[0]]:.4g} from a row of {asked.avoid}, "
            f"within --distance {asked.distance:g}; lower it or drop --must"
        )
    aside.add(
        near,
        "avoid",
        [f"{distance[row]:.6g} from row {index[row] + 1} of {Path(asked.avoid).name}" for row in near],
    )
    far = distance[distance > asked.distance]
    facts["avoid"] = {
        "name": asked.avoid,
        "rows": len(others),
        "distance": asked.distance,
        "nearest_left": float(far.min()) if len(far) else None,
    }


def _guard(
    asked: str,
    points: Points,
    radius: Float64Array | None,
    must: Int64Array,
    aside: SetAside,
) -> None:
    share = read_share(asked, "--guard")
    if radius is None:
        lonely, far = loneliest(points.tensor, share, NEIGHBOURS)
    else:
        lonely = lonely_rows(radius, share)
        far = radius[lonely]
    spared = np.isin(lonely, must)
    shown = metric_distance(np.square(far[~spared]), points.metric)
    aside.add(
        lonely[~spared],
        "guard",
        [f"among the {asked} loneliest: neighbour {NEIGHBOURS} is {distance:.4g} away" for distance in shown],
    )


def _weights(
    asked: ControlRequest, weights: Float64Array | None, quality: Float64Array | None, eligible: BoolArray
) -> Float64Array | None:
    if asked.weight is not None and quality is not None:
        low = np.flatnonzero(eligible & (quality <= 0))
        if len(low):
            raise InputError(
                f"--weight needs scores above 0; row {low[0]} has {quality[low[0]]:g}: use --floor or --within"
            )
        by_quality = np.where(eligible, quality, 1.0) ** asked.weight
        by_quality /= by_quality[eligible].max()
        weights = by_quality if weights is None else weights * by_quality
    return weights


def _quotas(
    asked: ControlRequest,
    rows: Rows,
    lengths: Int64Array,
    eligible: BoolArray,
    count: int | None,
) -> Quotas | None:
    if asked.match_length:
        bins = length_bins(lengths)
        names = tuple(
            f"{lengths[bins == one].min()}-{lengths[bins == one].max()} characters"
            for one in range(bins.max() + 1)
        )
        return quotas_for(names, bins, eligible, count=count, quota="proportional")
    if asked.by is None:
        return None
    names, group = group_rows(rows.field(asked.by))
    quota: Any = asked.quota
    if quota is not None and quota.endswith(".json"):
        quota = _quota_file(quota)
    return quotas_for(names, group, eligible, count=count, quota=quota, at_least=asked.at_least)


def _quota_file(name: str) -> dict[str, int]:
    try:
        quota = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the quota file {name} cannot be read: {error}") from None
    whole = isinstance(quota, dict) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in quota.values()
    )
    if not whole:
        raise InputError(f'{name} must hold one JSON object of whole numbers by group, e.g. {{"en": 500}}')
    return {str(group): value for group, value in quota.items()}
