"""``keep``: how much."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.controls.control import Control, refuse
from evenly.engine.budgets import EVERYTHING, Budget, read_budget
from evenly.errors import InputError, first_line
from evenly.request import option
from evenly.types import Int64Array

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.rows.rows import Rows

_AT_ONCE = 1024
"""Texts that are counted together: enough for all cores, and little memory."""


@dataclass(frozen=True)
class Keep(Control):
    """A number of rows, or a budget that the order is cut to."""

    keep: str | None = option(
        None,
        "How much to keep: a share (50%), a count (5000), tokens:2M, chars:900k, distance:0.35 (as many as lie so far "
        "apart) or knee. May be left out where `dedup`, `floor`, `guard`, `avoid` or `quota` say it.",
    )
    tokenizer: str | None = option(
        None,
        "Folder or hub id that counts the tokens of `keep=tokens:…`; default: the encoder's.",
        label="Tokenizer",
    )

    @cached_property
    def budget(self) -> Budget:
        """What it says, read once."""
        return EVERYTHING if self.keep is None else read_budget(self.keep)

    def check(self, choice: Choice) -> None:
        refuse(
            self.budget.unit == "distance" and choice.allow_copies,
            f"`keep` {self.budget.text} keeps rows apart, `allow_copies` keeps copies; use one of the two",
        )
        refuse(
            self.tokenizer and self.budget.unit != "tokens" and "mix_by" not in choice.options,
            "`tokenizer` counts tokens where `keep` is tokens:… or `mix_by` is tokens; leave it out otherwise",
        )

    def constrain(self, prepared: Prepared) -> None:
        if self.budget.unit == "distance":
            prepared.keep_apart(self.budget.amount)
        if self.budget.has_costs:
            prepared.costs = self.costs(prepared.pool.rows, prepared.pool.request.encoder)

    def costs(self, rows: Rows, encoder: str) -> Int64Array:
        """(N,) int64 tokens or characters of every row."""
        return rows.characters if self.budget.unit == "chars" else token_counts(rows, self.tokenizer, encoder)


def token_counts(rows: Rows, tokenizer: str | None, encoder: str) -> Int64Array:
    """(N,) tokens of the whole text of every row, without special tokens.

    Args:
        rows: the pool.
        tokenizer: a folder or an id in the local Hugging Face cache; None takes the encoder's.
        encoder: as the user named it.

    Raises:
        InputError: no tokenizer there, or none named where the vectors were given.
    """
    from evenly.vectors.folders import find_folder
    from evenly.vectors.registry import encoder_named

    folder = find_folder(tokenizer, "tokenizer") if tokenizer else encoder_named(encoder).tokenizer()
    if folder is None:
        raise InputError(
            f"a budget of tokens needs a tokenizer, and {encoder} has none; give `tokenizer` a model folder, "
            "or use a budget of characters"
        )
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no tokenizer.json; give `tokenizer` a folder with a fast tokenizer")
    backend = _backend(str(file))
    texts = (text.whole for text in rows.all_texts())
    counts = array("q")
    while some := list(islice(texts, _AT_ONCE)):
        encoded = backend.encode_batch_fast(some, add_special_tokens=False)
        counts.extend(len(one.ids) for one in encoded)
    return np.array(counts, dtype=np.int64)


def _backend(file: str) -> Any:
    from tokenizers import Tokenizer

    try:
        backend = Tokenizer.from_file(file)
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(f"the tokenizer {file} cannot be read: {first_line(error)}") from None
    backend.no_truncation()
    backend.no_padding()
    return backend
