"""Progress for people: bars where somebody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evenly.types import Progress, silent

_QUIET_SECONDS = 1.0


@contextmanager
def shown_progress(*, json_output: bool = False) -> Iterator[Progress]:
    """A progress bar per stage with rate and estimate, in a terminal or a notebook; nothing where nobody is looking.

    Bars go to standard error and appear once a stage has run for a second.
    """
    if json_output or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}
    first_seen: dict[str, float] = {}

    def show(stage: str, done: int, total: int) -> None:
        started = first_seen.setdefault(stage, time.monotonic())
        elapsed = time.monotonic() - started
        if stage not in tasks:
            if elapsed < _QUIET_SECONDS or done >= total:
                return
            tasks[stage] = bars.add_task(stage, total=total, rate="")
        bars.update(tasks[stage], completed=done, total=total, rate=f"{done / max(elapsed, 1e-9):,.0f}/s")

    with bars:
        yield show


@contextmanager
def own_or_bars(progress: Progress | None) -> Iterator[Progress]:
    """The progress that a caller brings, or bars."""
    if progress is not None:
        yield progress
        return
    with shown_progress() as shown:
        yield shown
