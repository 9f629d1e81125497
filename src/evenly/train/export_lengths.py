"""How long exported rows are: measured by the tokenizer of a model, or estimated from their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenly.errors import InputError
from evenly.rows.chat import with_arguments
from evenly.rows.turns import Turn, turn_text
from evenly.rows.whole import WholeRow
from evenly.train.whole_rows import bytes_of_text

BYTES_PER_TOKEN = 3
"""UTF-8 bytes of a token, at the least: English takes four to five, code and most scripts three or more."""
TOKENS_PER_TURN = 16
"""What a chat template adds to a turn: role, marks, line breaks."""
ROUNDED_TO = 256
"""Windows are multiples of it, so that an end that the trainer adds has room."""


@dataclass(frozen=True)
class Lengths:
    """How long rows are.

    Attributes:
        longest: number of the longest row, from 1.
        size: UTF-8 bytes of its turns, as JSON, and of its tool list.
        turns: how many it has.
        tokens: of it, by the tokenizer; without one by estimate.
        window: the most tokens of a row that the configuration allows: these, rounded up, or the model's own window.
        over: the numbers of rows that are longer than the window.
        refused: by reason the numbers of rows that the chat template does not write.
    """

    longest: int
    size: int
    turns: int
    tokens: int
    window: int
    over: list[int]
    refused: dict[str, list[int]]


def estimated(rows: Mapping[int, WholeRow]) -> Lengths:
    """By `BYTES_PER_TOKEN`, and the marks of every turn. By this estimate no row is longer than the window."""
    tokens = {
        number: -(-bytes_of_text(row) // BYTES_PER_TOKEN) + TOKENS_PER_TURN * len(row.every_turn())
        for number, row in rows.items()
    }
    return _lengths(rows, tokens, None, {})


def measured(rows: Mapping[int, WholeRow], model: str) -> Lengths:
    """By the tokenizer and the chat template of a model.

    Args:
        rows: rows by number.
        model: a folder, or a name on the hub.

    Raises:
        InputError: no tokenizer there, none with a chat template where rows are chats, or one that refuses all.
    """
    from evenly.train.models import load_tokenizer

    tokenizer = load_tokenizer(model)
    if tokenizer.chat_template is None and any(row.kind != "texts" for row in rows.values()):
        raise InputError(
            f"the tokenizer of {model} has no chat template, which trainers need for chats; name as `model` one that "
            "has, often the Instruct version"
        )
    tokens: dict[int, int] = {}
    refused: dict[str, list[int]] = {}
    for number, row in rows.items():
        found = _tokens(row, tokenizer)
        if isinstance(found, int):
            tokens[number] = found
        else:
            refused.setdefault(found, []).append(number)
    if not tokens:
        raise InputError(f"the chat template of {model} refuses every row: {'; '.join(refused)}")
    return _lengths(rows, tokens, _window(model, tokenizer), refused)


def _tokens(row: WholeRow, tokenizer: Any) -> int | str:
    """Tokens of a row, with the longer of two answers, or why its template does not write it."""
    if row.kind == "texts":
        text = "\n\n".join(map(turn_text, row.turns)) + (tokenizer.eos_token or "")
        return len(tokenizer(text)["input_ids"])
    try:
        return max(len(_written(row, answer, tokenizer)) for answer in (row.chosen, row.rejected))
    except Exception as error:  # jinja2 raises whatever the template of the model says
        return str(error).partition("\n")[0] or type(error).__name__


def _written(row: WholeRow, answer: list[Turn], tokenizer: Any) -> list[int]:
    turns = [with_arguments(turn, as_text=False) for turn in (*row.turns, *answer)]
    text = tokenizer.apply_chat_template(turns, tools=row.tools, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _window(model: str, tokenizer: Any) -> int:
    """The most tokens that a model takes; tokenizers that do not know say a number that is far beyond any."""
    from transformers import AutoConfig

    try:
        positions = getattr(AutoConfig.from_pretrained(model), "max_position_embeddings", None)
    except (OSError, ValueError):  # a tokenizer alone
        positions = None
    return min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))


def _lengths(
    rows: Mapping[int, WholeRow], tokens: Mapping[int, int], most: int | None, refused: dict[str, list[int]]
) -> Lengths:
    longest = max(tokens, key=tokens.__getitem__)
    rounded = -(-tokens[longest] // ROUNDED_TO) * ROUNDED_TO
    window = rounded if most is None else min(rounded, most)
    return Lengths(
        longest=longest,
        size=bytes_of_text(rows[longest]),
        turns=len(rows[longest].every_turn()),
        tokens=tokens[longest],
        window=window,
        over=[number for number, count in tokens.items() if count > window],
        refused=refused,
    )
