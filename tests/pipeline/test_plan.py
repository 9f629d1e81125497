"""What is said before long work: counts and places exactly, seconds roughly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.pipeline import plan as planning
from evenly.pipeline.plan import duration, plan_sources
from evenly.pipeline.request import SelectRequest


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVENLY_CACHE", str(tmp_path / "cache"))
    vectors = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {row}"}) + "\n" for row in range(600)))
    return path


def request(source: Path, **options: object) -> SelectRequest:
    encoder = f"vectors:{source.with_name('vectors.npy')}"
    return SelectRequest(sources=[str(source)], keep="50%", out="", encoder=encoder, **options)  # type: ignore[arg-type]


def test_rows_places_and_picks_are_said(source: Path) -> None:
    plan = plan_sources(request(source))
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
        plan_sources(request(source, memory="1MB"))


def test_a_cluster_address_needs_its_engine(source: Path) -> None:
    with pytest.raises(InputError, match="--ray-address is for --engine ray"):
        plan_sources(request(source, ray_address="auto"))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0 s"), (7.46, "7.5 s"), (119.0, "119 s"), (600.0, "10 min"), (1e6, "278 h")]
)
def test_durations_are_rounded(seconds: float, said: str) -> None:
    assert duration(seconds) == said
