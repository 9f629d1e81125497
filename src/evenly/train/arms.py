"""The arms of a comparison as saved row numbers: what selection hands to training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.files import write_table
from evenly.types import Int64Array

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
ARM_SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("seed", pa.int64()),
        ("position", pa.int64()),  # place in the arm's own order; for a selection the order of picks
        ("row", pa.int64()),  # pool row number
        ("keep", pa.string()),  # the size that was asked for, where there are several; else empty
    ]
)


@dataclass(frozen=True, eq=False)
class Arm:
    """One training set of a comparison, for one seed.

    Attributes:
        name: what it is called in tables and figures: full, random, uniform, clumped, matched, or a strategy.
        seed: which of the paired seeds it belongs to; also the seed of the run's shuffles.
        rows: (n,) int64 pool row numbers, distinct, in the arm's own order.
        cost_seconds: what making it cost beyond reading the rows: embedding and selecting.
        keep: the size that was asked for, where a comparison has several; else empty.
    """

    name: str
    seed: int
    rows: Int64Array
    cost_seconds: float = 0.0
    keep: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError(f"arm name {self.name!r} must be small letters, digits and dashes")
        if len(self.rows) == 0:
            raise InputError(f"arm {self.name} (seed {self.seed}) is empty: no row was left after filtering")
        if len(np.unique(self.rows)) != len(self.rows):
            raise InputError(f"arm {self.name} (seed {self.seed}) names a row twice")

    @property
    def key(self) -> str:
        """``NAME-s SEED`` without the blank: the beginning of the names of its files."""
        return f"{self.name}-s{self.seed}"


def save_arms(arms: Sequence[Arm], path: Path) -> None:
    """Writes arms as one Parquet table (`ARM_SCHEMA`); the costs go into its metadata."""
    columns = {
        "arm": np.concatenate([np.full(len(arm.rows), arm.name, dtype=object) for arm in arms]),
        "seed": np.concatenate([np.full(len(arm.rows), arm.seed) for arm in arms]),
        "position": np.concatenate([np.arange(len(arm.rows)) for arm in arms]),
        "row": np.concatenate([arm.rows for arm in arms]),
        "keep": np.concatenate([np.full(len(arm.rows), arm.keep, dtype=object) for arm in arms]),
    }
    costs = {f"cost_seconds:{arm.key}{arm.keep}": repr(arm.cost_seconds) for arm in arms}
    table = pa.table(columns, schema=ARM_SCHEMA).replace_schema_metadata(costs)
    write_table(path, table)


def load_arms(path: Path) -> list[Arm]:
    """Reads what `save_arms` wrote, in the order in which it was written.

    Raises:
        InputError: no such file, or not a table of arms.
    """
    try:
        table = pq.read_table(path)
        names = table["arm"].to_pylist()
        seeds = table["seed"].to_numpy()
        rows = table["row"].to_numpy()
        sizes = table["keep"].to_pylist() if "keep" in table.column_names else [""] * len(rows)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} holds no arms ({error}); make them with evenly compare") from None
    costs = {
        key.decode(): float(value)
        for key, value in (table.schema.metadata or {}).items()
        if key.startswith(b"cost")
    }
    keys = [(name, int(seed), keep) for name, seed, keep in zip(names, seeds, sizes, strict=True)]
    places: dict[tuple[str, int, str], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return [
        Arm(name, seed, rows[at].astype(np.int64), costs.get(f"cost_seconds:{name}-s{seed}{keep}", 0.0), keep)
        for (name, seed, keep), at in places.items()
    ]
