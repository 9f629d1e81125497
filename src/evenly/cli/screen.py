"""What a person at a terminal sees: progress while something runs, tables when it is done."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evenly.types import Progress, silent

_QUIET_SECONDS = 1.0


@contextmanager
def shown_progress(*, json_output: bool = False) -> Iterator[Progress]:
    """A progress bar per stage with rate and estimate; nothing where nobody is looking.

    Bars go to standard error and appear once a stage has run for a second.
    """
    if json_output or not sys.stderr.isatty():
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


def removed_line(removed: Sequence[object]) -> str | None:
    """Which files of an older run are gone; None where there are none."""
    return f"removed {', '.join(map(str, removed))}, which an older run wrote" if removed else None


def print_json(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def printable(text: str, most: int = 160) -> str:
    """Row text on one line, safe for a terminal: control and direction characters are shown as escapes."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
