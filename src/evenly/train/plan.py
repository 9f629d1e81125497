"""What a comparison runs: which arms, for how many steps, measured when, and how long it will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evenly.train.arms import Arm
from evenly.train.curves import RunRecord
from evenly.train.examples import Examples
from evenly.train.row_losses import RowLosses
from evenly.train.settings import Request, Training
from evenly.types import Int64Array

OWN_SAMPLE = 128
"""Own rows that an arm is measured on along the run; all its rows are measured at the end of every epoch."""
MEASURES = 8
EARLY = 1.5
"""Measures lie at (k / MEASURES) ** EARLY of the run: closer together where the loss falls fastest."""


@dataclass(frozen=True, eq=False)
class PreparedPool:
    """A pool made ready for training: what all arms share.

    Attributes:
        examples: the tokenised pool.
        initial: losses of all rows that can be trained on, under the model that all arms start from.
        model: folder or hub id of that model.
        folder: of the comparison.
    """

    examples: Examples
    initial: RowLosses
    model: str
    folder: Path

    def initial_mean(self, rows: Int64Array) -> float:
        """Loss per response token of some rows before any training."""
        chosen = np.isin(self.initial.rows, rows)
        return float(self.initial.loss_sum[chosen].sum() / self.initial.tokens[chosen].sum())


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: rows, steps, and when to measure it.

    Attributes:
        key: name of the run, for progress and files.
        model: model folder or hub id.
        rows: (n,) row numbers of the examples in the arm's order, none of them dropped.
        seed: of shuffles and fresh adapters.
        batch: rows per step, over all devices.
        steps: optimiser steps.
        training: how.
        folder: where the curve, the checkpoints and the model go.
        measure_at: steps at which the samples are measured, 0 included.
        arm_at: steps at which all rows of the arm are measured.
        samples: what to measure, by part: the arm's own sample and the test parts, as row numbers.
        save_model: keep the trained model in ``folder/model``.
    """

    key: str
    model: str
    rows: Int64Array
    seed: int
    batch: int
    steps: int
    training: Training
    folder: Path
    measure_at: tuple[int, ...] = ()
    arm_at: tuple[int, ...] = ()
    samples: dict[str, Int64Array] = field(default_factory=dict)
    save_model: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class ArmRun(Run):
    """A run of a comparison: one arm with one seed, and the record that is kept of it."""

    record: RunRecord


def plan_runs(
    request: Request, prepared: PreparedPool, arms: Sequence[Arm], tests: dict[str, Int64Array], rate: float
) -> list[ArmRun]:
    """Lists the runs of a comparison: every arm and seed at every point of the axes.

    All arms run equally many steps, as many as the largest needs for the epochs asked for; the curve of each
    then holds equal steps (its end), equal epochs (`RunRecord.epoch_step`) and equal tokens.
    """
    examples = prepared.examples
    largest = max((arm.rows[~examples.dropped[arm.rows]] for arm in arms), key=len)
    mean_tokens = float(examples.lengths()[largest].mean())
    planned = []
    for training in request.variants():
        training = training.model_copy(update={"rate": rate})
        steps = math.ceil(training.epochs * len(largest) / training.batch)
        for arm in arms:
            run = _plan_run(prepared, arm, training, steps, mean_tokens)
            planned.append(replace(run, samples=run.samples | tests, save_model=request.save_models))
    return planned


def variant_name(training: Training) -> str:
    """What a point of the axes is called."""
    return f"batch {training.batch}, {training.schedule}"


def _plan_run(prepared: PreparedPool, arm: Arm, training: Training, steps: int, mean_tokens: float) -> ArmRun:
    examples = prepared.examples
    rows = arm.rows[~examples.dropped[arm.rows]]
    tokens_per_row = float(examples.lengths()[rows].mean()) if len(rows) else 0.0
    batch = training.batch
    if training.batch_by == "tokens" and len(rows):
        batch = max(1, round(batch * mean_tokens / tokens_per_row))
    epochs = range(1, math.floor(steps * batch / max(1, len(rows))) + 1)
    epoch_steps = {math.ceil(epoch * len(rows) / batch) for epoch in epochs}
    epoch_step = min(steps, math.ceil(training.epochs * len(rows) / batch))
    measured = {round(steps * (k / MEASURES) ** EARLY) for k in range(MEASURES + 1)} | {epoch_step}
    key = f"{arm.key}-b{training.batch}-{training.schedule}"
    empty = "empty: none of its rows has a response inside the window; widen the window"
    record = RunRecord(
        arm=arm.name,
        seed=arm.seed,
        variant=variant_name(training),
        status="planned" if len(rows) else empty,
        rows=len(rows),
        dropped=len(arm.rows) - len(rows),
        truncated=float(examples.truncated[arm.rows].mean()),
        tokens_per_row=tokens_per_row,
        response_tokens_per_row=float(examples.response_tokens[rows].mean()) if len(rows) else 0.0,
        initial_loss=prepared.initial_mean(rows) if len(rows) else None,
        batch=batch,
        steps=steps,
        epoch_step=epoch_step,
        cost_seconds=arm.cost_seconds,
    )
    return ArmRun(
        key=key,
        model=prepared.model,
        rows=rows,
        seed=arm.seed,
        batch=batch,
        steps=steps,
        training=training,
        folder=prepared.folder / "runs" / key,
        measure_at=tuple(sorted(measured)),
        arm_at=tuple(sorted({step for step in epoch_steps if step <= steps} | {epoch_step, steps})),
        samples={"own": np.random.default_rng([arm.seed, 1]).permutation(rows)[:OWN_SAMPLE]},
        record=record,
    )


def tokens_to_pass(run: Run, examples: Examples) -> tuple[float, float]:
    """Tokens that a run trains on and tokens that it measures, for predicting its time."""
    lengths = examples.lengths()
    trained = run.steps * run.batch * float(lengths[run.rows].mean())
    sampled = sum(int(lengths[rows].sum()) for rows in run.samples.values()) * len(run.measure_at)
    return trained, sampled + int(lengths[run.rows].sum()) * len(run.arm_at)
