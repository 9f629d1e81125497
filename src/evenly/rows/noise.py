"""Why a text looks like noise: plain reasons a person can check, for the rows that max-min takes first.

Max-min takes outliers first, and outliers are often broken rows. These are signs, not verdicts: each reason
names what was seen, and nothing is dropped on the strength of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from evenly.rows.whole import Texts
from evenly.words import counted

USUAL_SAMPLE = 2000  # texts of the pool that are read to learn what is usual
READ_CHARACTERS = 4000  # of each text; noise shows early, and a row may hold a megabyte

_MOJIBAKE = re.compile(r"Ã[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|Â[\u00a0-\u00bf]|â€|ðŸ")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BOILERPLATE = re.compile(
    r"<no\s?(?:in|out)put>|\blorem ipsum\b|\bas an ai (?:language )?model\b|\bthis page requires javascript\b"
    r"|\baccept (?:all )?cookies\b|\ball rights reserved\b|\bclick here to (?:subscribe|continue)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
# Scripts written without spaces have no "words" to be too long.
_UNBROKEN = re.compile(
    r"[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+"
)
_UNBROKEN_CHARACTERS = 120

_SCRIPTS = {
    "Latin": re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"),
    "Greek": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "Cyrillic": re.compile(r"[\u0400-\u052f]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
    "Arabic": re.compile(r"[\u0600-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc]"),
    "Indic": re.compile(r"[\u0900-\u0dff]"),
    "Thai or Lao": re.compile(r"[\u0e00-\u0eff]"),
    "Chinese or Japanese": re.compile(r"[\u3040-\u30ff\u3400-\u9fff]"),
    "Korean": re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"),
}


class SpreadSample:
    """At most `USUAL_SAMPLE` texts evenly spaced over rows that come one after another, however many there will be.

    Attributes:
        texts: the beginnings of the whole texts.
        answered: whether any of the rows has a response.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answered = False
        self._seen, self._step = 0, 1

    def add(self, rows: Sequence[Texts]) -> None:
        """Takes the texts of the next rows, and keeps some of them."""
        for texts in rows[-self._seen % self._step :: self._step]:
            self.texts.append(texts.whole[:READ_CHARACTERS])
            self.answered = self.answered or bool(texts.response)
        self._seen += len(rows)
        while len(self.texts) > USUAL_SAMPLE:
            self.texts = self.texts[::2]
            self._step *= 2


def noise_reasons(
    texts: Sequence[str], *, answers: Sequence[str] | None = None, usual: Sequence[str] | None = None
) -> list[str | None]:
    """Says of each text why it looks like noise.

    Args:
        texts: the whole texts to judge, prompt and answer together.
        answers: the answer part of each, where rows have one; an empty answer is then a reason.
        usual: texts of the pool, as of `SpreadSample`, to tell what is usual there; without them a text is not held
            against others.

    Returns:
        One short reason per text (several joined by "; "), or None where nothing was seen.
    """
    pool = usual or ()
    scripts = _usual_scripts(pool)
    words = _usual_words(pool)
    reasons: list[str | None] = []
    for number, text in enumerate(texts):
        answer = None if answers is None else answers[number]
        found = _own_reasons(text, answer) or _foreign_reasons(text[:READ_CHARACTERS], scripts, words)
        reasons.append("; ".join(found) or None)
    return reasons


def _own_reasons(text: str, answer: str | None) -> list[str]:
    """What is odd about a text by itself, whatever the pool."""
    if not text.strip():
        return ["empty"]
    head = text[:READ_CHARACTERS]
    found = []
    replaced = head.count("\ufffd")
    if replaced:
        found.append(f"{counted(replaced, 'replacement character')} (a broken encoding)")
    if _CONTROLS.search(head):
        found.append("control characters (a broken encoding, or binary)")
    if _MOJIBAKE.search(head):
        found.append("letters like Ã© or â€™ (UTF-8 read as Latin-1)")
    if sum(character.isalnum() for character in head) < 3:
        found.append("hardly any letters or digits")
    elif _symbol_share(head) > 0.5:
        found.append("mostly symbols")
    if answer is not None and not answer.strip():
        found.append("no answer")
    longest = max((len(run) for run in _UNBROKEN.findall(text)), default=0)
    if longest > _UNBROKEN_CHARACTERS:
        found.append(f"{longest:,} characters without a space")
    if _repeats(head):
        found.append("the same few words over and over")
    boilerplate = _BOILERPLATE.search(head)
    if boilerplate:
        found.append(f"boilerplate (“{boilerplate.group()}”)")
    return found


def _foreign_reasons(text: str, scripts: set[str], words: set[str]) -> list[str]:
    """What is odd about a text in this pool."""
    script = _script(text)
    if scripts and script is not None and script not in scripts:
        return [f"written in {script} script, rare in this pool"]
    own = _WORD.findall(text.lower())
    if words and len(own) >= 12 and words.isdisjoint(own):
        return ["no word that is common in this pool (another language, code or a list)"]
    return []


def _symbol_share(text: str) -> float:
    printed = [unicodedata.category(character)[0] for character in text if not character.isspace()]
    return sum(kind in "SPC" for kind in printed) / max(len(printed), 1)


def _repeats(text: str) -> bool:
    words = _WORD.findall(text.lower())
    return len(words) >= 30 and len(set(words)) <= len(words) / 10


def _script(text: str) -> str | None:
    """The script of most letters, None for a text with fewer than five letters."""
    counts = {name: len(letters.findall(text)) for name, letters in _SCRIPTS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 5 else None


def _usual_scripts(pool: Sequence[str]) -> set[str]:
    """Scripts that at least one text in fifty is written in."""
    counts = Counter(script for text in pool if (script := _script(text[:READ_CHARACTERS])) is not None)
    return {script for script, count in counts.items() if count * 50 >= counts.total()}


def _usual_words(pool: Sequence[str]) -> set[str]:
    """The commonest words, where nearly all longer texts (19 in 20) hold one of them; else none."""
    held = [set(_WORD.findall(text[:READ_CHARACTERS].lower())) for text in pool]
    held = [words for words in held if len(words) >= 12]
    if len(held) < 50:
        return set()
    common = {word for word, _ in Counter(word for words in held for word in words).most_common(40)}
    covered = sum(not common.isdisjoint(words) for words in held)
    return common if covered * 20 >= 19 * len(held) else set()
