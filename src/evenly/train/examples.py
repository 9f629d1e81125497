"""Rows to token ids and labels: the chat template of the model or a plain one, the loss on responses only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.files import write_table
from evenly.rows.chat import Messages, RewrittenError, tokenised, training_template
from evenly.train.losses import IGNORED
from evenly.train.states import LowerStates
from evenly.types import Int64Array, Progress, silent


@dataclass(frozen=True, eq=False)
class Examples:
    """Tokenised rows.

    Attributes:
        tokens: for each row its int64 token ids, cut to the window; empty where the row was dropped.
        labels: for each row its int64 labels, `IGNORED` outside responses.
        response_tokens: (N,) int64, tokens of each row that the loss is on.
        truncated: (N,) bool, the row was longer than the window.
        dropped: (N,) bool, no response token is left within the window: the row cannot be trained on.
        window: tokens that fit.
        states: what the lower blocks of a model that was cut give for them; None where it was not.
    """

    tokens: list[Int64Array]
    labels: list[Int64Array]
    response_tokens: Int64Array
    truncated: npt.NDArray[np.bool_]
    dropped: npt.NDArray[np.bool_]
    window: int
    states: LowerStates | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def save(self, path: Path) -> None:
        """Writes the tokenised rows as Parquet, so that other processes need not tokenise again."""
        columns = {
            "tokens": pa.array([ids.astype(np.int32) for ids in self.tokens], pa.list_(pa.int32())),
            "labels": pa.array([targets.astype(np.int32) for targets in self.labels], pa.list_(pa.int32())),
            "truncated": self.truncated,
        }
        write_table(path, pa.table(columns).replace_schema_metadata({"window": str(self.window)}))

    @classmethod
    def load(cls, path: Path) -> Examples:
        """Reads what `save` wrote."""
        table = pq.read_table(path)
        window = int((table.schema.metadata or {})[b"window"])
        tokens = [np.asarray(ids.values, dtype=np.int64) for ids in table["tokens"]]
        labels = [np.asarray(targets.values, dtype=np.int64) for targets in table["labels"]]
        return cls.of(tokens, labels, table["truncated"].to_numpy(), window)

    @classmethod
    def of(
        cls, tokens: list[Int64Array], labels: list[Int64Array], truncated: npt.NDArray[np.bool_], window: int
    ) -> Examples:
        """Counts the response tokens of rows already cut to the window."""
        response_tokens = np.array([int((targets != IGNORED).sum()) for targets in labels], dtype=np.int64)
        return cls(tokens, labels, response_tokens, truncated, response_tokens == 0, window)

    def lengths(self) -> Int64Array:
        """(N,) int64, tokens of each row, prompt and response, within the window."""
        return np.array([len(ids) for ids in self.tokens], dtype=np.int64)


def encode(rows: Sequence[Messages], tokenizer: Any, window: int, *, progress: Progress = silent) -> Examples:
    """Tokenises rows for training.

    Rows are cut at the window, never packed together. Cost: one tokeniser call per turn.

    Args:
        rows: N rows of messages.
        tokenizer: a transformers tokenizer, with or without a chat template.
        window: most tokens of a row.

    Raises:
        InputError: no row can be trained on, a chat template that refuses a row or leaves out a turn of it, or one
            that rewrites earlier turns and has no known variant for training.
    """
    try:
        tokens, labels = _encode_rows(rows, tokenizer, getattr(tokenizer, "chat_template", None), progress)
    except RewrittenError:
        template = training_template(tokenizer)
        if template is None:
            raise
        tokens, labels = _encode_rows(rows, tokenizer, template, progress)
    truncated = np.array([len(ids) > window for ids in tokens], dtype=bool)
    tokens = [ids[:window] for ids in tokens]
    labels = [targets[:window] for targets in labels]
    examples = Examples.of(tokens, labels, truncated, window)
    if examples.dropped.all():
        raise InputError(
            f"none of {len(rows)} rows has a response within {window} tokens; "
            "name the response field or widen `window`"
        )
    return examples


def _encode_rows(
    rows: Sequence[Messages], tokenizer: Any, template: Any, progress: Progress
) -> tuple[list[Int64Array], list[Int64Array]]:
    tokens, labels = [], []
    for number, messages in enumerate(rows, start=1):
        try:
            ids, answered = tokenised(messages, tokenizer, template)
        except InputError as error:
            raise type(error)(f"row {number}: {error}") from None
        tokens.append(np.array(ids, dtype=np.int64))
        labels.append(np.where(answered, tokens[-1], IGNORED))
        if number % 1000 == 0 or number == len(rows):
            progress("tokenise", number, len(rows))
    return tokens, labels
