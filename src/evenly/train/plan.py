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
from evenly.train.variants import Variant, variants
from evenly.types import Int64Array

OWN_SAMPLE = 128
"""Own rows that an arm is measured on along the run; all its rows are measured at the end of every epoch."""
EARLY = 1.5
"""Of n measures the k-th lies at (k / n) ** EARLY of the run: closer together where the loss falls fastest."""


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
        initial: losses before training of all rows that are measured, where they are known: step 0 takes them.
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
    initial: RowLosses | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ArmRun(Run):
    """A run of a comparison: one arm with one seed, and the record that is kept of it."""

    record: RunRecord


def plan_runs(
    request: Request, prepared: PreparedPool, arms: Sequence[Arm], tests: dict[str, Int64Array], rate: float
) -> list[ArmRun]:
    """Lists the runs of a comparison, seed by seed: every arm at every point of the axes.

    All arms run equally many steps, as many as the largest needs for the epochs asked for; the curve of each
    then holds equal steps (its end), equal epochs (`RunRecord.epoch_step`), equal tokens and, measured at a step of
    its own, as many answer tokens as every arm has by then (`RunRecord.answer_step`).
    """
    examples = prepared.examples
    planned = []
    for variant in variants(request):
        training = variant.training.model_copy(update={"rate": rate})
        of_size = [
            replace(arm, rows=arm.rows[: max(1, round(variant.share * len(arm.rows)))])
            for arm in arms
            if variant.has(arm.name) and arm.keep in ("", variant.keep)
        ]
        largest = max((arm.rows[~examples.dropped[arm.rows]] for arm in of_size), key=len)
        mean_tokens = float(examples.lengths()[largest].mean())
        steps = math.ceil(training.epochs * len(largest) / training.batch)
        at = replace(variant, training=training)
        runs = [_plan_run(prepared, arm, at, steps, mean_tokens) for arm in of_size]
        answers = min(run.record.answers_a_step for run in runs if len(run.rows)) * steps
        for run in runs:
            run = _measured_at_answers(run, answers)
            measured = {round(steps * (k / request.measures) ** EARLY) for k in range(request.measures + 1)}
            run = replace(run, measure_at=tuple(sorted({*measured, *run.measure_at})))
            planned.append(replace(run, samples=run.samples | tests, save_model=request.save_models))
    return sorted(planned, key=lambda run: run.seed)


def _measured_at_answers(run: ArmRun, answers: float) -> ArmRun:
    """The run, measured where it has trained on so many answer tokens too."""
    if not len(run.rows):
        return run
    step = min(run.steps, max(1, round(answers / run.record.answers_a_step)))
    record = run.record.model_copy(update={"answer_step": step})
    return replace(run, record=record, measure_at=(*run.measure_at, step))


def _plan_run(prepared: PreparedPool, arm: Arm, variant: Variant, steps: int, mean_tokens: float) -> ArmRun:
    examples, training = prepared.examples, variant.training
    rows = arm.rows[~examples.dropped[arm.rows]]
    tokens_per_row = float(examples.lengths()[rows].mean()) if len(rows) else 0.0
    batch = training.batch
    if training.batch_by == "tokens" and len(rows):
        batch = max(1, round(batch * mean_tokens / tokens_per_row))
    epochs = range(1, math.floor(steps * batch / max(1, len(rows))) + 1)
    epoch_steps = {math.ceil(epoch * len(rows) / batch) for epoch in epochs}
    epoch_step = min(steps, math.ceil(training.epochs * len(rows) / batch))
    key = f"{arm.key}-{variant.key}"
    empty = "empty: none of its rows has a response inside the window; widen the window"
    record = RunRecord(
        arm=arm.name,
        seed=arm.seed,
        variant=variant.name,
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
        measure_at=(epoch_step,),
        arm_at=tuple(sorted({step for step in epoch_steps if step <= steps} | {epoch_step, steps})),
        samples={"own": np.random.default_rng([arm.seed, 1]).permutation(rows)[:OWN_SAMPLE]},
        initial=prepared.initial,
        record=record,
    )


def tokens_to_pass(run: Run, examples: Examples) -> tuple[float, float]:
    """Tokens that a run trains on and tokens that it measures, for predicting its time."""
    lengths = examples.lengths()
    trained = run.steps * run.batch * float(lengths[run.rows].mean())
    sampled = sum(int(lengths[rows].sum()) for rows in run.samples.values()) * len(run.measure_at)
    return trained, sampled + int(lengths[run.rows].sum()) * len(run.arm_at)
