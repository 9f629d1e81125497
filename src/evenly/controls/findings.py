"""What a selection turned out to be: in numbers for the record and ``--json``, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evenly.controls.control import Control, Told
from evenly.folder.excluded import EXCLUDED_SCHEMA
from evenly.rows.rows import Rows
from evenly.types import Int64Array, Selection
from evenly.words import percent

if TYPE_CHECKING:
    from evenly.controls.prepared import Prepared

FIRST_PICKS = 20
"""Max-min takes outliers first, so noise shows among so many picks."""
NOISY_PICKS = 3
"""So many noisy rows among the first picks are worth a warning."""
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
GROUPS_SHOWN = 6
"""Groups on one line of a terminal."""
LOST = 1 / 5
"""A part of the pool of which less than this, of what its size would give it, is kept is nearly lost."""
FEWEST_EXPECTED = 10
"""A random selection keeps at least a fifth of so many expected rows but in one case of several thousand."""


def findings(prepared: Prepared, selection: Selection) -> dict[str, Any]:
    """What each control did, how lengths shifted, and noise among the first picks. Keys are those of version 0.1.0."""
    rows = prepared.pool.rows
    found = {
        **prepared.facts,
        "lengths": length_shift(rows.characters, selection.rows),
        **_tokens(prepared.pool.tokens, selection.rows),
        "noise": first_noise(rows, selection, len(prepared.given)),
    }
    if len(rows.opened) > 1:
        numbers = np.searchsorted(rows.starts, selection.rows, side="right") - 1
        kept, pool = np.bincount(numbers, minlength=len(rows.opened)), np.diff(rows.starts)
        found["sources"] = _shares(rows.source_names, kept, pool)
    if prepared.excluded:
        found["set_aside"] = prepared.excluded_counts()
    if len(prepared.given):
        found["given"] = len(prepared.given)
    if prepared.costs is not None:
        budget, spent = prepared.choice.budget, int(prepared.costs[selection.rows].sum())
        found["budget"] = {"unit": budget.unit, "amount": budget.amount, "spent": spent}
    if prepared.groups is not None:
        names, group = prepared.groups
        kept = group[selection.rows[len(prepared.given) :]]
        counts = (np.bincount(of, minlength=len(names)) for of in (kept, group))
        found["groups"] = _shares(names, *counts)
    for control in prepared.choice.controls:
        found |= control.found(prepared, selection)
    return found


def _shares(names: Sequence[str], kept: Int64Array, pool: Int64Array) -> dict[str, dict[str, int]]:
    return {
        name: {"kept": int(held), "pool": int(there)}
        for name, held, there in zip(names, kept, pool, strict=True)
    }


def nearly_lost(shares: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Parts of the pool of which less than `LOST` times the share of the whole is kept, with what is, from 0 to 1.

    Parts so small that a random selection might lose them as well are left out.
    """
    kept, pool = (sum(part[what] for part in shares.values()) for what in ("kept", "pool"))
    fair = kept / max(pool, 1)
    return {
        name: part["kept"] / part["pool"]
        for name, part in shares.items()
        if part["kept"] < LOST * fair * part["pool"] and fair * part["pool"] >= FEWEST_EXPECTED
    }


def told(controls: Iterable[Control], found: Mapping[str, Any], most: int) -> Told:
    """What a person should know of what was found under controls; lists have at most so many entries."""
    said: Told = []
    if budget := found.get("budget"):
        said.append(("budget", f"{budget['spent']:,} of {budget['amount']:,.0f} {budget['unit']} spent"))
    if (groups := found.get("groups")) and groups != found.get("sources"):
        shown = [f"{name} {of['kept']:,} of {of['pool']:,}" for name, of in list(groups.items())[:most]]
        more = f", and {len(groups) - most} more groups" if len(groups) > most else ""
        said.append(("groups", f"{', '.join(shown)}{more}"))
    return said + [line for control in controls for line in control.told(found)]


def length_shift(lengths: Int64Array, kept: Int64Array) -> dict[str, Any]:
    """Mean and quantiles of the characters of kept rows and of the pool."""
    return {"levels": list(LEVELS), "kept": _summary(lengths[kept]), "pool": _summary(lengths)}


def _tokens(tokens: Int64Array | None, kept: Int64Array) -> dict[str, dict[str, int]]:
    """What was counted while texts were embedded; nothing where vectors were given."""
    if tokens is None:
        return {}
    return {"tokens": {"kept": int(tokens[kept].sum()), "pool": int(tokens.sum())}}


def _summary(lengths: Int64Array) -> dict[str, Any]:
    return {"mean": float(lengths.mean()), "quantiles": np.quantile(lengths, LEVELS).tolist()}


def first_noise(rows: Rows, selection: Selection, given: int = 0) -> dict[str, Any]:
    """Which of the first picks look like noise, and why."""
    picks = selection.rows[given : given + FIRST_PICKS]
    reasons = rows.noise(picks)
    noisy = {rows.ids[row]: reason for row, reason in zip(picks.tolist(), reasons, strict=True) if reason}
    return {"first_picks": len(picks), "noisy": noisy}


def excluded_table(prepared: Prepared, selection: Selection) -> pa.Table | None:
    """Every row that a control kept from being picked, and why; None where there is none."""
    reasons = excluded_rows(prepared, selection)
    if not reasons:
        return None
    numbers, ids = sorted(reasons), prepared.pool.rows.ids
    columns = [[reasons[row][part] for row in numbers] for part in (0, 1)]
    return pa.table([numbers, [ids[row] for row in numbers], *columns], schema=EXCLUDED_SCHEMA)


def excluded_rows(prepared: Prepared, selection: Selection) -> dict[int, tuple[str, str]]:
    """Rows that controls excluded before picking or dropped on the way: the reason and what was found."""
    reasons = dict(prepared.excluded)
    for control in prepared.choice.controls:
        for row, detail in control.dropped(prepared, selection).items():
            reasons.setdefault(row, (next(iter(control.reasons)), detail))
    return reasons


def finding_lines(controls: Iterable[Control], found: Mapping[str, Any], details: bool = True) -> list[str]:
    """One line for each thing a person should know; ``details`` are what is rarely looked at."""
    lines = [f"{reason}: {count:,} rows excluded" for reason, count in found.get("set_aside", {}).items()]
    lines += [f"{term}: {said}" for term, said in told(controls, found, GROUPS_SHOWN)]
    if "refine" in found:
        was, now = found["refine"]["greedy_h_min"], found["refine"]["h_min"]
        gained = (
            f"h_min {was:.6g} of the greedy order became {now:.6g}"
            if now > was
            else "no larger h_min was found"
        )
        lines.append(f"refine: {gained}")
    lines += [f"{name}: {_of(part)}" for name, part in found.get("sources", {}).items()]
    lines += _lost_lines(found)
    if details:
        lines.append(_length_line(found["lengths"]))
    noise = found["noise"]
    if len(noise["noisy"]) >= NOISY_PICKS:
        row, reason = next(iter(noise["noisy"].items()))
        lines.append(
            f"warning: {len(noise['noisy'])} of the first {noise['first_picks']} picks look like noise "
            f"({row}: {reason}); look at the page, or exclude the loneliest rows with `guard=5%`"
        )
    return lines


def _of(part: Mapping[str, int]) -> str:
    return f"{part['kept']:,} of {part['pool']:,} rows kept ({percent(part['kept'] / part['pool'])})"


def _lost_lines(found: Mapping[str, Any]) -> list[str]:
    """A warning where the selection leaves hardly anything of a source or a group, and what can be done.

    Toward a task, that is what was asked for.
    """
    if "toward" in found:
        return []
    remedies = {"sources": "`by=source` and `quota=proportional`", "groups": "`quota=proportional`"}
    lines = []
    for what, remedy in remedies.items():
        shares = found.get(what, {})
        if what == "groups" and shares == found.get("sources"):
            continue  # the sources are the groups
        for name, kept in nearly_lost(shares).items():
            whole = sum(part["kept"] for part in shares.values()) / sum(
                part["pool"] for part in shares.values()
            )
            lines.append(
                f"warning: {name} is nearly lost: {percent(kept)} of it is kept, {percent(whole)} of the pool. Rows "
                f"that share much of their text lie close together; {remedy} keep its share"
            )
    return lines


def _length_line(lengths: dict[str, Any]) -> str:
    kept, pool = lengths["kept"], lengths["pool"]
    middle = lengths["levels"].index(0.5)
    return (
        f"lengths: kept rows have {kept['mean']:,.0f} characters on average (median "
        f"{kept['quantiles'][middle]:,.0f}), the pool {pool['mean']:,.0f} ({pool['quantiles'][middle]:,.0f})"
    )
