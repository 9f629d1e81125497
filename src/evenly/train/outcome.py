"""What a run amounts to: read from its saved curve, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenly.files import write_table
from evenly.records import Frozen
from evenly.types import Float64Array, Int64Array

AXES = ("steps", "tokens", "seconds", "total")
"""What a curve can be read against; ``total`` adds the cost of embedding and selecting to the seconds of
training."""
CURVES_FILE = "curves.parquet"
DRAWN_PARTS = ("own", "random-test", "even-test")


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
    cost_seconds: float  # embedding and selecting

    @property
    def done(self) -> bool:
        return self.status == "done"


@dataclass(frozen=True, eq=False)
class Curve:
    """A run's measures of one part along the run.

    Attributes:
        steps: (m,) int64.
        tokens: (m,) int64, trained on so far.
        seconds: (m,) float64, of training so far.
        loss, accuracy: (m,) float64, per response token.
    """

    steps: Int64Array
    tokens: Int64Array
    seconds: Float64Array
    loss: Float64Array
    accuracy: Float64Array

    def axis(self, name: str, cost_seconds: float = 0.0) -> Float64Array:
        """(m,) the curve's abscissae: one of `AXES`."""
        values = {
            "steps": self.steps,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "total": self.seconds + cost_seconds,
        }
        return np.asarray(values[name], dtype=np.float64)

    def loss_at(self, name: str, value: float) -> float:
        """The loss where the axis has a value, on the line between two measures; NaN beyond the last."""
        axis = self.axis(name)
        return float(np.interp(value, axis, self.loss)) if axis[0] <= value <= axis[-1] else float("nan")

    def reached(self, level: float, name: str, cost_seconds: float = 0.0) -> float:
        """Where the loss first comes down to a level, on a line between measures; NaN where it never does."""
        below = np.flatnonzero(self.loss <= level)
        axis = self.axis(name, cost_seconds)
        if len(below) == 0:
            return float("nan")
        at = int(below[0])
        if at == 0:
            return float(axis[0])
        share = (self.loss[at - 1] - level) / (self.loss[at - 1] - self.loss[at])
        return float(axis[at - 1] + share * (axis[at] - axis[at - 1]))


@dataclass(frozen=True, eq=False)
class Outcome:
    """A run's record and where its tables are."""

    record: RunRecord
    folder: Path

    def curve(self, part: str) -> Curve:
        """The curve of a part: batch, own, arm, random-test, even-test."""
        table = pq.read_table(self.folder / "curve.parquet").filter(pc.field("part") == part)
        columns = {name: table[name].to_numpy() for name in ("step", "tokens", "seconds", "loss", "accuracy")}
        return Curve(
            columns["step"], columns["tokens"], columns["seconds"], columns["loss"], columns["accuracy"]
        )

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
        columns = [
            np.concatenate([getattr(sample, name)[between], getattr(whole, name)])[order]
            for name in ("tokens", "seconds", "accuracy")
        ]
        return Curve(steps[order], columns[0], columns[1], loss[order], columns[2])

    def row_losses(self, part: str, step: int) -> tuple[Int64Array, Float64Array, Int64Array]:
        """Row numbers, sums of loss and response tokens of a part at a measured step, by row number."""
        chosen = (pc.field("part") == part) & (pc.field("step") == step)
        table = pq.read_table(self.folder / "rows.parquet").filter(chosen).sort_by("row")
        return table["row"].to_numpy(), table["loss_sum"].to_numpy(), table["tokens"].to_numpy()


def write_curves(outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes the curves of finished runs that verdicts and figures rest on as one Parquet table."""
    tables = []
    for each in outcomes:
        record = each.record
        for part in DRAWN_PARTS:
            curve = each.own_curve() if part == "own" else each.curve(part)
            named = {"variant": record.variant, "arm": record.arm, "seed": record.seed, "part": part}
            columns: dict[str, Any] = {name: [value] * len(curve.steps) for name, value in named.items()}
            columns |= {axis: curve.axis(axis, record.cost_seconds) for axis in AXES}
            tables.append(pa.table({**columns, "loss": curve.loss}))
    write_table(path, pa.concat_tables(tables))


def read_outcomes(folder: Path) -> list[Outcome]:
    """All runs of a comparison's folder that have a record, finished or not."""
    return [
        Outcome(RunRecord.model_validate_json(path.read_text(encoding="utf-8")), path.parent)
        for path in sorted(folder.glob("runs/*/run.json"))
    ]


def common_level(curves: Sequence[Curve], *, as_drop: bool = False) -> float:
    """The lowest loss that every curve reaches, or the largest drop from its start that every one makes.

    It treats the curves alike, so no arm is favoured by the choice, and nothing has to be extrapolated.
    """
    if as_drop:
        return min(float(curve.loss[0] - curve.loss.min()) for curve in curves)
    return max(float(curve.loss.min()) for curve in curves)
