"""What `evenly select` was asked for, where its record goes, and what it makes on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from evenly.controls.request import ControlRequest
from evenly.engine.greedy import Start
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


def selection_folder(out: str) -> Path:
    """Where the record of a selection goes: kept.jsonl and kept/ both have theirs in kept.evenly/."""
    path = Path(out)
    name = path.name
    for suffix in (".gz", ".xz", ".zst", *(() if path.is_dir() or out.endswith("/") else (path.suffix,))):
        name = name.removesuffix(suffix) if suffix and name != suffix else name
    stem = Path(name).stem if Path(name).suffix in (".jsonl", ".json", ".csv", ".parquet", ".arrow") else name
    return path.with_name(f"{stem}.evenly")


@dataclass(frozen=True, eq=False)
class Made:
    """A selection with what it was made on.

    Attributes:
        pool: what it was made on.
        selection: the order.
        findings: what the controls did.
        set_aside: the table of rows set aside, or None.
    """

    pool: OpenedPool
    selection: Selection
    findings: dict[str, Any]
    set_aside: pa.Table | None
