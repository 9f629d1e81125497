"""What `evenly select` was asked for, and what it makes on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from evenly.controls.request import ControlRequest
from evenly.engine.greedy import Start
from evenly.folder.selection import SelectionFolder
from evenly.measures.evenness import RANDOM_DRAWS
from evenly.opened import OpenedPool
from evenly.request import PoolRequest
from evenly.selecting.picking import MAXMIN
from evenly.types import Selection


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    pool: PoolRequest
    keep: str | None
    out: str
    start: Start = None
    seed: int = 0
    allow_copies: bool = False
    random_draws: int = RANDOM_DRAWS
    controls: ControlRequest = field(default_factory=ControlRequest)
    strategy: str = MAXMIN
    refine: bool = False

    @staticmethod
    def again(folder: SelectionFolder, pool: PoolRequest, keep: str, out: str) -> SelectRequest:
        """What a saved selection was asked for, over another pool, with another size and place."""
        manifest = folder.manifest
        return SelectRequest(
            pool=pool,
            keep=keep,
            out=out,
            seed=manifest.seed,
            allow_copies=manifest.allow_copies,
            controls=ControlRequest.read(manifest.options.controls),
        )


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
