"""Finding a learning rate that all arms then share: an untuned one ruins small models and hides the arms."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.train.compare import run_all
from evenly.train.curves import RECORD_FILE, Outcome, RunRecord
from evenly.train.plan import ArmRun, PreparedPool
from evenly.types import Int64Array, Progress, silent

STEPS = 40
SAMPLE = 256
FACTOR = math.sqrt(10.0)
FIRST_RATE = {
    ("adamw", "cross-entropy"): 2e-3,
    ("adamw", "l2"): 2e-3,
    ("adamw", "l2-probabilities"): 2e-3,
    ("sgd", "cross-entropy"): 0.3,
    ("sgd", "l2"): 30.0,  # the mean over the vocabulary shrinks the gradient by its size
    ("sgd", "l2-probabilities"): 300.0,
}
"""Where the sweep starts; it walks from there, so these need not be right."""
FEWEST, MOST = 5, 13


def find_rate(
    run: ArmRun,
    prepared: PreparedPool,
    unseen: Int64Array,
    *,
    workers: int = 1,
    progress: Progress = silent,
) -> float:
    """Trains one arm briefly at several rates and returns the best.

    Five rates, a factor of sqrt(10) apart, around a first guess; while the best lies at an end, the sweep
    goes on that way. Best is the lowest loss after `STEPS` steps on rows that the run is not trained on: on
    its own rows the best rate would be the one that learns them by heart. The same rate then serves all arms.
    The sweep is kept in ``rates/`` and ``rate.json``.

    Args:
        run: what to try rates on; by custom the reference arm with the first seed.
        prepared: the pool.
        unseen: pool row numbers that are neither in the run nor in a test part; where there are none, the
            run's own rows must do.

    Raises:
        InputError: the loss diverges, or does not fall, at every rate tried.
    """
    path = prepared.folder / "rate.json"
    if path.exists():
        return float(json.loads(path.read_text(encoding="utf-8"))["rate"])
    middle = FIRST_RATE[run.training.optimizer, run.training.loss]
    losses: dict[int, float] = {}
    wanted = list(range(-(FEWEST // 2), FEWEST // 2 + 1))
    while wanted and len(losses) < MOST:
        trials = {power: _trial(run, prepared, unseen, middle * FACTOR**power) for power in wanted}
        run_all(list(trials.values()), prepared, workers=workers, progress=progress)
        losses |= {power: _final_loss(trial) for power, trial in trials.items()}
        best = min(losses, key=lambda power: losses[power])
        edge = {min(losses): min(losses) - 1, max(losses): max(losses) + 1}
        wanted = [edge[best]] if best in edge else []
    if not math.isfinite(losses[best]):
        raise InputError(
            "the loss diverges at every learning rate tried; look at the data, or name a rate as `rate`"
        )
    rate = float(f"{middle * FACTOR**best:.3g}")
    sweep_table = {f"{middle * FACTOR**power:.3g}": losses[power] for power in sorted(losses)}
    finite = {name: (loss if math.isfinite(loss) else None) for name, loss in sweep_table.items()}
    write_atomically(
        path, json.dumps({"rate": rate, "loss_after_steps": STEPS, "sweep": finite}, indent=2) + "\n"
    )
    return rate


def _trial(run: ArmRun, prepared: PreparedPool, unseen: Int64Array, rate: float) -> ArmRun:
    steps = min(STEPS, run.steps)
    usable = unseen[~prepared.examples.dropped[unseen]]
    sample = np.random.default_rng(run.seed).permutation(usable)[:SAMPLE]
    return replace(
        run,
        key=f"rate {rate:.3g}",
        steps=steps,
        training=run.training.model_copy(update={"rate": rate}),
        measure_at=(steps,),
        arm_at=(),
        samples={"unseen": sample if len(sample) else run.samples["own"]},
        folder=prepared.folder / "rates" / f"{rate:.3g}",
        save_model=False,
    )


def _final_loss(trial: ArmRun) -> float:
    record = RunRecord.model_validate_json((trial.folder / RECORD_FILE).read_text(encoding="utf-8"))
    return float(Outcome(record, trial.folder).curve("unseen").loss[-1]) if record.done else math.inf
