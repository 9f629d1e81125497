"""What kinds of encoder share that look at rows with a causal language model: the row itself is their text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenly.errors import InputError
from evenly.request import Part, PoolRequest, option
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.folders import find_folder

if TYPE_CHECKING:
    from evenly.rows.index import KeyArray
    from evenly.rows.rows import Rows

FEATURES = "Features of a language model"


@dataclass(frozen=True)
class LanguageModelKind(EmbeddingKind):
    """Rows as the model reads them in training: turns, answers told from prompts, by its chat template."""

    windows = False

    dim: int | None = option(
        None,
        "Numbers that features are projected to by random signs. Default: hidden states are not projected, "
        "gradients to 8192.",
        group=FEATURES,
    )

    @property
    def model(self) -> str:
        """The model's folder or hub id, as given."""
        return self.rest

    @property
    def path(self) -> Path:
        return Path(self.model)

    def check(self) -> None:
        from evenly.checks import check_int
        from evenly.vectors.recipe import check_weights

        super().check()
        if self.dim is not None:
            check_int(self.dim, "`dim`", at_least=1)
        check_weights(self.tokenizer())

    def tokenizer(self) -> Path:
        return find_folder(self.model)

    def check_reading(self, request: PoolRequest) -> None:
        """Refuses ways of reading that are for encoders of texts.

        Raises:
            InputError: says which and why.
        """
        if request.part == "pair":
            raise InputError(
                f"`part=pair` is two answers, and {self.name} reads one conversation; use chosen or rejected"
            )
        if request.strip_shared:
            raise InputError(
                f"`strip_shared` is for encoders of texts; {self.name} reads rows whole, as they are trained on"
            )
        if request.long != "cut":
            raise InputError(
                f"`long={request.long}` is for encoders of texts; {self.name} reads a row whole up to its window"
            )

    def texts(self, rows: Rows) -> tuple[Sequence[str], KeyArray]:
        """The conversations of N rows as JSON, and (N, 4) keys of them."""
        from evenly.vectors.cache import text_keys

        texts = Conversations(rows)
        return texts, text_keys(texts)


class Conversations(Sequence[str]):
    """The conversation of every row of a pool as JSON of turns and tools, parsed when it is asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: Any) -> Any:
        from evenly.rows.turns import as_json, joined

        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        found = self._rows.as_asked(row)
        answers = found.rejected if self._rows.part == "rejected" else found.chosen
        if found.kind == "steps":
            steps = joined(str(step) for step in found.more.get("completions", ()))
            answers = [{"role": "assistant", "content": steps}]
        tools = {"tools": found.tools} if found.tools else {}
        return as_json({"turns": [*found.turns, *answers], **tools})


def read_conversation(text: str) -> Any:
    """The turns, with their tools, that `Conversations` wrote."""
    from evenly.rows.chat import Conversation

    found = json.loads(text)
    return Conversation(found["turns"], found.get("tools"))


def wants_answers(part: Part) -> bool:
    """Whether a part of a row is an answer."""
    return part in ("response", "chosen", "rejected")
