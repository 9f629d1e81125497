"""`select_rows`: selection of records from Python, embedding included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from evenly.checks import check_keep
from evenly.engine.greedy import Greedy, Start
from evenly.errors import InputError
from evenly.opened import check_request, open_pool
from evenly.request import PoolRequest
from evenly.rows.sources import rows_of
from evenly.types import Progress, Selection, silent

if TYPE_CHECKING:
    import datasets

READING = frozenset(field.name for field in fields(PoolRequest)) - {"sources", "split", "skip_empty"}


def select_rows(
    records: datasets.Dataset | Sequence[dict[str, Any]],
    keep: Any,
    *,
    start: Start = None,
    seed: int = 0,
    allow_copies: bool = False,
    progress: Progress = silent,
    **reading: Any,
) -> Selection:
    """Embeds records and keeps those that lie as far apart as possible.

        selection = select_rows(dataset, keep=0.5)
        even_half = dataset.select(selection.sorted_rows())

    Args:
        records: a ``datasets.Dataset``, or a list of dictionaries, each with fields of its own.
        keep: a share (0.5, "50%") or a count (5000).
        start, seed, allow_copies: as `evenly.select`. Rows that are no copies but have the vector of another follow
            last, with radius 0, where the count takes them.
        progress: called as texts are embedded and rows picked.
        reading: the options by which `evenly select` reads, embeds and works: ``text``, ``part``, ``metric``,
            ``encoder``, ``long``, ``precision``, ``device``, ``trust_remote_code``, ``use_cache``, ``memory``,
            ``engine``, ``ray_address``; see `evenly.request.PoolRequest`.

    Raises:
        InputError: records, text or encoder that cannot be used, or an option that there is not.
    """
    if unknown := sorted(reading.keys() - READING):
        raise InputError(f"select_rows takes no {unknown[0]}; it takes {', '.join(sorted(READING))}")
    request = PoolRequest((), **reading)
    check_request(request)
    rows = rows_of(records, text=request.text, part=request.part)
    count = check_keep(keep, len(rows))
    with open_pool(request, rows, progress=progress) as pool:
        asked = Greedy(
            count, pool.metric, start=start, seed=seed, allow_copies=allow_copies, twins=pool.hidden
        )
        with pool.points.open() as opened:
            return asked.run(opened, progress=progress)
