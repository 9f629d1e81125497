"""What a comparison runs: which arms, for how many steps, measured when, and how long it will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from evenly.records import Frozen
from evenly.train.arms import Arm
from evenly.train.examples import Examples
from evenly.train.order import Schedule
from evenly.train.outcome import RunRecord
from evenly.train.row_losses import RowLosses
from evenly.train.settings import Training
from evenly.train.trainer import Run
from evenly.types import Int64Array

RANDOM_TEST = "random-test"
EVEN_TEST = "even-test"
OWN_SAMPLE = 128
"""Own rows that an arm is measured on along the run; all its rows are measured at the end of every epoch."""
MEASURES = 8
EARLY = 1.5
"""Measures lie at (k / MEASURES) ** EARLY of the run: closer together where the loss falls fastest."""


class Request(Frozen):
    """What a user asked a comparison to do; ``request.json``. The same request goes on where it was left."""

    format: int = 1
    sources: tuple[str, ...] = ()
    sources_sha256: tuple[str, ...] = ()  # filled in when they are read
    model: str | None = None  # None: the proxy
    training: Training = Training()
    keep: str = "50%"
    arms: tuple[str, ...] = ("full", "random", "uniform")
    seeds: int = Field(default=3, ge=1)
    pool: int | None = None  # rows drawn at random from the sources; None takes all
    test: int = Field(default=200, ge=2)  # rows of each of the two test parts
    near_copy: float = Field(
        default=0.05, ge=0.0
    )  # cosine distance to a test row at which a row is left out of all arms
    encoder: str = "minilm"
    part: Literal["all", "prompt", "response"] = "all"
    match_length: bool = False  # give every arm the response lengths of the pool
    batches: tuple[int, ...] = ()  # the batch axis; empty takes the training's own
    schedules: tuple[Schedule, ...] = ()  # the schedule axis; empty takes the training's own
    saved: tuple[str, ...] = ()  # NAME=FOLDER: saved selections as further arms
    save_models: bool = False

    @property
    def reference(self) -> str:
        """The arm that the others are held against."""
        return "random" if "random" in self.arms else self.arms[0]

    def variants(self) -> list[Training]:
        """The training of each point of the batch and schedule axes."""
        batches = self.batches or (self.training.batch,)
        schedules = self.schedules or (self.training.schedule,)
        return [
            self.training.model_copy(update={"batch": batch, "schedule": schedule})
            for batch in batches
            for schedule in schedules
        ]


@dataclass(frozen=True, eq=False)
class Prepared:
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
class Planned:
    """A run and the record that will be kept of it."""

    run: Run
    record: RunRecord


def plan_runs(
    request: Request, prepared: Prepared, arms: Sequence[Arm], tests: dict[str, Int64Array], rate: float
) -> list[Planned]:
    """Lists the runs of a comparison: every arm and seed at every point of the axes.

    All arms run equally many steps, as many as the largest needs for the epochs asked for; the curve of each
    then holds equal steps (its end), equal epochs (`RunRecord.epoch_step`) and equal tokens.
    """
    examples = prepared.examples
    trainable = {arm.key: arm.rows[~examples.dropped[arm.rows]] for arm in arms}
    largest = max(trainable.values(), key=len)
    mean_tokens = float(examples.lengths()[largest].mean())
    planned = []
    for training in request.variants():
        training = training.model_copy(update={"rate": rate})
        steps = math.ceil(training.epochs * len(largest) / training.batch)
        planned += [_plan_run(request, prepared, arm, training, steps, mean_tokens, tests) for arm in arms]
    return planned


def variant_name(training: Training) -> str:
    """What a point of the axes is called."""
    return f"batch {training.batch}, {training.schedule}"


def _plan_run(
    request: Request,
    prepared: Prepared,
    arm: Arm,
    training: Training,
    steps: int,
    mean_tokens: float,
    tests: dict[str, Int64Array],
) -> Planned:
    examples = prepared.examples
    rows = arm.rows[~examples.dropped[arm.rows]]
    tokens_per_row = float(examples.lengths()[rows].mean()) if len(rows) else 0.0
    batch = training.batch
    if training.batch_by == "tokens" and len(rows):
        batch = max(1, round(batch * mean_tokens / tokens_per_row))
    epoch_steps = [
        math.ceil(epoch * len(rows) / batch)
        for epoch in range(1, math.floor(steps * batch / max(1, len(rows))) + 1)
    ]
    epoch_step = min(steps, math.ceil(training.epochs * len(rows) / batch))
    measured = {round(steps * (k / MEASURES) ** EARLY) for k in range(MEASURES + 1)} | {epoch_step}
    sample = np.random.default_rng([arm.seed, 1]).permutation(rows)[:OWN_SAMPLE]
    key = f"{arm.key}-b{training.batch}-{training.schedule}"
    run = Run(
        key=key,
        model=prepared.model,
        rows=rows,
        seed=arm.seed,
        batch=batch,
        steps=steps,
        training=training,
        measure_at=tuple(sorted(measured)),
        arm_at=tuple(sorted({step for step in epoch_steps if step <= steps} | {epoch_step, steps})),
        samples={"own": sample, **tests},
        folder=prepared.folder / "runs" / key,
        save_model=request.save_models,
    )
    record = RunRecord(
        arm=arm.name,
        seed=arm.seed,
        variant=variant_name(training),
        status="planned"
        if len(rows)
        else "empty: none of its rows has a response inside the window; widen --window",
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
    return Planned(run, record)


def tokens_to_pass(planned: Planned, examples: Examples) -> tuple[float, float]:
    """Tokens that a run trains on and tokens that it measures, for predicting its time."""
    run = planned.run
    lengths = examples.lengths()
    trained = run.steps * run.batch * float(lengths[run.rows].mean())
    sampled = sum(int(lengths[rows].sum()) for rows in run.samples.values()) * len(run.measure_at)
    return trained, sampled + int(lengths[run.rows].sum()) * len(run.arm_at)
