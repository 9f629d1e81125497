"""`plan`: what a selection will need, before it is run."""

from __future__ import annotations

from typing import Any

from evenly.api.options import READING, split_options, takes_options
from evenly.api.pools import are_records, opened
from evenly.engine.budgets import read_budget
from evenly.opened import as_embedded, check_request
from evenly.planning import Plan, plan_rows
from evenly.rows.sources import rows_of
from evenly.types import silent
from evenly.vectors.registry import pool_request


@takes_options(*READING)
def plan(data: Any, keep: Any, **options: Any) -> Plan:
    """Says what `select` or `select_rows` would need: memory, disk and time.

    Args:
        data: vectors as for `select`, or rows as for `select_rows`, of which a few are embedded to measure how long all
            would take.
        keep: as for `select`.
        options: those of ``evenly plan`` for reading and embedding rows.

    Raises:
        InputError: something cannot be used, or what is asked fits nowhere.
    """
    (reading,) = split_options("plan", options, READING)
    if not are_records(data):
        with opened(data, reading, {}, silent) as (pool, _):
            picks = read_budget(keep).count(len(pool))
            return plan_rows(pool.request, picks, pool.rows, pool.points.vectors)
    request = pool_request(**reading)
    check_request(request)
    rows = as_embedded(request, rows_of(data, text=request.text, part=request.part))
    return plan_rows(request, read_budget(keep).count(len(rows)), rows)
