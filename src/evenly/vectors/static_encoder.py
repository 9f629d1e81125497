"""Texts as means of token vectors, which are distilled from an encoder or come from a Model2Vec folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evenly.errors import InputError
from evenly.types import Float32Array, Int64Array
from evenly.vectors.kind import Encoded, Encoder

TEXTS_PER_BLOCK = 4096
"""Texts tokenised before they are summed: some 300,000 tokens. Bounds memory, changes no vector."""
WHOLE = 1 << 30
"""The window of a table that sees all of a text."""


@dataclass(frozen=True, eq=False)
class TokenTable:
    """A vector for each token.

    Attributes:
        vectors: (V, d) float32, by token number, weights included.
        tokenizer: of the library tokenizers; cuts and pads nothing.
        unknown: the number of the unknown token, which counts only in texts that have no other; None where there is
            none.
        lower: lowercase every text first.
    """

    vectors: Float32Array
    tokenizer: Any
    unknown: int | None
    lower: bool = False

    def tokens(self, texts: Sequence[str]) -> list[Int64Array]:
        """Token numbers of each text, without special tokens."""
        asked = [text.lower() for text in texts] if self.lower else list(texts)
        encoded = self.tokenizer.encode_batch_fast(asked, add_special_tokens=False)
        return [np.asarray(one.ids, dtype=np.int64) for one in encoded]

    def known(self, tokens: Int64Array) -> Int64Array:
        """Those that count."""
        known = tokens[tokens != self.unknown] if self.unknown is not None else tokens
        return known if len(known) else tokens

    def means(self, tokens: list[Int64Array]) -> Float32Array:
        """(n, d) means of the vectors of each text's tokens; adds in the order of the text, whatever the batch."""
        import torch

        lengths = np.array([len(one) for one in tokens], dtype=np.int64)
        starts = torch.from_numpy(np.cumsum(lengths) - lengths)
        whole = torch.from_numpy(np.concatenate(tokens))
        with torch.inference_mode():
            summed = torch.nn.functional.embedding_bag(
                whole, torch.from_numpy(self.vectors), starts, mode="sum"
            )
        return np.asarray(summed.numpy() / lengths[:, None], dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class StaticEncoder(Encoder):
    """Means of token vectors.

    Attributes:
        normalise: whether vectors are scaled to length 1.
        cut_characters: texts are cut to so many characters before they are cut into tokens; None cuts none.
    """

    normalise: bool = True
    cut_characters: int | None = None
    _load: Callable[[], TokenTable] = field(repr=False)

    @cached_property
    def table(self) -> TokenTable:
        """The token vectors, loaded when the first text is asked for."""
        return self._load()

    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        for start in range(0, len(rows), TEXTS_PER_BLOCK):
            asked = rows[start : start + TEXTS_PER_BLOCK]
            own = [texts[row] for row in asked.tolist()]
            whole = self.table.tokens(own)
            seen = [self.table.known(tokens) for tokens in self._cut(own, whole)]
            if any(not len(tokens) for tokens in seen):
                empty = next(row for row, tokens in zip(asked.tolist(), seen, strict=True) if not len(tokens))
                raise InputError(f"text {empty} has no tokens; remove it or fill it")
            vectors = self.table.means(seen)
            length = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
            bad = ~np.isfinite(length) | (length == 0)
            if bad.any():
                raise InputError(
                    f"the vector of text {asked[bad][0]} from {self.name} is zero or not finite; use another encoder"
                )
            if self.normalise:
                vectors = (vectors / length[:, None]).astype(np.float32)
            yield Encoded(asked, vectors, np.array([len(one) for one in whole], dtype=np.int64))

    def _cut(self, texts: list[str], whole: list[Int64Array]) -> list[Int64Array]:
        """The tokens of each text that count, as the window and ``long`` say."""
        if self.long == "mean" or self.window == WHOLE:
            return whole
        most = self.cut_characters or WHOLE
        long = [number for number, text in enumerate(texts) if len(text) > most]
        cut = dict(zip(long, self.table.tokens([texts[one][:most] for one in long]), strict=True))
        return [cut.get(number, tokens)[: self.window] for number, tokens in enumerate(whole)]


def read_tokenizer(folder: Path) -> tuple[Any, int | None]:
    """The tokenizer of a folder, which cuts and pads nothing, and the number of its unknown token.

    Raises:
        InputError: no tokenizer.json there, or one that cannot be read.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            f"{folder} holds no tokenizer.json; save its tokenizer again with a newer transformers"
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(f"{path} cannot be read ({error}); copy the folder again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = getattr(tokenizer.model, "unk_token", None)
    if unknown is not None:
        return tokenizer, tokenizer.token_to_id(unknown)
    return tokenizer, json.loads(path.read_bytes())["model"].get("unk_id")  # as Unigram models say it
