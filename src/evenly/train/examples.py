"""Rows to token ids and labels: the chat template of the model or a plain one, the loss on responses only."""

from __future__ import annotations

import json
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
from evenly.rows.turns import Turn, turn_text
from evenly.train.losses import IGNORED
from evenly.train.whole_rows import with_arguments
from evenly.types import Int64Array, Progress, silent

Messages: TypeAlias = Sequence[Turn]
"""Turns with ``role`` (system, user, assistant, tool) and ``content``, and what else they have; the tool list where
they are a `Conversation`. The loss is on the assistant's turns but those of weight 0; a row without any is plain
text, and the loss is on all of it."""

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
        InputError: no row can be trained on, a chat template that refuses a row or leaves out a turn of it, or one
            that rewrites earlier turns and has no known variant for training.
    """
    try:
        tokens, labels = _encode_rows(rows, tokenizer, getattr(tokenizer, "chat_template", None), progress)
    except RewrittenError:
        template = _training_template(tokenizer)
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


class RewrittenError(InputError):
    """A chat template that writes earlier turns otherwise once later ones follow."""


def _training_template(tokenizer: Any) -> str | None:
    """The variant for training that TRL has of a known template which rewrites earlier turns, as Qwen3's does.

    It keeps the reasoning of earlier answers, which the template itself drops.
    """
    from trl.chat_template_utils import get_training_chat_template

    try:
        found = get_training_chat_template(tokenizer)
    except ValueError:  # none is known
        return None
    return str(found) if found else None


def _encode_rows(
    rows: Sequence[Messages], tokenizer: Any, template: Any, progress: Progress
) -> tuple[list[Int64Array], list[Int64Array]]:
    tokens, labels = [], []
    for number, messages in enumerate(rows, start=1):
        try:
            ids, targets = _encode_row(messages, tokenizer, template)
        except InputError as error:
            raise type(error)(f"row {number}: {error}") from None
        tokens.append(np.array(ids, dtype=np.int64))
        labels.append(np.array(targets, dtype=np.int64))
        if number % 1000 == 0 or number == len(rows):
            progress("tokenise", number, len(rows))
    return tokens, labels


def _encode_row(messages: Messages, tokenizer: Any, template: Any) -> tuple[list[int], list[int]]:
    if all(turn["role"] != "assistant" for turn in messages):
        template, messages = None, [{"role": "assistant", "content": turn_text(turn)} for turn in messages]
    if template:
        segments = _template_segments(messages, tokenizer, template)
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


def _is_trained(turn: Turn) -> bool:
    return turn["role"] == "assistant" and turn.get("weight", 1) not in (0, False)


def _plain_segments(messages: Messages, eos: str) -> Segments:
    segments: Segments = []
    for turn in messages:
        text = turn_text(turn)
        if turn["role"] == "assistant":
            segments.append((text + eos, _is_trained(turn)))
        elif turn["role"] == "system":
            segments.append((f"{text}\n\n", False))
        else:
            segments.append((f"### Instruction:\n{text}\n\n### Response:\n", False))
    return segments


def _template_segments(messages: Messages, tokenizer: Any, template: Any) -> Segments:
    turns = [with_arguments(turn, as_text=False) for turn in messages]
    tools = getattr(messages, "tools", None)

    def render(count: int, *, generation: bool) -> str:
        return _render(turns[:count], tokenizer, template, tools, generation)

    segments: Segments = []
    done = ""
    for number, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before, after = render(number, generation=True), render(number + 1, generation=False)
        if not before.startswith(done) or not after.startswith(before):
            raise RewrittenError(
                "the model's chat template rewrites earlier turns, so responses cannot be told from prompts; "
                "use `plain_template`, or single-turn rows"
            )
        segments += [(before[len(done) :], False), (after[len(before) :], _is_trained(turn))]
        done = after
    _check_written(messages, done)
    return segments


def _check_written(messages: Messages, text: str) -> None:
    """Templates leave out turns of a role that they do not know, and calls, without an error."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    for number, turn in enumerate(messages[: last + 1], start=1):
        content = turn["content"] if isinstance(turn["content"], str) else ""
        answer = content.rpartition("</think>")[
            2
        ].strip()  # what stands before it is written otherwise by many
        calls = [str((call.get("function") or call).get("name", "")) for call in turn.get("tool_calls") or ()]
        missing = None if any(form in text for form in _written_as(answer)) else "the text"
        missing = missing or (None if all(name in text for name in calls) else "a call")
        if missing:
            raise InputError(
                f"the model's chat template leaves out {missing} of turn {number}, by {turn['role']}; use another "
                "template, or `plain_template`"
            )


def _written_as(text: str) -> tuple[str, str, str]:
    """A text as it is, and as it stands in JSON, into which some templates put results of tools."""
    return text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]


def _render(turns: list[Turn], tokenizer: Any, template: Any, tools: Any, generation: bool) -> str:
    if not turns:
        return ""
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=generation
            )
        )
    except Exception as error:  # jinja2 raises whatever the template of the model says
        raise InputError(f"the model's chat template refuses a row: {error}; use `plain_template`") from None
