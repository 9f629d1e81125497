"""Curves read from saved tables: the sample of own rows corrected by what is known of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenly.train.curves import CurveWriter
from evenly.train.outcome import Outcome, RunRecord, common_level
from evenly.train.row_losses import RowLosses

ROWS, SAMPLE, STEPS, EPOCHS = 60, 9, (0, 2, 5, 9, 12), (6, 12)


def saved_run(folder: Path, loss_of_rows: object) -> tuple[Outcome, np.ndarray, np.ndarray]:
    """A run whose row losses are known at every step; returns it, tokens of rows, and the losses."""
    random = np.random.default_rng(2)
    tokens = random.integers(1, 30, ROWS)
    losses = np.stack([loss_of_rows(step, random) for step in range(STEPS[-1] + 1)])  # type: ignore[operator]
    writer = CurveWriter(folder / "curve.parquet", folder / "rows.parquet")

    def measured(rows: np.ndarray, step: int) -> RowLosses:
        return RowLosses(rows, losses[step, rows] * tokens[rows], tokens[rows], tokens[rows])

    for step in range(STEPS[-1] + 1):
        parts = {"own": measured(np.arange(SAMPLE), step)} if step in STEPS else {}
        if step in EPOCHS:
            parts["arm"] = measured(np.arange(ROWS), step)
        if parts:
            writer.measured(step, step / 6, 100 * step, 0.5 * step, parts)
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
    curve = run.own_curve()
    assert curve.steps.tolist() == sorted({*STEPS, *EPOCHS})
    np.testing.assert_allclose(curve.loss, truth[curve.steps], atol=1e-12)
    assert np.abs(sampled - truth).min() > 0.05  # the sample alone is far off
    assert curve.tokens.tolist() == [100 * step for step in curve.steps]
    assert common_level([curve]) == pytest.approx(truth[12])


def test_own_curve_is_exact_at_epochs_and_near_in_between(tmp_path: Path) -> None:
    rates = np.random.default_rng(1).uniform(2, 8, ROWS)
    run, truth, sampled = saved_run(tmp_path, lambda step, random: 4 * np.exp(-step / rates))
    curve = run.own_curve()
    exact = np.isin(curve.steps, (0, *EPOCHS))
    np.testing.assert_allclose(curve.loss[exact], truth[curve.steps[exact]], atol=1e-12)
    corrected = np.abs(curve.loss - truth[curve.steps]).mean()
    assert corrected < np.abs(sampled - truth)[curve.steps].mean() / 2
