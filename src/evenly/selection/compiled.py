"""The inner loops compiled by numba (extra ``fast``): the same results in one pass, to the bit.

Torch runs each step over whole blocks, through memory, and the interpreter between steps keeps other threads
waiting. Compiled, a pair is read once and summed in the first-level cache, without the interpreter. Tests hold
these loops against the torch code that runs where numba is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np

LOOPS_AFTER_PAIRS = 300_000
"""Loading numba takes as long as it saves on about twice as many exact distances; smaller work is done without."""

_pairs_so_far = 0
_loading = Lock()


@dataclass(frozen=True)
class Loops:
    """Compiled functions; what they do and take is said at the plain ones below."""

    squared_distances: Callable[..., None]
    lower_rows: Callable[..., None]


def loops_worth_loading(pairs: int) -> Loops | None:
    """The compiled loops, once this process has computed so many pairs that loading them pays.

    Args:
        pairs: how many are about to be computed.
    """
    global _pairs_so_far
    _pairs_so_far += pairs  # a count lost between threads does not matter: both ways give the same bits
    return compiled_loops() if _pairs_so_far > LOOPS_AFTER_PAIRS else None


def forget_pairs() -> None:
    """Counts pairs anew, as another process would that is about to begin."""
    global _pairs_so_far
    _pairs_so_far = 0


def compiled_loops() -> Loops | None:
    """The compiled loops, or None where numba is not installed. The first call takes about a second."""
    with _loading:  # threads that meet here would each compile
        return _loops()


@cache
def _loops() -> Loops | None:
    if find_spec("numba") is None:
        return None
    import numba

    compiled = numba.njit(nogil=True, cache=True)
    globals()["_pair"] = compiled(_pair)  # the loops call it
    return Loops(compiled(_squared_distances), compiled(_lower_rows))


def _pair(one: Any, other: Any, sums: Any) -> float:
    """Squared distance of two float32 rows by the halving tree; ``sums`` is (d,) float64 to work in."""
    width = len(one)
    for column in range(width):
        difference = np.float64(one[column]) - np.float64(other[column])
        sums[column] = difference * difference
    while width > 1:
        half = (width + 1) // 2
        for column in range(width - half):
            sums[column] += sums[half + column]
        width = half
    return sums[0]  # type: ignore[no-any-return]


def _squared_distances(left: Any, left_index: Any, right: Any, right_index: Any, squared: Any) -> None:
    """Fills (M,) float64 ``squared`` as `evenly.selection.distance.squared_distances` defines it."""
    sums = np.empty(left.shape[1])
    for pair in range(len(left_index)):
        squared[pair] = _pair(left[left_index[pair]], right[right_index[pair]], sums)


def _lower_rows(
    bits: Any,
    float_bits: int,
    largest: Any,
    rows: Any,
    vectors: Any,
    picks: Any,
    labels: Any,
    limits: Any,
    reach_error: float,
    scale: float,
    squared_distance: Any,
    keeper: Any,
) -> None:
    """Lowers the distances of the rows of a tile that have passing pairs; the earlier pick among equals.

    The pair with the largest product is computed first; another can be as near only if its product is at
    least what equation (2) of `evenly.selection.filter` gives for the distance found so far.

    Args:
        bits: (R, P) integers, the product's bits; where not negative, they have the order of the numbers.
        float_bits: how many low bits of a float32 the product's precision lacks: 16 or 0.
        largest: (R,) integers, the largest of each row; a row passes where it is not negative.
        rows: (R,) int64 row numbers.
        vectors: (N, d) float32.
        picks: (P, d) float32.
        labels: (P,) int64.
        limits: (4, R) float64: squared norm of the image, its error, what the row carries, the product's error.
        reach_error: largest error of a pick's image.
        scale: of the map.
        squared_distance: (N,) float64, lowered in place.
        keeper: (N,) int64, changed in place.
    """
    sums = np.empty(vectors.shape[1])
    number = np.empty(1, dtype=np.float32)
    for at in range(len(rows)):
        if largest[at] < 0:
            continue
        row = rows[at]
        line = bits[at]
        first = 0
        while line[first] < largest[at]:
            first += 1
        best = _pair(vectors[row], picks[first], sums)
        nearest = first
        distance = min(best, squared_distance[row])
        reach = np.sqrt(distance) * scale * (1 + 1e-9) + limits[1, at] + reach_error
        least = (limits[0, at] - reach * reach) * 0.5 - limits[2, at] - limits[3, at]
        number[0] = max(least - abs(least) * 2.0**-7, 0.0)
        least_bits = number.view(np.int32)[0] >> float_bits
        for pick in range(len(line)):
            if line[pick] >= least_bits and pick != first:
                squared = _pair(vectors[row], picks[pick], sums)
                if squared < best or (squared == best and pick < nearest):
                    best, nearest = squared, pick
        if best < squared_distance[row]:
            squared_distance[row] = best
            keeper[row] = labels[nearest]
