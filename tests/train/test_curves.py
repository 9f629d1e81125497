"""Curves read from saved tables: the sample of own rows corrected by what is known of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenly.report.comparison_tables import threshold_rows
from evenly.train.curves import Curve, CurveWriter, Outcome, RunRecord
from evenly.train.row_losses import RowLosses
from evenly.train.verdict import ask, common_level, decide, threshold

ROWS, SAMPLE, STEPS, EPOCHS = 60, 9, (0, 2, 5, 9, 12), (6, 12)


def saved_run(folder: Path, loss_of_rows: object) -> tuple[Outcome, np.ndarray, np.ndarray]:
    """A run whose row losses are known at every step; returns it, tokens of rows, and the losses."""
    random = np.random.default_rng(2)
    tokens = random.integers(1, 30, ROWS)
    losses = np.stack([loss_of_rows(step, random) for step in range(STEPS[-1] + 1)])  # type: ignore[operator]
    writer = CurveWriter(folder)

    def measured(rows: np.ndarray, step: int) -> RowLosses:
        return RowLosses(rows, losses[step, rows] * tokens[rows], tokens[rows], tokens[rows])

    for step in range(STEPS[-1] + 1):
        parts = {"own": measured(np.arange(SAMPLE), step)} if step in STEPS else {}
        if step in EPOCHS:
            parts["arm"] = measured(np.arange(ROWS), step)
        if parts:
            writer.measured(parts, step=step, epoch=step / 6, tokens=100 * step, seconds=0.5 * step)
    truth = losses @ tokens / tokens.sum()
    record = RunRecord(
        arm="random",
        seed=0,
        variant="batch 10, shuffled",
        status="done",
        rows=ROWS,
        dropped=0,
        truncated=0.0,
        tokens_per_row=10.0,
        response_tokens_per_row=float(tokens.mean()),
        initial_loss=float(truth[0]),
        batch=10,
        steps=12,
        epoch_step=12,
        cost_seconds=0.0,
    )
    return Outcome(record, folder), truth, losses[:, :SAMPLE] @ tokens[:SAMPLE] / tokens[:SAMPLE].sum()


def test_own_curve_of_rows_that_fall_alike_is_that_of_all_rows(tmp_path: Path) -> None:
    offsets = np.random.default_rng(0).normal(3.0, 1.0, ROWS)
    run, truth, sampled = saved_run(tmp_path, lambda step, _: offsets + np.exp(-step / 4))
    curve = run.own_curve
    assert curve.steps.tolist() == sorted({*STEPS, *EPOCHS})
    np.testing.assert_allclose(curve.loss, truth[curve.steps], atol=1e-12)
    assert np.abs(sampled - truth).min() > 0.05  # the sample alone is far off
    assert curve.tokens.tolist() == [100 * step for step in curve.steps]
    assert common_level([curve]) == pytest.approx(truth[12])


def test_own_curve_is_exact_at_epochs_and_near_in_between(tmp_path: Path) -> None:
    rates = np.random.default_rng(1).uniform(2, 8, ROWS)
    run, truth, sampled = saved_run(tmp_path, lambda step, random: 4 * np.exp(-step / rates))
    curve = run.own_curve
    exact = np.isin(curve.steps, (0, *EPOCHS))
    np.testing.assert_allclose(curve.loss[exact], truth[curve.steps[exact]], atol=1e-12)
    corrected = np.abs(curve.loss - truth[curve.steps]).mean()
    assert corrected < np.abs(sampled - truth)[curve.steps].mean() / 2


def falling(*losses: float, cost: float = 0.0) -> Curve:
    """Measures ten steps apart; a thousand tokens and five seconds between them."""
    at = np.arange(len(losses))
    return Curve(10 * at, 1000 * at, 5.0 * at, np.array(losses), np.zeros(len(losses)), cost)


def test_a_level_is_reached_on_the_line_between_measures_or_not_at_all() -> None:
    curve = falling(5.0, 4.0, 3.0)
    assert curve.reached(3.5, "steps") == 15
    assert falling(5.0, 4.0, 3.0, cost=7.0).reached(3.5, "total") == 14.5
    assert curve.reached(5.0, "tokens") == 0
    assert np.isnan(curve.reached(2.9, "steps"))
    assert np.isnan(curve.loss_at("steps", 21))


@pytest.mark.parametrize("scale", [1.0, 1e-3], ids=["cross-entropy", "l2"])
def test_what_an_arm_does_not_reach_is_said_and_never_extrapolated(scale: float) -> None:
    curves = [falling(*(scale * np.array(losses))) for losses in ([5, 4, 3], [5, 4.5, 4.2])]
    found = threshold("even", "loss", 3.5 * scale, curves, [3.5 * scale] * 2)
    assert found.steps == [15.0, None]
    never = threshold("even", "loss", 1.0 * scale, curves, [1.0 * scale] * 2)
    rows = threshold_rows({"thresholds": [found.model_dump(), never.model_dump()]})
    assert rows[1][2] == "15 (1 of 2 seeds)"
    assert rows[2][2:] == ["not reached"] * 4


def test_a_question_whose_level_one_arm_never_reached_cannot_be_told() -> None:
    missed, reached = np.array([np.nan, np.nan, 40.0]), np.array([20.0, 21.0, 22.0])
    (answer,) = decide([ask("steps to equal own loss", missed, reached, ratio=True)])
    assert (answer.called, answer.seeds) == ("cannot be told", 1)
