"""The curve of a run on disk: the trainer writes it as it goes, verdicts and figures are read from it alone.

Two Parquet tables, rewritten whole at each measuring so that a reader never sees a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenly.files import write_table
from evenly.records import Frozen
from evenly.train.row_losses import RowLosses
from evenly.types import Float64Array, Int64Array

CURVE_FILE, ROWS_FILE, RECORD_FILE = "curve.parquet", "rows.parquet", "run.json"
RANDOM_TEST, EVEN_TEST = "random-test", "even-test"
AXES = ("steps", "tokens", "seconds", "total")
"""What a curve can be read against; ``total`` adds the cost of embedding and selecting to the seconds of
training."""

CURVE_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),  # optimiser steps done
        ("epoch", pa.float64()),  # passes over the arm's own rows
        ("tokens", pa.int64()),  # tokens trained on so far, prompt and response, padding not counted
        ("seconds", pa.float64()),  # of training so far; measuring and saving not counted
        ("part", pa.string()),  # batch (one step), own (a sample of the arm), arm (all of it), or a test part
        ("loss", pa.float64()),  # per response token
        ("accuracy", pa.float64()),  # share of response tokens predicted right; null for batch
    ]
)
ROW_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("part", pa.string()),
        ("row", pa.int64()),
        ("loss_sum", pa.float64()),
        ("correct", pa.int64()),
        ("tokens", pa.int64()),
    ]
)


@dataclass
class CurveWriter:
    """Collects the curve of a run and keeps it in the run's folder."""

    folder: Path
    _curve: list[pa.Table] = field(default_factory=list)
    _rows: list[pa.Table] = field(default_factory=list)
    _points: list[dict[str, Any]] = field(default_factory=list)

    def resume(self, step: int) -> tuple[int, float]:
        """Takes up what was written up to ``step``, forgets what came after it.

        Returns:
            Tokens and seconds of training up to there.
        """
        self._curve, self._rows = (
            [pq.read_table(self.folder / name).filter(pc.field("step") <= step)]
            for name in (CURVE_FILE, ROWS_FILE)
        )
        last = self._curve[0].filter(pc.field("part") == "batch")
        if last.num_rows == 0:
            return 0, 0.0
        return int(pc.max(last["tokens"]).as_py()), float(pc.max(last["seconds"]).as_py())

    def batch(self, loss: float, **at: float) -> None:
        """Adds the loss of one step; it reaches the disk with the next measuring.

        Args:
            loss: of the step.
            at: ``step``, ``epoch``, ``tokens`` and ``seconds``.
        """
        self._points.append({**at, "part": "batch", "loss": loss, "accuracy": None})

    def measured(self, parts: dict[str, RowLosses], **at: float) -> None:
        """Adds the measures of one moment and writes both tables."""
        self._points += [
            {**at, "part": part, "loss": losses.mean(), "accuracy": losses.accuracy()}
            for part, losses in parts.items()
        ]
        for part, losses in parts.items():
            count = len(losses.rows)
            columns = [pa.array([at["step"]] * count), pa.array([part] * count), *losses.columns().values()]
            self._rows.append(pa.table(columns, schema=ROW_SCHEMA))
        self.write()

    def write(self) -> None:
        """Writes both tables."""
        if self._points:
            self._curve.append(pa.Table.from_pylist(self._points, CURVE_SCHEMA))
            self._points = []
        write_table(self.folder / CURVE_FILE, self._curve, CURVE_SCHEMA)
        write_table(self.folder / ROWS_FILE, self._rows, ROW_SCHEMA)


class RunRecord(Frozen):
    """What is known about a run apart from its curve; ``runs/KEY/run.json``."""

    arm: str
    seed: int
    variant: str  # one point of the batch and schedule axes, e.g. "batch 32, shuffled"
    status: str  # done, or why not, in one line
    rows: int
    dropped: int  # rows of the arm without a response inside the window: not trained on
    truncated: float  # share of the arm's rows longer than the window
    tokens_per_row: float
    response_tokens_per_row: float
    initial_loss: float | None  # of the arm's own rows under the model that all arms start from
    batch: int  # rows per step
    steps: int
    epoch_step: int  # the step at which the run had made as many epochs as asked for
    answer_step: int | None = (
        None  # the step at which it had as many answer tokens as every arm has by its end
    )
    cost_seconds: float  # embedding and selecting

    @property
    def done(self) -> bool:
        return self.status == "done"

    @property
    def answers_a_step(self) -> float:
        """Response tokens of a step, on average."""
        return self.batch * self.response_tokens_per_row


@dataclass(frozen=True, eq=False)
class Curve:
    """A run's measures of one part along the run.

    Attributes:
        steps: (m,) int64.
        tokens: (m,) int64, trained on so far.
        seconds: (m,) float64, of training so far.
        loss, accuracy: (m,) float64, per response token.
        cost_seconds: what came before training.
    """

    steps: Int64Array
    tokens: Int64Array
    seconds: Float64Array
    loss: Float64Array
    accuracy: Float64Array
    cost_seconds: float = 0.0

    def axis(self, name: str) -> Float64Array:
        """(m,) the curve's abscissae: one of `AXES`."""
        values = self.seconds + self.cost_seconds if name == "total" else getattr(self, name)
        return np.asarray(values, dtype=np.float64)

    def loss_at(self, name: str, value: float) -> float:
        """The loss where the axis has a value, on the line between two measures; NaN beyond the last."""
        axis = self.axis(name)
        return float(np.interp(value, axis, self.loss)) if axis[0] <= value <= axis[-1] else float("nan")

    def reached(self, level: float, name: str) -> float:
        """Where the loss first comes down to a level, on a line between measures; NaN where it never does."""
        below = np.flatnonzero(self.loss <= level)
        axis = self.axis(name)
        if len(below) == 0:
            return float("nan")
        at = int(below[0])
        if at == 0:
            return float(axis[0])
        share = (self.loss[at - 1] - level) / (self.loss[at - 1] - self.loss[at])
        return float(axis[at - 1] + share * (axis[at] - axis[at - 1]))


class Outcome:
    """A run as it was saved: its record, and its curves read from its tables.

    Args:
        record: of the run.
        folder: where its tables are.
    """

    def __init__(self, record: RunRecord, folder: Path) -> None:
        self.record, self.folder = record, folder
        self.curve = cache(self._curve)

    def _curve(self, part: str) -> Curve:
        """The curve of a part: batch, own, arm, random-test, even-test."""
        table = self._table.filter(pc.field("part") == part)
        steps, tokens, seconds, loss, accuracy = (
            table[name].to_numpy() for name in ("step", "tokens", "seconds", "loss", "accuracy")
        )
        return Curve(steps, tokens, seconds, loss, accuracy, self.record.cost_seconds)

    @cached_property
    def _table(self) -> pa.Table:
        return pq.read_table(self.folder / CURVE_FILE)

    @cached_property
    def own_curve(self) -> Curve:
        """The loss on all own rows along the run.

        A sample of them is measured often and gives the curve its shape; all are measured before the run and at
        every epoch's end. What the sample is off by there is taken off it, on straight lines between. So the
        curve is exact at these steps, and which rows the sample drew hardly matters in between.
        """
        sample, whole = self.curve("own"), self.curve("arm")
        off = [float(self.record.initial_loss or 0.0) - sample.loss[0]]
        sampled = self.row_losses("own", 0)[0]
        for step, loss in zip(whole.steps, whole.loss, strict=True):
            rows, loss_sum, tokens = self.row_losses("arm", int(step))
            chosen = np.isin(rows, sampled)
            off.append(float(loss - loss_sum[chosen].sum() / tokens[chosen].sum()))
        between = ~np.isin(sample.steps, whole.steps)
        drift = np.interp(sample.steps, [0, *whole.steps], off)
        steps = np.concatenate([sample.steps[between], whole.steps])
        loss = np.concatenate([(sample.loss + drift)[between], whole.loss])
        order = np.argsort(steps)
        tokens, seconds, accuracy = (
            np.concatenate([getattr(sample, name)[between], getattr(whole, name)])[order]
            for name in ("tokens", "seconds", "accuracy")
        )
        return Curve(steps[order], tokens, seconds, loss[order], accuracy, self.record.cost_seconds)

    def row_losses(self, part: str, step: int) -> tuple[Int64Array, Float64Array, Int64Array]:
        """Row numbers, sums of loss and response tokens of a part at a measured step, by row number."""
        chosen = (pc.field("part") == part) & (pc.field("step") == step)
        table = pq.read_table(self.folder / ROWS_FILE).filter(chosen).sort_by("row")
        return table["row"].to_numpy(), table["loss_sum"].to_numpy(), table["tokens"].to_numpy()


def write_curves(outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes the curves of finished runs that verdicts and figures rest on as one Parquet table."""
    tables = []
    for each in outcomes:
        record = each.record
        for part in ("own", RANDOM_TEST, EVEN_TEST):
            curve = each.own_curve if part == "own" else each.curve(part)
            named = {"variant": record.variant, "arm": record.arm, "seed": record.seed, "part": part}
            columns: dict[str, Any] = {name: [value] * len(curve.steps) for name, value in named.items()}
            tables.append(
                pa.table(columns | {axis: curve.axis(axis) for axis in AXES} | {"loss": curve.loss})
            )
    write_table(path, pa.concat_tables(tables))


def read_outcomes(folder: Path) -> list[Outcome]:
    """All runs of a comparison's folder that have a record, finished or not."""
    return [
        Outcome(RunRecord.model_validate_json(path.read_text(encoding="utf-8")), path.parent)
        for path in sorted(folder.glob(f"runs/*/{RECORD_FILE}"))
    ]
