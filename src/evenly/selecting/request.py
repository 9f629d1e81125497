"""What `evenly select` was asked for, and what it makes on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from evenly.controls.choice import Choice
from evenly.measures.evenness import RANDOM_DRAWS
from evenly.opened import OpenedPool
from evenly.request import PoolRequest
from evenly.types import Selection


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    pool: PoolRequest
    choice: Choice
    out: str
    random_draws: int = RANDOM_DRAWS


@dataclass
class Stopwatch:
    """Seconds per stage, added up where a stage goes on later."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + spent, 3)


@dataclass(frozen=True, eq=False)
class Made:
    """A selection with what it was made on.

    Attributes:
        pool: what it was made on.
        selection: the order.
        findings: what the controls did.
        excluded: the table of excluded rows, or None.
    """

    pool: OpenedPool
    selection: Selection
    findings: dict[str, Any]
    excluded: pa.Table | None
