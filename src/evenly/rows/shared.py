"""Text that many rows of a source have in common, such as a prompt template; and a text without it.

Rows of one template lie close together whatever they ask, so max-min keeps few of them. A phrase of `WORDS` words is
shared where at least one text in `ONE_IN` of its source holds it. Ordinary text has next to no such phrases: 1 % of the
words of GSM8K and 0 % of alpaca_data are shared, 14 to 50 % of the words of nine sets that were made from templates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass

from evenly.rows.noise import READ_CHARACTERS

WORDS = 4
"""Three words in a row are shared by chance ("one of the"), and a template has more of four than of five."""

ONE_IN = 20
"""A source is often made from ten templates or more, each in a part of its rows."""

FEWEST = 10
"""So many texts share a phrase at least: of a few rows, two alike are one in twenty."""

SAMPLE = 500
"""Texts of a source that are looked at: 25 of them share what one in twenty shares, and counting takes 0.1 s."""

TOLD = 0.1
"""From this share of the words on it is worth a line; far above what ordinary text has."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class SharedText:
    """What the texts of one source share.

    Attributes:
        phrases: `WORDS` words each, in lower case with single spaces between them.
        share: of the words of a text that lie in such a phrase, from 0 to 1, on average.
    """

    phrases: frozenset[str] = frozenset()
    share: float = 0.0


class SharedSample:
    """The `SAMPLE` distinct texts of a source with the lowest keys: as good as drawn at random, since keys are hashes,
    and the same whatever the order of the rows and however often one text is there."""

    def __init__(self) -> None:
        self._texts: dict[bytes, str] = {}
        self._highest: bytes | None = None

    def add(self, key: bytes, text: str) -> None:
        """Takes the next text, which is remembered where its key is low."""
        if self._highest is None or key < self._highest:
            self._texts[key] = text[:READ_CHARACTERS]
            if len(self._texts) >= 2 * SAMPLE:
                self._texts = {one: self._texts[one] for one in sorted(self._texts)[:SAMPLE]}
                self._highest = max(self._texts)

    def found(self) -> SharedText:
        """What these texts share."""
        texts = [_words(self._texts[key]) for key in sorted(self._texts)[:SAMPLE]]
        counts = Counter(phrase for words in texts for phrase in set(_phrases(words)))
        least = max(FEWEST, -(-len(texts) // ONE_IN))
        phrases = frozenset(phrase for phrase, count in counts.items() if count >= least)
        if not phrases:
            return SharedText()
        shares = [sum(_within(words, phrases)) / len(words) for words in texts if words]
        return SharedText(phrases, sum(shares) / len(shares))


def without_shared(text: str, phrases: Set[str]) -> str | None:
    """A text without the words that lie in one of some phrases; None where it has no others.

    What stands between two words that stay is left as it is; runs of them that lay apart are joined by a space. The
    text itself, where it holds none of the phrases.
    """
    found = list(_WORD.finditer(text))
    within = _within([word.group().lower() for word in found], phrases)
    if not any(within):
        return text
    runs: list[str] = []
    start: int | None = 0 if not within[0] else None
    for word, shared in zip(found, within, strict=True):
        if shared and start is not None:
            runs.append(text[start : word.start()].strip())
            start = None
        elif not shared and start is None:
            start = word.start()
    if start is not None:
        runs.append(text[start:].strip())
    return " ".join(runs) or None


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _phrases(words: list[str]) -> list[str]:
    return [" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)]


def _within(words: list[str], phrases: Set[str]) -> list[bool]:
    """Which of the words lie in a phrase."""
    within = [False] * len(words)
    for at, phrase in enumerate(_phrases(words)):
        if phrase in phrases:
            within[at : at + WORDS] = [True] * WORDS
    return within
