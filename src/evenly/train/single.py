"""Training one model on one set of rows, apart from any comparison: `evenly train`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.rows.chat import Messages
from evenly.train.curves import CURVE_FILE
from evenly.train.examples import encode
from evenly.train.models import load_tokenizer, memory_remedy
from evenly.train.plan import Run
from evenly.train.settings import Training
from evenly.types import Progress, silent

SAMPLE = 128
"""Rows that the loss is measured on along the run: enough to see it fall, at a hundredth of a run's cost."""
MEASURES = 10


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        rows: rows trained on.
        truncated, dropped: rows cut at the window; rows left out for having no response inside it.
        steps: optimiser steps.
        loss: per response token, over all rows, at the end.
    """

    rows: int
    truncated: int
    dropped: int
    steps: int
    loss: float


def train_rows(
    rows: Sequence[Messages],
    model: str,
    training: Training,
    folder: Path,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Trained:
    """Trains a model on rows; the same call goes on where an earlier one was interrupted.

    Args:
        rows: N conversations.
        model: folder or hub id.
        training: how; its rate must be a number.
        folder: gets ``curve.parquet``, ``rows.parquet``, checkpoints, and ``model`` at the end.
        seed: of shuffles and fresh adapters.

    Raises:
        InputError: no model or tokenizer there, no row with a response inside the window, or a loss that
            diverges.
    """
    from evenly.train.trainer import DivergedError, train_run

    if training.rate == "auto":
        raise InputError("evenly train needs a `rate`; evenly compare can find one")
    tokenizer = load_tokenizer(model, plain_template=training.plain_template)
    examples = encode(rows, tokenizer, training.window, progress=progress)
    usable = np.flatnonzero(~examples.dropped)
    steps = math.ceil(training.epochs * len(usable) / training.batch)
    run = Run(
        folder.name,
        model,
        usable,
        seed,
        training.batch,
        steps,
        training,
        folder,
        measure_at=tuple(sorted({round(steps * k / MEASURES) for k in range(MEASURES + 1)})),
        arm_at=(steps,),
        samples={"own": np.random.default_rng([seed, 1]).permutation(usable)[:SAMPLE]},
        save_model=True,
    )
    if not (folder / "model").exists():
        try:
            train_run(run, examples, tokenizer, progress=progress)
        except (RuntimeError, MemoryError) as error:
            reason = str(error) if isinstance(error, DivergedError) else memory_remedy(error, training)
            if reason is None:
                raise
            raise InputError(f"{reason}; the curve up to there is in {folder / 'curve.parquet'}") from None
    curve = pq.read_table(folder / CURVE_FILE).filter(pc.field("part") == "arm")
    loss = float(curve["loss"][-1].as_py())
    return Trained(len(usable), int(examples.truncated.sum()), int(examples.dropped.sum()), steps, loss)
