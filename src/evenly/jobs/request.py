"""What `evenly select` was asked for, where its record goes, and what it makes on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from evenly.controls.request import ControlRequest
from evenly.engine.greedy import Start
from evenly.jobs.picking import MAXMIN
from evenly.measures.evenness import RANDOM_DRAWS
from evenly.rows.forms import Part
from evenly.types import Float32Array, Selection


@dataclass(frozen=True)
class SelectRequest:
    """What `evenly select` was asked for. See the command's help for each."""

    sources: Sequence[str]
    keep: str | None
    out: str
    text: str | None = None
    part: Part = "all"
    split: str | None = None
    metric: str = "cosine"
    start: Start = None
    seed: int = 0
    encoder: str = "minilm"
    long: Literal["cut", "mean"] = "cut"
    allow_copies: bool = False
    use_cache: bool = True
    device: str | None = None
    trust_remote_code: bool = False
    random_draws: int = RANDOM_DRAWS
    controls: ControlRequest = field(default_factory=ControlRequest)
    strategy: str = MAXMIN
    refine: bool = False
    memory: str | None = None
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None


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
        selection: the order.
        vectors: (N, d) float32, the rows it was made on.
        hashed: their hash.
        findings: what the controls did.
        set_aside: the table of rows set aside, or None.
    """

    selection: Selection
    vectors: Float32Array
    hashed: str
    findings: dict[str, Any]
    set_aside: pa.Table | None
