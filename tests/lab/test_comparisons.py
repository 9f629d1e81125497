"""How runs are compared: ratios of runs that were cut off, losses of a constant, and what noise leaves reachable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenly.lab.descent import LossName, batch_loss
from evenly.lab.experiments.forecast import reachable
from evenly.lab.experiments.train import ARMS, POOL, Problem, Race, constant_loss
from evenly.lab.geometry import rank_correlation

INF = np.inf


def race(even: list[float], random: list[float], cap: int = 100) -> Race:
    """A race of max-min and random alone."""
    return Race(np.array([even, random]), cap)


@pytest.mark.parametrize(
    ("even", "random", "ratio", "shown", "wins"),
    [
        ([10, 20, 30], [20, 40, 60], 2.0, "2", (3, 0)),
        ([10, 20, 30], [20, INF, INF], 5.0, "> 5", (3, 0)),
        ([10, INF, INF], [20, 50, 60], 0.5, "< 0.5", (1, 2)),
        ([10, INF, INF], [20, INF, INF], np.nan, "–", (1, 0)),
        ([20, 20, 20], [20, 20, 20], 1.0, "1", (0, 0)),
    ],
)
def test_ratios_of_runs_that_were_cut_off(
    even: list[float], random: list[float], ratio: float, shown: str, wins: tuple[int, int]
) -> None:
    found = race(even, random)
    assert found.ratio() == pytest.approx(ratio, nan_ok=True)
    assert found.shown_ratio() == shown
    assert found.wins() == wins


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_no_constant_has_a_lower_loss(loss: LossName) -> None:
    targets = np.array([1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    outputs = torch.linspace(-3, 3, 6001, dtype=torch.float64)[:, None].expand(-1, len(targets))
    least = batch_loss(outputs, torch.tensor(targets), loss).min()
    assert constant_loss(targets, loss) == pytest.approx(float(least), rel=1e-6)
    assert constant_loss(np.ones((2, 5)), loss).tolist() == [0.0, 0.0]  # one class, one value


def test_arms_are_rows_of_one_pool() -> None:
    problem = Problem.draw("mixed", 3)
    for arm in ARMS:
        rows = problem.rows[arm]
        assert len(np.unique(rows)) == (POOL if arm == "full" else POOL // 2)
    assert np.array_equal(problem.points, Problem.draw("smooth", 3).points)


def test_what_a_perfect_forecast_reaches() -> None:
    random = np.random.default_rng(0)
    truth = random.standard_normal(4000)
    assert reachable(np.stack([truth, truth])) == pytest.approx(1.0)
    for repeats in (2, 5):
        seen = truth + random.standard_normal((repeats, len(truth)))
        assert reachable(seen) == pytest.approx(rank_correlation(truth, seen.mean(axis=0)), abs=0.02)
    assert reachable(np.stack([truth, -truth])) == 0.0
