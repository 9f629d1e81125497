"""A saved selection held to what its controls promise, from the rows and vectors made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenly.controls.findings import excluded_rows
from evenly.controls.prepared import Prepared
from evenly.engine.quotas import Quotas
from evenly.measures.verify import Check, Departures
from evenly.types import Int64Array, Selection


def departures_of(prepared: Prepared, picks: Int64Array) -> Departures:
    """How an order departs from plain max-min."""
    count, given, choice = len(prepared.pool), len(prepared.given), prepared.choice
    until = None
    if prepared.quotas is not None:
        until = prepared.quotas.closing_ranks(picks, prepared.count, given)
    if prepared.excluded:
        always = np.full(count, np.iinfo(np.int64).max) if until is None else until
        until = np.where(prepared.eligible(), always, 0)
    return Departures(
        given=given,
        until=until,
        weights=prepared.weights,
        least_distance=prepared.least_distance,
        step=prepared.within,
        part=None if prepared.mixture is None else prepared.mixture.group,
        farthest=choice.picks_farthest and prepared.sequence is None,
    )


def promise_checks(selection: Selection, prepared: Prepared, found: Mapping[str, Any]) -> list[Check]:
    """One line for each promise: excluded rows, budget, quotas, distances; ``found`` is what the record says."""
    checks = []
    again = excluded_rows(prepared, selection)
    if again or selection.excluded:
        checks.append(_excluded_check(set(selection.excluded), set(again)))
    picked = slice(len(prepared.given), None)
    if prepared.costs is not None:
        spent, budget = int(prepared.costs[selection.rows].sum()), prepared.choice.budget
        detail = f"{spent:,} of {budget.amount:,.0f} {budget.unit}"
        checks.append(Check("budget", spent <= budget.amount, detail))
    if prepared.quotas is not None:
        checks.append(_quotas_check(prepared.quotas, selection.rows[picked]))
    if least := prepared.least_distance:
        nearest = float(selection.radii[picked].min(initial=np.inf))
        # Radii are checked against the vectors elsewhere; equality to the last bit is of this machine alone.
        enough = nearest >= least * (1 - 1e-6)
        checks.append(Check("least distance", enough, f"{nearest:.9g}; asked {least:.9g}"))
    for control in prepared.choice.controls:
        checks += control.verify(prepared, selection, found)
    return checks


def _quotas_check(quotas: Quotas, picks: Int64Array) -> Check:
    kept = quotas.counts(picks)
    wrong = np.flatnonzero((kept < quotas.least) | (kept > quotas.most))
    detail = f"{len(quotas.names)} groups as asked"
    if len(wrong):
        one = int(wrong[0])
        detail = (
            f"group {quotas.names[one]!r} gives {kept[one]}, not {quotas.least[one]} to {quotas.most[one]}"
        )
    return Check("quotas", not len(wrong), detail)


def _excluded_check(listed: set[int], again: set[int]) -> Check:
    """The rows that are listed as excluded are those that the controls name again."""
    strange = sorted(listed ^ again)
    detail = f"{len(again):,} rows, as the controls name them"
    if strange:
        where = "listed but not named" if strange[0] in listed else "named but not listed"
        detail = f"row {strange[0]} is {where} by the controls"
    return Check("excluded rows", not strange, detail)
