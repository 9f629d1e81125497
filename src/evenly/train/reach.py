"""How few rows do: where the learning curve of an arm comes down to the full set's loss, within noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evenly.train.result import ArmSummary, FewestRows, VariantResult
from evenly.train.statistics import paired_difference


def reaches(variants: Sequence[VariantResult]) -> list[FewestRows]:
    """One for every arm that was trained at several sizes beside the full set; empty where there is no full set."""
    everything = [arm for variant in variants for arm in variant.arms]
    full = next((arm for arm in everything if arm.arm == "full"), None)
    if full is None or len(full.seeds) < 1:
        return []
    noise = float(np.std(full.random_test_epochs, ddof=1)) if len(full.seeds) > 1 else 0.0
    found = []
    for name in dict.fromkeys(arm.arm for arm in everything if arm.arm != "full"):
        sizes = sorted((arm for arm in everything if arm.arm == name), key=lambda arm: np.mean(arm.rows))
        if len(sizes) > 1 and (reach := _reach(name, sizes, full, noise)):
            found.append(reach)
    return found


def _reach(name: str, sizes: list[ArmSummary], full: ArmSummary, noise: float) -> FewestRows | None:
    seeds = [seed for seed in full.seeds if all(seed in arm.seeds for arm in sizes)]
    if not seeds:
        return None
    logs, at_most = [], False
    for seed in seeds:
        points = [
            (math.log(arm.rows[place]), arm.random_test_epochs[place])
            for arm in (*sizes, full)
            for place in [arm.seeds.index(seed)]
        ]
        log_rows, smallest = _first_at(points, points[-1][1] + noise)
        logs.append(log_rows)
        at_most |= smallest
    pair = paired_difference(np.array(logs), np.zeros(len(logs)))
    return FewestRows(
        arm=name,
        rows=math.exp(pair.mean),
        low=math.exp(pair.low) if math.isfinite(pair.low) else None,
        high=math.exp(pair.high) if math.isfinite(pair.high) else None,
        full_rows=float(np.mean(full.rows)),
        noise=noise,
        seeds=len(seeds),
        at_most=at_most,
    )


def _first_at(points: list[tuple[float, float]], level: float) -> tuple[float, bool]:
    """Where a curve first comes down to a level that its last point meets, and whether that is its first point."""
    for place, (x, loss) in enumerate(points):
        if loss <= level:
            if place == 0:
                return x, True
            before, above = points[place - 1]
            return before + (above - level) / (above - loss) * (x - before), False
    return points[-1][0], False


def reach_words(reach: FewestRows) -> str:
    """A sentence of it."""
    interval = f" (95 %: {reach.low:,.0f} to {reach.high:,.0f})" if reach.low and reach.high else ""
    most = "at most " if reach.at_most else ""
    return (
        f"{reach.arm} has the full set's loss on the random test, within its noise of {reach.noise:.3f}, with "
        f"{most}{reach.rows:,.0f} of {reach.full_rows:,.0f} rows{interval}."
    )
