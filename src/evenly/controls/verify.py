"""What each control promises, checked from the rows and vectors made anew."""

from __future__ import annotations

import numpy as np

from evenly.controls.prepare import Prepared, prepare_controls
from evenly.controls.request import ControlRequest
from evenly.folder.manifest import Manifest
from evenly.folder.selection import SelectionFolder
from evenly.measures.verify import Check, Rule
from evenly.opened import OpenedPool
from evenly.types import Int64Array


def prepare_again(manifest: Manifest, pool: OpenedPool, picks: Int64Array) -> Prepared:
    """The controls of a manifest over the same rows, made as select made them.

    Raises:
        InputError: a file of anchors or rows to avoid is missing or another one.
    """
    asked = ControlRequest.read(manifest.options.controls)
    given = None if asked.must else picks[: manifest.options.given]
    keep = None if manifest.options.keep_left_out else manifest.keep
    return prepare_controls(asked, keep, pool, given)


def rule_of(manifest: Manifest, prepared: Prepared, picks: Int64Array) -> Rule:
    """The rule that the order of a manifest must follow."""
    controls, count = prepared.controls, manifest.pool_rows
    until = None
    if controls.quotas is not None:
        until = controls.quotas.closing_ranks(picks, prepared.count, len(controls.given))
    if controls.eligible is not None:
        always = np.full(count, np.iinfo(np.int64).max) if until is None else until
        until = np.where(controls.eligible, always, 0)
    return Rule(
        given=len(controls.given),
        until=until,
        weights=controls.weights,
        least_distance=controls.least_distance,
        step=controls.within,
        farthest=not (manifest.options.strategy or manifest.options.refine),
    )


def promise_checks(folder: SelectionFolder, prepared: Prepared) -> list[Check]:
    """One line for each promise: excluded rows, budget, quotas, distances."""
    controls, picks, radii = prepared.controls, folder.picks, folder.radii
    checks = []
    if prepared.set_aside.reasons or len(folder.excluded):
        checks.append(_excluded_check(folder, prepared))
    if controls.costs is not None:
        spent = int(controls.costs[picks].sum())
        unit, amount = prepared.budget.unit, prepared.budget.amount
        checks.append(Check("budget", spent <= amount, f"{spent:,} of {amount:,.0f} {unit}"))
    if controls.quotas is not None:
        quotas = controls.quotas
        chosen = np.bincount(quotas.group[picks[len(controls.given) :]], minlength=len(quotas.names))
        wrong = np.flatnonzero((chosen < quotas.least) | (chosen > quotas.most))
        detail = f"{len(quotas.names)} groups as asked"
        if len(wrong):
            name, one = quotas.names[wrong[0]], wrong[0]
            detail = f"group {name!r} gives {chosen[one]}, not {quotas.least[one]} to {quotas.most[one]}"
        checks.append(Check("quotas", not len(wrong), detail))
    if controls.least_distance:
        nearest = float(radii[len(controls.given) :].min(initial=np.inf))
        # Radii are checked against the vectors elsewhere; equality to the last bit is of this machine alone.
        enough = nearest >= controls.least_distance * (1 - 1e-6)
        checks.append(Check("least distance", enough, f"{nearest:.9g}; asked {controls.least_distance:.9g}"))
    return checks


def _excluded_check(folder: SelectionFolder, prepared: Prepared) -> Check:
    """The rows excluded by a control before picking are those that the controls name again."""
    reasons = zip(folder.excluded["row"].to_pylist(), folder.excluded["reason"].to_pylist(), strict=True)
    listed = {row for row, reason in reasons if reason != "dedup"}
    again = set(prepared.set_aside.reasons)
    strange = sorted(listed ^ again)
    detail = f"{len(again):,} rows, as the controls name them"
    if strange:
        where = "listed but not named" if strange[0] in listed else "named but not listed"
        detail = f"row {strange[0]} is {where} by the controls"
    return Check("excluded rows", not strange, detail)
