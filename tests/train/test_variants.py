"""The axes of a comparison: several sizes, and few rows often against many once; and how few rows do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.train.arms import Arm, load_arms, save_arms
from evenly.train.curves import EVEN_TEST, RANDOM_TEST
from evenly.train.examples import Examples
from evenly.train.plan import ArmRun, PreparedPool, plan_runs
from evenly.train.reach import reach_words, reaches
from evenly.train.recipes import make_request
from evenly.train.result import ArmSummary, VariantResult
from evenly.train.row_losses import RowLosses
from evenly.train.settings import Request
from evenly.train.variants import variants


def planned(request: Request, arms: list[Arm], folder: Path) -> list[ArmRun]:
    rows = 200
    tokens = [np.arange(10 + row % 7) for row in range(rows)]
    examples = Examples.of(tokens, tokens, np.zeros(rows, dtype=bool), 64)
    ones = np.ones(rows, dtype=np.int64)
    initial = RowLosses(np.arange(rows), 2.0 * ones, ones, ones)
    tests = {RANDOM_TEST: np.arange(180, 190), EVEN_TEST: np.arange(190, 200)}
    return plan_runs(request, PreparedPool(examples, initial, "model", folder), arms, tests, 1e-3)


def test_every_size_has_its_arms_and_the_full_set_is_trained_once(tmp_path: Path) -> None:
    request = make_request(
        {}, keep="10%,50%,100%", arms=("full", "random"), batch=10, batch_by="rows", seeds=2
    )
    arms = [
        Arm("random", seed, np.arange(rows), 1.0, keep)
        for seed in (0, 1)
        for keep, rows in (("10%", 18), ("50%", 90))
    ]
    arms += [Arm("full", seed, np.arange(180), keep="100%") for seed in (0, 1)]
    save_arms(arms, tmp_path / "arms.parquet")
    loaded = load_arms(tmp_path / "arms.parquet")
    assert [(arm.key, arm.keep, len(arm.rows), arm.cost_seconds) for arm in loaded] == [
        (arm.key, arm.keep, len(arm.rows), arm.cost_seconds) for arm in arms
    ]
    runs = planned(request, loaded, tmp_path)
    assert [(run.seed, run.record.arm, len(run.rows), run.steps) for run in runs] == [
        (seed, arm, rows, math.ceil(rows / 10))
        for seed in (0, 1)
        for arm, rows in (("random", 18), ("random", 90), ("full", 180))
    ]
    assert len({run.folder for run in runs}) == len(runs)
    assert {run.record.variant for run in runs} == {variant.name for variant in variants(request)}


def test_few_rows_often_and_many_once_make_equally_many_steps(tmp_path: Path) -> None:
    request = make_request({}, passes=(1, 2, 4), arms=("random",), batch=10, batch_by="rows", seeds=1)
    runs = planned(request, [Arm("random", 0, np.arange(160))], tmp_path)
    assert [(len(run.rows), run.steps, run.training.epochs) for run in runs] == [
        (160, 16, 1),
        (80, 16, 2),
        (40, 16, 4),
    ]
    assert all(set(run.rows) == set(range(len(run.rows))) for run in runs)


def test_one_size_is_named_and_kept_as_before(tmp_path: Path) -> None:
    request = make_request({}, arms=("random",), batch=10)
    (run,) = planned(request, [Arm("random", 0, np.arange(160))], tmp_path)
    assert (run.record.variant, run.key) == ("batch 10, shuffled", "random-s0-b10-shuffled")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"keep": ","}, "keep names no size"),
        ({"keep": "10%,50%", "passes": (1, 2)}, "two axes of rows"),
        ({"keep": "10%,100%", "arms": ("random",)}, "add full to the arms"),
        ({"keep": "10%,50%", "saved": ("a=b",)}, "saved selections have one size"),
    ],
)
def test_axes_that_do_not_go_together(named: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_request({}, **named)


def summary(arm: str, rows: int, losses: list[float]) -> ArmSummary:
    lists = dict.fromkeys(
        ("initial_loss", "own_loss", "random_test", "even_test", "seconds", "cost_seconds"), losses
    )
    shares = dict.fromkeys(("random_test_accuracy", "even_test_accuracy"), losses)
    count = len(losses)
    return ArmSummary(
        arm=arm,
        seeds=list(range(count)),
        rows=[rows] * count,
        tokens_per_row=1.0,
        response_tokens_per_row=1.0,
        truncated=0.0,
        dropped=0,
        start_accuracy=0.0,
        batch=[1] * count,
        steps=1,
        tokens=[1] * count,
        random_test_epochs=losses,
        **lists,
        **shares,
    )


def curve(points: dict[int, list[float]], full: list[float]) -> list[VariantResult]:
    arms = [summary("random", rows, losses) for rows, losses in points.items()] + [
        summary("full", 1000, full)
    ]
    return [
        VariantResult(variant=str(n), arms=[arm], thresholds=[], pairs=[], failed=[])
        for n, arm in enumerate(arms)
    ]


def test_how_few_rows_do_is_read_off_the_curve() -> None:
    """Loss 3 - log10(rows) down to 100 rows and flat after: the full set's loss is met there, seed by seed."""
    found = curve({10: [2.0, 2.1], 100: [1.0, 1.1], 300: [1.0, 1.1]}, [1.0, 1.1])
    (reach,) = reaches(found)
    noise = math.sqrt(0.005)
    assert reach.noise == pytest.approx(noise)
    assert reach.rows == pytest.approx(10 ** (2 - noise))
    assert (reach.low, reach.high) == (pytest.approx(reach.rows), pytest.approx(reach.rows))
    assert not reach.at_most
    assert reach_words(reach).startswith(
        f"random has the full set's loss on the random test, within its noise of {noise:.3f}"
    )


def test_how_few_rows_do_has_an_interval_over_seeds() -> None:
    slower = curve({10: [2.0, 2.4, 2.2], 100: [1.2, 1.9, 1.4]}, [1.3, 1.35, 1.4])
    (reach,) = reaches(slower)
    assert 50 < reach.rows < 1000
    assert reach.low is not None
    assert reach.high is not None
    assert reach.low < reach.rows < reach.high
    (soon,) = reaches(curve({10: [0.9, 1.0], 100: [0.8, 0.9]}, [0.9, 1.0]))
    assert soon.at_most
    assert soon.rows == pytest.approx(10)
    assert "with at most 10 of 1,000 rows" in reach_words(soon)
    assert reaches(curve({10: [2.0, 2.1]}, [1.0, 1.1])) == []
