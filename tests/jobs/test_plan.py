"""What is said before long work: counts and places exactly, seconds roughly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenly import planning
from evenly.engine.disk import DiskPool, DiskShares, least_memory, share_out
from evenly.errors import InputError
from evenly.jobs.plan import plan_sources
from evenly.opened import embedded_rows, read_pool
from evenly.planning import pairs_per_second, predicted_seconds
from evenly.request import PoolRequest
from evenly.words import rough_duration


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVENLY_CACHE", str(tmp_path / "cache"))
    vectors = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {row}"}) + "\n" for row in range(600)))
    return path


def request(source: Path, **options: object) -> PoolRequest:
    encoder = f"vectors:{source.with_name('vectors.npy')}"
    return PoolRequest([str(source)], encoder=encoder, **options)  # type: ignore[arg-type]


def test_rows_places_and_picks_are_said(source: Path) -> None:
    plan = plan_sources(request(source), "50%")
    assert (plan.rows, plan.dimension, plan.keep, plan.where) == (600, 8, 300, "memory")
    assert (plan.cached, plan.to_embed, plan.seconds["embed"], plan.scratch) == (0, 0, 0.0, 0)
    assert 0 < plan.seconds["select"] < 60
    assert plan.lines()[0] == "600 rows of 8 numbers"
    assert not (source.parent / "cache").exists()


def test_what_fits_nowhere_is_refused_before_anything_is_measured(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_measure_selection", None)
    with pytest.raises(InputError, match="600 rows of 8 numbers need at least"):
        plan_sources(request(source, memory="1MB"), "50%")


def test_vectors_in_the_cache_are_measured_on(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = PoolRequest([str(source)])
    embedded_rows(asked, read_pool(asked))
    monkeypatch.setattr(planning, "FIRST_ROWS", 100)
    monkeypatch.setattr(planning, "curved_rows", None)
    plan = plan_sources(asked, "50%")
    assert (plan.cached, plan.to_embed, plan.seconds["embed"]) == (600, 0, 0.0)
    assert plan.measured_on == {"texts": 0, "rows": 600}


def test_a_pool_on_disk_is_measured_on_disk(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, dimension = 30_000, 64
    np.save(source.with_name("vectors.npy"), np.random.default_rng(0).random((count, dimension), np.float32))
    source.write_text("".join(json.dumps({"text": f"row {row}"}) + "\n" for row in range(count)))
    monkeypatch.setattr(planning, "MOST_ROWS", 3000)
    opened: list[DiskShares] = []
    monkeypatch.setattr(planning, "DiskPool", lambda *given: opened.append(given[1]) or DiskPool(*given))
    plan = plan_sources(request(source, memory=str(least_memory(count, dimension))), "50%")
    assert (plan.where, plan.rows) == ("disk", count)
    assert plan.seconds["select"] > 0
    whole = share_out(count, dimension, least_memory(count, dimension))
    assert {budget.shard_rows for budget in opened} == {whole.shard_rows}
    assert max(budget.resident_codes for budget in opened) <= whole.resident_codes
    assert not list((source.parent / "cache" / "scratch").iterdir())


def test_a_cluster_address_needs_its_engine(source: Path) -> None:
    with pytest.raises(InputError, match="`ray_address` is for `engine=ray`"):
        plan_sources(request(source, ray_address="auto"), "50%")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0 s"), (7.46, "7.5 s"), (119.0, "119 s"), (600.0, "10 min"), (1e6, "278 h")]
)
def test_durations_are_rounded(seconds: float, said: str) -> None:
    assert rough_duration(seconds) == said


@pytest.mark.parametrize(("fixed", "each", "rate"), [(0.2, 3e-6, 1e9), (0.0, 1e-6, 1e8), (0.5, 0.0, 1e9)])
def test_seconds_are_those_of_products_rows_and_a_fixed_part(fixed: float, each: float, rate: float) -> None:
    def seconds(rows: int) -> float:
        return fixed + each * rows + rows * rows * 0.1 / rate

    sizes, rows = [16_384, 65_536], 1_000_000
    found = predicted_seconds(sizes, [seconds(size) for size in sizes], rows, 0.1, rate)
    # Where nothing but a fixed part was seen, a fifth of it is taken to grow.
    slack = 0.2 * fixed / sizes[1] * (rows - sizes[1]) if each == 0 else 0.0
    assert found == pytest.approx(seconds(rows) + slack)


def test_seconds_of_what_was_measured_are_those_measured() -> None:
    assert predicted_seconds([500, 2000], [0.1, 0.7], 2000, 0.5, 1e9) == 0.7
    assert predicted_seconds([600], [0.3], 600, 0.5, 1e9) == 0.3


@pytest.mark.parametrize("spent", [[0.4, 0.3], [0.0, 0.0], [1e-9, 0.1]])
def test_seconds_never_fall_with_more_rows(spent: list[float]) -> None:
    found = [predicted_seconds([1000, 4000], spent, rows, 0.1, 1e9) for rows in (5000, 50_000, 500_000)]
    assert found[0] >= spent[-1]
    assert found == sorted(found)


def test_the_rate_of_products_is_a_rate() -> None:
    assert pairs_per_second(32) > 1e5
