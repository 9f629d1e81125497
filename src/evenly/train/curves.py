"""The curve of a run as data: one Parquet table, rewritten whole at each measuring so that a reader never
sees a half."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenly.files import write_table
from evenly.train.row_losses import RowLosses

CURVE_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),  # optimiser steps done
        ("epoch", pa.float64()),  # passes over the arm's own rows
        ("tokens", pa.int64()),  # tokens trained on so far, prompt and response, padding not counted
        ("seconds", pa.float64()),  # of training so far; measuring and saving not counted
        (
            "part",
            pa.string(),
        ),  # batch (one step), own (a fixed sample of the arm), arm (all of it), or a test part
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
    """Collects the curve of a run and keeps it on disk.

    Attributes:
        curve_path, rows_path: the two tables: `CURVE_SCHEMA` and, for paired differences, `ROW_SCHEMA`.
    """

    curve_path: Path
    rows_path: Path
    _curve: list[pa.Table] = field(default_factory=list)
    _rows: list[pa.Table] = field(default_factory=list)
    _batches: list[tuple[int, float, int, float, float]] = field(default_factory=list)

    def resume(self, step: int) -> tuple[int, float]:
        """Takes up what was written up to ``step``, forgets what came after it.

        Returns:
            Tokens and seconds of training up to there.
        """
        self._curve = [_up_to(self.curve_path, step)]
        self._rows = [_up_to(self.rows_path, step)]
        last = self._curve[0].filter(pc.field("part") == "batch")
        if last.num_rows == 0:
            return 0, 0.0
        return int(pc.max(last["tokens"]).as_py()), float(pc.max(last["seconds"]).as_py())

    def batch(self, step: int, epoch: float, tokens: int, seconds: float, loss: float) -> None:
        """Adds the loss of one step; it reaches the disk with the next measuring."""
        self._batches.append((step, epoch, tokens, seconds, loss))

    def measured(
        self, step: int, epoch: float, tokens: int, seconds: float, parts: dict[str, RowLosses]
    ) -> None:
        """Adds the measures of one moment and writes both tables."""
        self._take_batches()
        names = list(parts)
        self._curve.append(
            pa.table(
                {
                    "step": [step] * len(names),
                    "epoch": [epoch] * len(names),
                    "tokens": [tokens] * len(names),
                    "seconds": [seconds] * len(names),
                    "part": names,
                    "loss": [parts[name].mean() for name in names],
                    "accuracy": [parts[name].accuracy() for name in names],
                },
                schema=CURVE_SCHEMA,
            )
        )
        for name, losses in parts.items():
            count = len(losses.rows)
            columns = [
                np.full(count, step),
                pa.array([name] * count),
                losses.rows,
                losses.loss_sum,
                losses.correct,
                losses.tokens,
            ]
            self._rows.append(pa.table(columns, schema=ROW_SCHEMA))
        self.write()

    def write(self) -> None:
        """Writes both tables under temporary names and renames them."""
        self._take_batches()
        for tables, path, schema in (
            (self._curve, self.curve_path, CURVE_SCHEMA),
            (self._rows, self.rows_path, ROW_SCHEMA),
        ):
            write_table(path, pa.concat_tables([schema.empty_table(), *tables]))

    def _take_batches(self) -> None:
        if self._batches:
            step, epoch, tokens, seconds, loss = (list(column) for column in zip(*self._batches, strict=True))
            count = len(step)
            columns = [step, epoch, tokens, seconds, ["batch"] * count, loss, [None] * count]
            self._curve.append(
                pa.table(
                    [pa.array(c, f.type) for c, f in zip(columns, CURVE_SCHEMA, strict=True)],
                    schema=CURVE_SCHEMA,
                )
            )
            self._batches = []


def _up_to(path: Path, step: int) -> pa.Table:
    return pq.read_table(path).filter(pc.field("step") <= step)
