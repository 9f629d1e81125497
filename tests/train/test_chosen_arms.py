"""Arms by options of select: what they may name, which rows they take, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.jobs.chosen_arms import chosen_arms, spelt_out
from evenly.jobs.drawn import draw_pool, part_of_pool
from evenly.strategies import STRATEGIES
from evenly.train.recipes import make_request


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ninety rows in two files; the vectors of the second lie close together."""
    random = np.random.default_rng(0)
    for name, count, spread in (("wide", 60, 1.0), ("narrow", 30, 0.05)):
        vectors = 1.0 + spread * random.normal(size=(count, 6))
        rows = [
            {"prompt": f"{name} {n}", "completion": "x" * (1 + n % 9), "v": v.tolist()}
            for n, v in enumerate(vectors)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def picked(source: Path, *select: str, arms: tuple[str, ...] = ("random",), seeds: int = 1) -> dict:
    """The rows of every arm by name and seed, out of all rows but every fifth."""
    sources = tuple(str(source / f"{name}.jsonl") for name in ("wide", "narrow"))
    request = make_request(
        {}, sources=sources, encoder="column:v", arms=arms, select=select, keep="24", seeds=seeds
    )
    drawn = draw_pool(request)
    candidates = np.flatnonzero(np.arange(90) % 5 != 0)
    with drawn.open() as (pool, seconds):
        opened = (part_of_pool(pool, candidates), seconds)
        made = [
            made
            for arm in chosen_arms(request)
            for made in arm.make(drawn, opened, candidates, request.keep, seeds)
        ]
    assert all(set(arm.rows.tolist()) <= set(candidates.tolist()) for arm in made)
    assert all(arm.cost_seconds > 0 for arm in made)
    return {(arm.name, arm.seed): arm.rows for arm in made}


def test_options_of_select_decide_which_rows_an_arm_has(source: Path) -> None:
    arms = picked(
        source,
        "within=--by source --quota equal",
        "half=--by=source --quota=equal --keep 10",
        "named=--start 4",
        seeds=2,
    )
    assert (arms["within", 0] >= 60).sum() == 12
    assert (arms["half", 1] >= 60).sum() == 5
    assert arms["named", 0].tolist() == arms["named", 1].tolist()
    assert set(arms["within", 0]) != set(arms["within", 1])


def test_an_arm_may_have_an_encoder_and_a_metric_of_its_own(source: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.random.default_rng(1).normal(size=(90, 4)).astype(np.float32))
    arms = picked(
        source, f"other=--encoder vectors:{tmp_path}/w.npy --start 1", "own=--start 1 --metric euclidean"
    )
    assert set(arms["other", 0]) != set(arms["own", 0])
    assert len(arms["own", 0]) == 24


def test_strategies_are_arms_by_name(source: Path) -> None:
    arms = picked(source, arms=("random", "kmeans", "facility"))
    assert {name for name, _ in arms} == {"kmeans", "facility"}
    assert all(len(rows) == 24 for rows in arms.values())
    everything = spelt_out(make_request({}, arms=("all",))).arms
    assert {"full", "random", "uniform", "clumped", "matched", "dedup", *STRATEGIES} == {
        *everything,
        "maxmin",
    }
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("spread", "must read NAME=OPTIONS"),
        ("random=--strategy kmeans", "another arm is called random"),
        ("a=strategy kmeans", "expected options as evenly select takes them; got strategy"),
        ("a=--stratgy kmeans", "evenly select has no option --stratgy"),
        ("a=--split train", "evenly select has no option --split"),
        ("a=--strategy kmeens", "kmeens"),
        ("a=--seed many", "--seed takes a valid integer"),
        ("a=--metric", "--metric takes 'cosine' or 'euclidean'; got nothing"),
        ("a=--quota equal", "`by`"),
        ("a=--start 'x", "cannot be read"),
    ],
)
def test_what_is_no_selection_is_said_at_once(named: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen_arms(make_request({}, select=(named,)))
