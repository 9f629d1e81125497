"""Rows to token ids and labels: the chat template of the model or a plain one, the loss on responses only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.files import write_table
from evenly.train.losses import IGNORED
from evenly.types import Int64Array, Progress, silent

Messages: TypeAlias = Sequence[dict[str, str]]
"""Turns with ``role`` (system, user, assistant) and ``content``. The loss is on the assistant's turns; a
row without any is plain text, and the loss is on all of it."""

Segments: TypeAlias = list[tuple[str, bool]]
"""Pieces of text in order, each with whether the loss is on it."""


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
    """

    tokens: list[Int64Array]
    labels: list[Int64Array]
    response_tokens: Int64Array
    truncated: npt.NDArray[np.bool_]
    dropped: npt.NDArray[np.bool_]
    window: int

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

    The prompt and each response are tokenised apart, as they are at inference, so no token straddles the
    border.
    Rows are cut at the window, never packed together. Cost: one tokeniser call per turn.

    Args:
        rows: N rows of messages.
        tokenizer: a transformers tokenizer, with or without a chat template.
        window: most tokens of a row.

    Raises:
        InputError: no row can be trained on, or a chat template that rewrites earlier turns.
    """
    tokens, labels = [], []
    for number, messages in enumerate(rows):
        ids, targets = _encode_row(messages, tokenizer)
        tokens.append(np.array(ids, dtype=np.int64))
        labels.append(np.array(targets, dtype=np.int64))
        if number % 1000 == 999 or number + 1 == len(rows):
            progress("tokenise", number + 1, len(rows))
    truncated = np.array([len(ids) > window for ids in tokens], dtype=bool)
    tokens = [ids[:window] for ids in tokens]
    labels = [targets[:window] for targets in labels]
    examples = Examples.of(tokens, labels, truncated, window)
    if examples.dropped.all():
        raise InputError(
            f"none of {len(rows)} rows has a response within {window} tokens; "
            "name the response field or widen --window"
        )
    return examples


def _encode_row(messages: Messages, tokenizer: Any) -> tuple[list[int], list[int]]:
    template = getattr(tokenizer, "chat_template", None)
    if all(turn["role"] != "assistant" for turn in messages):
        template, messages = None, [{"role": "assistant", "content": turn["content"]} for turn in messages]
    if template:
        segments = _template_segments(messages, tokenizer)
        ids: list[int] = []
    else:
        segments = _plain_segments(messages, tokenizer.eos_token or "")
        ids = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    labels = [IGNORED] * len(ids)
    for text, is_response in segments:
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        labels += piece if is_response else [IGNORED] * len(piece)
    if labels:
        labels[0] = IGNORED  # nothing comes before it that could predict it
    return ids, labels


def _plain_segments(messages: Messages, eos: str) -> Segments:
    segments: Segments = []
    for turn in messages:
        if turn["role"] == "assistant":
            segments.append((turn["content"] + eos, True))
        elif turn["role"] == "system":
            segments.append((f"{turn['content']}\n\n", False))
        else:
            segments.append((f"### Instruction:\n{turn['content']}\n\n### Response:\n", False))
    return segments


def _template_segments(messages: Messages, tokenizer: Any) -> Segments:
    segments: Segments = []
    done = ""
    for number, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before = _render(list(messages[:number]), tokenizer, generation=True)
        after = _render(list(messages[: number + 1]), tokenizer, generation=False)
        if not before.startswith(done) or not after.startswith(before):
            raise InputError(
                "the model's chat template rewrites earlier turns, so responses cannot be told from prompts; "
                "use --plain-template, or single-turn rows"
            )
        segments += [(before[len(done) :], False), (after[len(before) :], True)]
        done = after
    return segments


def _render(messages: list[dict[str, str]], tokenizer: Any, *, generation: bool) -> str:
    if not messages:
        return ""
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation))
    except Exception as error:  # jinja2 raises whatever the template of the model says
        raise InputError(f"the model's chat template refuses a row: {error}; use --plain-template") from None
