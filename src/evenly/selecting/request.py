"""What `evenly select` was asked for, and how long its stages take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from evenly.controls.choice import Choice
from evenly.measures.evenness import RANDOM_DRAWS
from evenly.opened import check_request
from evenly.request import MapKind, Order, PoolRequest


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    pool: PoolRequest
    choice: Choice
    out: str
    random_draws: int = RANDOM_DRAWS
    overwrite: bool = False
    order: Order = "source"
    map: MapKind = "neighbours"
    page: bool = True

    def check(self) -> None:
        """Refuses what makes no sense, before anything is read.

        Raises:
            InputError: says which option needs which, or which exclude one another and why.
        """
        check_request(self.pool)
        self.choice.check()


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
