"""Whole runs over rows that are odd in one way: what was read is written, and its record with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.jobs.files import read_lines, write_lines

VECTORS = np.random.default_rng(3).standard_normal((8, 3)).round(3).tolist()


def run(place: Path, rows: list[dict[str, Any]], keep: str = "50%", **options: Any) -> Recorded:
    source = write_lines(place / "pool.jsonl", rows)
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False, **options)
    return select_sources(SelectRequest(pool, Choice.of(keep=keep), str(place / "kept.jsonl"), random_draws=2))


def with_vectors(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"instruction": f"i{n}", "output": f"o{n}", **more, "vec": VECTORS[n]} for n, more in enumerate(fields)
    ]


@pytest.mark.parametrize(
    "values",
    [
        [1234567890123456789 + n for n in range(8)],
        [10**17] * 8,
        [1e300] * 8,
        [-1.7976931348623157e308, 1.7976931348623157e308] * 4,
        [10**400 + n for n in range(8)],
        [float("inf"), 1.0] * 4,
        [2**63, "x", None, True] * 2,
        ["\ud83d", 0.5] * 4,
    ],
    ids=["beyond 2^53", "constant", "large constant", "range", "many digits", "infinite", "mixed", "half"],
)
def test_side_fields_of_any_size_are_written_digit_for_digit(tmp_path: Path, values: list[Any]) -> None:
    rows = with_vectors([{"side": value} for value in values])
    done = run(tmp_path, rows)
    assert done.manifest.kept == 4
    kept = read_lines(tmp_path / "kept.jsonl")
    assert kept == [row for row in rows if row in kept]
    assert (tmp_path / "kept.evenly" / "report.html").is_file()
