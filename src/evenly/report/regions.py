"""Regions of the map and their names: words that rows of a region have more often than rows elsewhere.

Regions are clusters of places on the map (k-means). A word's weight in a region is the number of its rows that have the
word, times log(1 + A / f), where f is how often it comes in all regions and A the mean number of words of a region:
class-based TF-IDF (Grootendorst, BERTopic, arXiv 2203.05794).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenly.types import Float64Array, Int64Array

SMALL, LARGE = 40, 12
"""Regions on the two levels: as many names as can be read on a map as wide as a page, and on a phone."""

ROWS_PER_REGION = 25
"""Rows below which a region says nothing of what it is about."""

LIFT = 2.0
"""A word that a region's rows have less than so many times as often as all rows belongs to the template or to the
language, not to a topic."""

WORDS_OF_NAME = 3
LONGEST_WORD = 24  # characters shown of a word
ROUNDS = 30
"""Of k-means, which settles sooner."""

FITTED_ROWS = 20_000
"""Rows that centres are fitted to: 500 for each region."""

_WORD = re.compile(r"[^\W\d_][\w'’-]*[^\W_]", re.UNICODE)
_ENGLISH = """
about above after again all also although am an and any are as at be because been before being below between
both but by can could create did do does doing don't down during each either else etc even ever every few find
first following for from further generate get give given gives had has have having he her here hers him his how
however i if in instead into is it it's its itself just last least less let like list made make makes many may
me mean might more most much must my name need neither new no nor not now of off often on once one only or other
others our out over own part per please put same second see several she should since so some something still
such take than that the their them then there these they thing things this those though three through thus to
too two under until up upon us use used using very want was way we well were what when where whether which while
who whom whose why will with within without would yes yet you your
"""
_STOP = frozenset(_ENGLISH.split())


@dataclass(frozen=True)
class Region:
    """A part of the map.

    Attributes:
        name: its words, the most telling first; empty where its rows share none. Untrusted text.
        x, y: its middle on the map.
        pool, kept: its rows.
        parent: the number of the large region that it is a part of; its own number for a large one.
    """

    name: tuple[str, ...]
    x: float
    y: float
    pool: int
    kept: int
    parent: int


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a map.

    Attributes:
        small, large: the two levels.
        of: (n,) the small region of each row.
    """

    small: list[Region]
    large: list[Region]
    of: Int64Array


def regions_of(places: Float64Array, texts: Sequence[str], kept: np.ndarray) -> Regions | None:
    """Finds and names the regions of a map.

    Args:
        places: (n, 2), finite.
        texts: n beginnings of rows.
        kept: (n,) whether each row was kept.

    Returns:
        The regions; None where rows are too few for two of them.
    """
    count = min(SMALL, len(places) // ROWS_PER_REGION)
    if count < 2 or not np.ptp(places):
        return None
    centres = _centres(places, count)
    of = _nearest(places, centres)
    present, of = np.unique(of, return_inverse=True)
    centres = centres[present]
    parents = _nearest(centres, _centres(centres, min(LARGE, len(centres))))
    parents = np.unique(parents, return_inverse=True)[1]
    words = _words(texts)
    small = _named(places, words, kept, of, parents)
    large = _named(places, words, kept, parents[of], np.arange(parents.max() + 1))
    return Regions(small, large, of)


def _named(
    places: Float64Array,
    words: list[frozenset[str]],
    kept: np.ndarray,
    of: Int64Array,
    parents: Int64Array,
) -> list[Region]:
    members = [np.flatnonzero(of == region) for region in range(len(parents))]
    counts = [Counter(word for row in rows.tolist() for word in words[row]) for rows in members]
    names = _names(counts, [len(rows) for rows in members])
    found = []
    for name, rows, parent in zip(names, members, parents.tolist(), strict=True):
        x, y = np.median(places[rows], axis=0).tolist()
        found.append(Region(name, x, y, len(rows), int(kept[rows].sum()), parent))
    return found


def _names(counts: list[Counter[str]], rows: list[int]) -> list[tuple[str, ...]]:
    """The words that tell each region from the others, by class-based TF-IDF."""
    overall: Counter[str] = Counter()
    for count in counts:
        overall.update(count)
    mean = sum(overall.values()) / len(counts)
    names = []
    for count, own_rows in zip(counts, rows, strict=True):
        expected = LIFT * own_rows / sum(rows)
        weights = {
            word: found * np.log1p(mean / overall[word])
            for word, found in count.items()
            if found > 1 and found > expected * overall[word]
        }
        told: list[str] = []
        for word in sorted(weights, key=lambda word: (-weights[word], word)):
            if not any(_same_stem(word, other) for other in told):
                told.append(word)
            if len(told) == WORDS_OF_NAME:
                break
        names.append(tuple(told))
    return names


def _same_stem(left: str, right: str) -> bool:
    """Whether two words differ by their endings only: a name says each thing once."""
    short, long = sorted((left, right), key=len)
    stem = short[: max(4, len(short) - 2)]
    return long.startswith(stem) and len(long) - len(stem) <= 5


def _words(texts: Sequence[str]) -> list[frozenset[str]]:
    """The words of each text, in small letters, without those that tell nothing in English."""
    return [
        frozenset(
            word
            for word in _WORD.findall(text.lower())
            if 2 < len(word) <= LONGEST_WORD and word not in _STOP
        )
        for text in texts
    ]


def _centres(places: Float64Array, count: int) -> Float64Array:
    """(count, 2) k-means centres, from k-means++ with a fixed seed."""
    random = np.random.default_rng(0)
    if len(places) > FITTED_ROWS:
        places = places[random.choice(len(places), FITTED_ROWS, replace=False)]
    centres: Float64Array = places[random.integers(len(places))][None]
    while len(centres) < count:
        away = ((places[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1)
        if not away.any():
            break
        centres = np.vstack([centres, places[random.choice(len(places), p=away / away.sum())]])
    for _ in range(ROUNDS):
        of = _nearest(places, centres)
        sizes = np.bincount(of, minlength=len(centres))
        sums = np.stack([np.bincount(of, weights=axis, minlength=len(centres)) for axis in places.T], axis=1)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _nearest(places: Float64Array, centres: Float64Array) -> Int64Array:
    squared = (centres**2).sum(axis=1) - 2 * places @ centres.T
    nearest: Int64Array = squared.argmin(axis=1)
    return nearest
