"""The loss of each row under a model: what curves, thresholds and paired differences are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from evenly.files import write_table
from evenly.train.examples import Examples
from evenly.train.head import predict
from evenly.train.losses import IGNORED
from evenly.train.settings import LossName, Precision
from evenly.types import Float64Array, Int64Array, Progress, silent

TOKENS_PER_PASS = 2048
WIDTH_MULTIPLE = 16
"""Matrix units work on whole tiles, and every new shape costs a kernel: rows are padded to a multiple of
this. It does not depend on how many rows there are, so that no arm pays for its number of rows a step."""


@dataclass(frozen=True, eq=False)
class RowLosses:
    """Losses of n rows.

    Attributes:
        rows: (n,) int64 pool row numbers.
        loss_sum: (n,) float64, sum of the loss over a row's response tokens.
        correct: (n,) int64, response tokens whose most likely prediction is right.
        tokens: (n,) int64, response tokens.
    """

    rows: Int64Array
    loss_sum: Float64Array
    correct: Int64Array
    tokens: Int64Array

    def columns(self) -> dict[str, Any]:
        """As the columns of a table."""
        return {"row": self.rows, "loss_sum": self.loss_sum, "correct": self.correct, "tokens": self.tokens}

    def save(self, path: Path) -> None:
        """Writes them as Parquet."""
        write_table(path, pa.table(self.columns()))

    @classmethod
    def load(cls, path: Path) -> RowLosses:
        """Reads what `save` wrote."""
        table = pq.read_table(path)
        return cls(*(table[name].to_numpy() for name in ("row", "loss_sum", "correct", "tokens")))

    def of(self, rows: Int64Array) -> RowLosses:
        """Those of some of the rows, which stand in ascending order here."""
        place = np.searchsorted(self.rows, rows)
        return RowLosses(rows, self.loss_sum[place], self.correct[place], self.tokens[place])

    def mean(self) -> float:
        """The loss per response token over all rows: what training minimises."""
        return float(self.loss_sum.sum() / self.tokens.sum())

    def accuracy(self) -> float:
        """Share of response tokens predicted right."""
        return float(self.correct.sum() / self.tokens.sum())


def pad_batch(examples: Examples, rows: Sequence[int] | Int64Array, pad_id: int) -> dict[str, torch.Tensor]:
    """Stacks rows into one batch, padded on the right.

    Returns:
        input_ids, attention_mask and labels, each (B, T) int64 with T a multiple of `WIDTH_MULTIPLE`; inputs_embeds,
        (B, T, d), too where the model was cut.
    """
    longest = max(len(examples.tokens[row]) for row in rows)
    width = -(-longest // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    labels = np.full((len(rows), width), IGNORED, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        length = len(examples.tokens[row])
        ids[place, :length] = examples.tokens[row]
        labels[place, :length] = examples.labels[row]
        mask[place, :length] = 1
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }
    return batch | ({"inputs_embeds": examples.states.batch(rows, width)} if examples.states else {})


def autocast(device: torch.device | str, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """The arithmetic of a run: autocast to its precision, or nothing for float32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    context: contextlib.AbstractContextManager[Any] = torch.autocast(torch.device(device).type, dtype=dtype)
    return context


def row_losses(
    model: Any,
    examples: Examples,
    rows: Int64Array,
    loss: LossName,
    precision: Precision,
    pad_id: int,
    *,
    share: tuple[int, int] = (0, 1),
    progress: Progress = silent,
) -> RowLosses:
    """Computes the loss of rows under a model, without touching its mode or gradients.

    Args:
        model: a causal language model; called as ``model(input_ids=…, attention_mask=…).logits``.
        examples: the tokenised pool.
        rows: (n,) pool row numbers, none of them dropped.
        loss: the loss to measure with.
        precision: of the forward passes; sums are float64.
        pad_id: any token id, for the padding.
        share: (rank, world): under several processes each computes its passes and all hear of all results.
            Every process makes equally many passes, since sharded models need all processes in each of them.

    Returns:
        Losses in the order of ``rows``.
    """
    rank, world = share
    by_length = rows[np.argsort(-examples.lengths()[rows], kind="stable")]
    batches = _passes(examples, by_length)
    mine = [
        batches[min(at, len(batches) - 1)] for at in range(rank, -(-len(batches) // world) * world, world)
    ]
    device = next(model.parameters()).device
    found: dict[int, tuple[float, int]] = {}
    was_training = model.training
    model.eval()
    for done, batch in enumerate(mine):
        found.update(_one_pass(model, examples, batch, loss, precision, pad_id, device))
        progress("measure rows", done + 1, len(mine))
    model.train(was_training)
    if world > 1:
        from accelerate.utils import gather_object

        found = {row: value for part in gather_object([found]) for row, value in part.items()}
    return RowLosses(
        rows=rows,
        loss_sum=np.array([found[int(row)][0] for row in rows], dtype=np.float64),
        correct=np.array([found[int(row)][1] for row in rows], dtype=np.int64),
        tokens=examples.response_tokens[rows],
    )


def _passes(examples: Examples, rows: Int64Array) -> list[Int64Array]:
    batches, start = [], 0
    while start < len(rows):
        count = max(1, TOKENS_PER_PASS // max(1, len(examples.tokens[rows[start]])))
        batches.append(rows[start : start + count])
        start += count
    return batches


def _one_pass(
    model: Any,
    examples: Examples,
    rows: Int64Array,
    loss: LossName,
    precision: Precision,
    pad_id: int,
    device: Any,
) -> dict[int, tuple[float, int]]:
    batch = {name: tensor.to(device) for name, tensor in pad_batch(examples, rows, pad_id).items()}
    with torch.no_grad(), autocast(device, precision):
        predicted = predict(model, **batch)
    losses, right = predicted.losses(loss)
    place = (batch["labels"][:, 1:] != IGNORED).nonzero()[:, 0]
    sums = torch.zeros(len(rows), 2, dtype=torch.float64, device=device)
    sums.index_add_(0, place, torch.stack([losses, right.double()], dim=1))
    return {
        int(row): (float(total), round(float(hits)))
        for row, (total, hits) in zip(rows, sums.tolist(), strict=True)
    }
