"""Texts to token numbers, and tokens to windows and batches of fixed shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenly.errors import InputError
from evenly.types import Int64Array

TEXTS_PER_CALL = 1024


class Tokens:
    """A fast tokenizer that never cuts: content and special tokens apart.

    Args:
        tokenizer: a fast tokenizer of transformers; its cutting and padding are switched off.
        window: most tokens per window, special tokens included.
        prompt: put before every text.
        lower: lowercase every text first.
    """

    def __init__(self, tokenizer: Any, window: int, *, prompt: str, lower: bool) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._prompt, self._lower = prompt, lower
        self.pad = int(tokenizer.pad_token_id or 0)
        probe = self._backend.encode("a", add_special_tokens=True)
        special = probe.special_tokens_mask
        content = special.index(0)
        after = len(special) - special[::-1].index(0)
        self.prefix = np.asarray(probe.ids[:content], dtype=np.int32)
        self.suffix = np.asarray(probe.ids[after:], dtype=np.int32)
        self.specials = len(self.prefix) + len(self.suffix)
        self.room = window - self.specials
        if self.room < 1:
            raise InputError(f"a window of {window} tokens has no room beside {self.specials} special tokens")

    def content(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Token numbers of each whole text, without special tokens."""
        numbers = []
        for start in range(0, len(texts), TEXTS_PER_CALL):
            asked = [self._prompt + text for text in texts[start : start + TEXTS_PER_CALL]]
            if self._lower:
                asked = [text.lower() for text in asked]
            encoded = self._backend.encode_batch_fast(asked, add_special_tokens=False)
            numbers += [np.asarray(one.ids, dtype=np.int32) for one in encoded]
        return numbers


@dataclass(frozen=True, eq=False)
class Windows:
    """What of each text goes through the model.

    Attributes:
        text: (n,) int64, the text each window belongs to; windows of a text follow each other.
        start, stop: (n,) int64, its content tokens.
    """

    text: Int64Array
    start: Int64Array
    stop: Int64Array

    def __len__(self) -> int:
        return len(self.text)


def cut_windows(content_tokens: Int64Array, room: int, *, every: bool) -> Windows:
    """Cuts texts into windows of at most ``room`` content tokens.

    Args:
        content_tokens: (N,) int64, tokens of each text, without special ones.
        room: content tokens that fit a window.
        every: all windows of each text; else its first alone.
    """
    windows = np.maximum(1, -(-content_tokens // room)) if every else np.ones_like(content_tokens)
    text = np.repeat(np.arange(len(content_tokens)), windows)
    number = np.arange(len(text)) - np.repeat(np.cumsum(windows) - windows, windows)
    start = number * room
    return Windows(text, start, np.minimum(start + room, content_tokens[text]))


@dataclass(frozen=True)
class Shapes:
    """The shapes of batches. A window's length alone decides the shape of the batch it runs in, so that its
    vector does not depend on which other texts are embedded with it: kernels may add in another order for
    another shape.

    Every batch holds at least one padded place: a window is always shorter than its batch, or, at the model's
    longest length, one row stays a filler. Without any padding models drop the mask and take another kernel.

    Attributes:
        tokens: about how many places a batch has.
        longest: the most positions the model has.
    """

    tokens: int
    longest: int

    def length(self, window_tokens: Int64Array) -> Int64Array:
        """Padded lengths for windows of so many tokens: above them by at most an eighth or 8."""
        wanted = window_tokens + 1
        step = 2 ** np.maximum(3, np.floor(np.log2(wanted)).astype(np.int64) - 3)
        return np.asarray(np.minimum(-(-wanted // step) * step, self.longest), dtype=np.int64)

    def rows(self, length: int) -> tuple[int, int]:
        """Rows of a batch of this padded length, and how many of them may be used."""
        usable = max(1, self.tokens // length)
        return usable + (length == self.longest), usable


def plan_batches(window_tokens: Int64Array, shapes: Shapes) -> Iterator[tuple[int, Int64Array]]:
    """Yields (padded length, window numbers) of each batch, longest first so that workers end together."""
    lengths = shapes.length(window_tokens)
    for length in np.unique(lengths)[::-1].tolist():
        members = np.flatnonzero(lengths == length)
        usable = shapes.rows(length)[1]
        for start in range(0, len(members), usable):
            yield length, members[start : start + usable]
