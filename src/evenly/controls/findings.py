"""What the controls did, in numbers and in words: for the record, ``--json`` and the summary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from evenly.controls.lengths import length_shift
from evenly.controls.prepare import Prepared, SetAside
from evenly.controls.request import ControlRequest
from evenly.folder.excluded import EXCLUDED_SCHEMA
from evenly.rows.noise import noise_reasons, usual_rows
from evenly.rows.rows import Rows
from evenly.types import Float64Array, Selection

FIRST_PICKS = 20
NOISY_PICKS = 3
"""So many noisy rows among the first picks are worth a warning."""


def findings(asked: ControlRequest, prepared: Prepared, selection: Selection, rows: Rows) -> dict[str, Any]:
    """What each control did: counts, the length shift, quality kept and dropped, groups, noise among first picks."""
    controls = prepared.controls
    found: dict[str, Any] = dict(prepared.facts)
    found["lengths"] = length_shift(prepared.lengths, selection.rows)
    found["noise"] = first_noise(rows, selection, len(controls.given))
    if prepared.set_aside.reasons:
        found["set_aside"] = prepared.set_aside.counts()
    if len(controls.given):
        found["given"] = len(controls.given)
    if asked.dedup is not None:
        found["near_copies"] = int((_dropped(selection) & (selection.keeper_distance < asked.dedup)).sum())
    if controls.quotas is not None:
        quotas = controls.quotas
        chosen = np.bincount(quotas.group[selection.rows[len(controls.given) :]], minlength=len(quotas.names))
        pool = np.bincount(quotas.group, minlength=len(quotas.names))
        found["groups"] = {
            name: {"kept": int(kept), "pool": int(held)}
            for name, kept, held in zip(quotas.names, chosen, pool, strict=True)
        }
    if controls.costs is not None:
        found["budget"] = {
            "unit": prepared.budget.unit,
            "amount": prepared.budget.amount,
            "spent": int(controls.costs[selection.rows].sum()),
        }
    if prepared.quality is not None:
        found["quality"] = _quality(asked, prepared.quality, selection)
    return found


def _dropped(selection: Selection) -> Any:
    dropped = np.ones(selection.pool_rows, dtype=bool)
    dropped[selection.rows] = False
    return dropped


def _quality(asked: ControlRequest, scores: Float64Array, selection: Selection) -> dict[str, Any]:
    dropped = _dropped(selection)
    return {
        "field": asked.quality,
        "kept_mean": float(scores[selection.rows].mean()),
        "dropped_mean": float(scores[dropped].mean()) if dropped.any() else None,
    }


def first_noise(rows: Rows, selection: Selection, given: int = 0) -> dict[str, Any]:
    """Which of the first picks look like noise, and why."""
    picks = selection.rows[given : given + FIRST_PICKS]
    sample = usual_rows(len(rows))
    usual = ["\n".join(rows.pair(row)) for row in sample.tolist()]
    pairs = [rows.pair(row) for row in picks.tolist()]
    answered = any(answer for _, answer in (rows.pair(row) for row in sample[:50].tolist()))
    reasons = noise_reasons(
        ["\n".join(pair) for pair in pairs],
        answers=[answer for _, answer in pairs] if answered else None,
        usual=usual,
    )
    noisy = {rows.ids[row]: reason for row, reason in zip(picks.tolist(), reasons, strict=True) if reason}
    return {"first_picks": len(picks), "noisy": noisy}


def set_aside_table(
    aside: SetAside, selection: Selection, rows: Rows, dedup: float | None
) -> pa.Table | None:
    """excluded.parquet: every row that a control kept from being picked, and why; None where there is none.

    Near-copies name the kept row (or anchor) that stands for them.
    """
    reasons = dict(aside.reasons)
    if dedup is not None:
        near = np.flatnonzero(_dropped(selection) & (selection.keeper_distance < dedup))
        for row in near.tolist():
            distance, keeper = selection.keeper_distance[row], int(selection.keeper[row])
            name = rows.ids[keeper] if keeper < len(rows) else f"anchor {keeper - len(rows) + 1}"
            reasons.setdefault(row, ("dedup", f"{distance:.6g} from {name}, which is kept"))
    if not reasons:
        return None
    numbers = sorted(reasons)
    return pa.table(
        [
            numbers,
            [rows.ids[row] for row in numbers],
            [reasons[row][0] for row in numbers],
            [reasons[row][1] for row in numbers],
        ],
        schema=EXCLUDED_SCHEMA,
    )


def finding_lines(found: dict[str, Any], kept: int) -> list[str]:
    """One line for each thing a person should know of what the controls did."""
    lines = []
    for control, count in found.get("set_aside", {}).items():
        lines.append(f"{control}: {count:,} rows set aside")
    if "anchors" in found:
        lines.append(
            f"anchors: {found['anchors']['rows']:,} rows of {found['anchors']['name']} count as kept"
        )
    if "avoid" in found and found["avoid"]["nearest_left"] is not None:
        avoid = found["avoid"]
        lines.append(
            f"avoid: no kept row lies within {avoid['distance']:g} of the {avoid['rows']:,} rows of "
            f"{avoid['name']}; the nearest row left is {avoid['nearest_left']:.4g} away"
        )
    if "near_copies" in found:
        lines.append(f"dedup: {found['near_copies']:,} near-copies of kept rows dropped")
    if "budget" in found:
        budget = found["budget"]
        lines.append(
            f"budget: {budget['spent']:,} of {budget['amount']:,.0f} {budget['unit']} in {kept:,} rows"
        )
    if "groups" in found:
        lines.append(_groups_line(found["groups"]))
    if "quality" in found:
        lines.append(_quality_line(found["quality"]))
    if "refine" in found:
        was, now = found["refine"]["greedy_h_min"], found["refine"]["h_min"]
        gained = (
            f"h_min {was:.6g} of the greedy order became {now:.6g}"
            if now > was
            else "no larger h_min was found"
        )
        lines.append(f"refine: {gained}")
    lines.append(_length_line(found["lengths"]))
    noise = found["noise"]
    if len(noise["noisy"]) >= NOISY_PICKS:
        row, reason = next(iter(noise["noisy"].items()))
        lines.append(
            f"warning: {len(noise['noisy'])} of the first {noise['first_picks']} picks look like noise "
            f"({row}: {reason}); look at the page, or set the loneliest rows aside with --guard 5%"
        )
    return lines


def _groups_line(groups: dict[str, dict[str, int]]) -> str:
    shown = [f"{name} {counts['kept']:,} of {counts['pool']:,}" for name, counts in list(groups.items())[:6]]
    more = f", and {len(groups) - 6} more groups" if len(groups) > 6 else ""
    return f"groups: {', '.join(shown)}{more}"


def _quality_line(quality: dict[str, Any]) -> str:
    line = f"quality: mean {quality['field']} {quality['kept_mean']:.4g} of kept rows"
    if quality["dropped_mean"] is not None:
        line += f", {quality['dropped_mean']:.4g} of dropped ones"
    return line


def _length_line(lengths: dict[str, Any]) -> str:
    kept, pool = lengths["kept"], lengths["pool"]
    middle = lengths["levels"].index(0.5)
    return (
        f"lengths: kept rows have {kept['mean']:,.0f} characters on average (median "
        f"{kept['quantiles'][middle]:,.0f}), the pool {pool['mean']:,.0f} ({pool['quantiles'][middle]:,.0f})"
    )
