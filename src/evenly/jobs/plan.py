"""`evenly plan`: what a selection will need, before it is run."""

from __future__ import annotations

from evenly.engine.budgets import read_budget
from evenly.opened import check_request, read_pool
from evenly.planning import Plan, plan_rows
from evenly.request import PoolRequest
from evenly.types import Progress, silent


def plan_sources(request: PoolRequest, keep: str, *, progress: Progress = silent) -> Plan:
    """Reads the sources and says what `evenly select` would cost.

    Raises:
        InputError: something cannot be used, or what is asked fits nowhere.
    """
    check_request(request)
    budget = read_budget(keep)
    rows = read_pool(request, progress=progress)
    return plan_rows(request, budget.count(len(rows)), rows)
