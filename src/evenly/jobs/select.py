"""`evenly select`: from training files to the even part of them, with everything needed to check it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from evenly.planning import plan_rows
from evenly.rows.rows import Rows
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded, run_selection
from evenly.types import Progress, silent

LONG_ROWS = 200_000
"""From so many rows on, what a run will need is measured and said before it begins."""


def select_sources(
    request: SelectRequest,
    *,
    stdin: BinaryIO | None = None,
    read: Callable[[Rows], None] | None = None,
    announce: Callable[[str], None] | None = None,
    progress: Progress = silent,
) -> Recorded:
    """Reads, embeds, selects, measures and writes; see `evenly.selecting.run.run_selection`.

    Args:
        request: what is asked for.
        stdin: standard input, for the source "-".
        read: called with the rows once they are read and everything asked for is checked; None says nothing.
        announce: called with the lines of the plan before long work; None measures no plan.
        progress: called as each stage goes on.
    """

    def tell(rows: Rows) -> None:
        if read is not None:
            read(rows)
        if announce is not None and len(rows) >= LONG_ROWS:
            picks = request.choice.budget.count(len(rows))
            for line in plan_rows(request.pool, picks, rows).lines():
                announce(line)

    return run_selection(request, stdin=stdin, before_long_work=tell, progress=progress)
