"""The strategies that a max-min selection must be compared with: one file each, listed in `STRATEGIES`."""

from __future__ import annotations

from evenly.checks import not_known
from evenly.strategies import (
    at_random,
    clumped,
    cluster_quota,
    dpp,
    epsilon_cover,
    facility,
    kmeans,
    longest,
    maxmin,
    novelselect,
    quality_filter,
    semdedup,
)
from evenly.strategies.task import Strategy, Task

__all__ = ["STRATEGIES", "Strategy", "Task", "strategy_named"]

STRATEGIES: dict[str, Strategy] = {
    one.name: one
    for one in (
        maxmin.STRATEGY,
        at_random.STRATEGY,
        clumped.STRATEGY,
        kmeans.STRATEGY,
        facility.STRATEGY,
        semdedup.STRATEGY,
        quality_filter.STRATEGY,
        dpp.STRATEGY,
        novelselect.STRATEGY,
        epsilon_cover.STRATEGY,
        cluster_quota.STRATEGY,
        longest.STRATEGY,
    )
}


def strategy_named(name: str) -> Strategy:
    """The strategy, or an InputError that says which there are."""
    if name not in STRATEGIES:
        raise not_known("`strategy`", name, (*STRATEGIES, "all"))
    return STRATEGIES[name]
