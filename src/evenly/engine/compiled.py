"""The inner loops compiled by numba (extra ``fast``): the same results in one pass, to the bit.

Torch runs each step over whole blocks, through memory, and the interpreter between steps keeps other threads
waiting. Compiled, a pair is read once and summed in the first-level cache, without the interpreter. Tests hold
these loops against the torch code that runs where numba is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from importlib.util import find_spec
from threading import Lock
from types import FunctionType
from typing import Any, cast

import numpy as np

LOOPS_AFTER_PAIRS = 300_000
"""Loading numba takes as long as it saves on about twice as many exact distances; smaller work is done without."""

LANES = 128
"""Numbers of a line of the product that are compared side by side."""

_ONE = 0x3F800000
"""The bits of 1 in float32."""


@dataclass(frozen=True)
class Loops:
    """Compiled functions; what they do and take is said at the plain ones below."""

    squared_distances: Callable[..., None]
    encode: Callable[..., None]
    set_thresholds: Callable[..., None]
    lower_rows: Callable[..., None]
    count_passing: Callable[..., int]
    passing_pairs: Callable[..., None]
    pick_farthest: Callable[..., int]


class LoopLoader:
    """Loads the loops once this process has so much work that it pays, or never where they cannot be.

    Args:
        after_pairs: exact distances after which it pays.
    """

    def __init__(self, after_pairs: int = LOOPS_AFTER_PAIRS) -> None:
        self.after_pairs = after_pairs
        self._pairs = 0
        self._loading = Lock()
        self._loaded: list[Loops | None] = []

    def for_pairs(self, pairs: int) -> Loops | None:
        """The loops, once so many pairs were computed here that loading them pays.

        Args:
            pairs: how many are about to be computed.
        """
        self._pairs += pairs  # a count lost between threads does not matter: both ways give the same bits
        return self.load() if self._pairs > self.after_pairs else None

    def load(self) -> Loops | None:
        """The loops; None without numba or a folder that it can write to. The first call takes about a second."""
        if not self._loaded:
            with self._loading:  # threads that meet here would each compile
                if not self._loaded:
                    self._loaded.append(_compiled())
        return self._loaded[0]

    @contextmanager
    def counting_anew(self) -> Iterator[None]:
        """Counts pairs from 0 for the time of a ``with`` block, as another process would that is about to begin."""
        before, self._pairs = self._pairs, 0
        try:
            yield
        finally:
            self._pairs += before


LOOPS = LoopLoader()
"""Of this process: numba is loaded once in it."""


def _compiled() -> Loops | None:
    if find_spec("numba") is None:
        return None
    import numba

    compiled = numba.njit(nogil=True, cache=True)
    try:
        shared = {each.__name__: compiled(each) for each in (_pair, _product_error, _round)}
    except RuntimeError:
        # No folder to keep them in, and to compile them in every run takes longer than it saves.
        return None
    plain = (
        _squared_distances,
        _encode,
        _set_thresholds,
        _lower_rows,
        _count_passing,
        _passing_pairs,
        _pick_farthest,
    )
    loops = Loops(*(compiled(_calling(each, shared)) for each in plain))
    rows, pairs = np.empty((1, 1), dtype=np.float32), np.empty(0, dtype=np.int64)
    loops.squared_distances(rows, pairs, rows, pairs, np.empty(0))  # the first call wakes the compiler up
    return loops


def _calling(function: Callable[..., Any], shared: dict[str, Any]) -> Callable[..., Any]:
    """The same function, which calls compiled ones by the names of the plain ones."""
    plain = cast(FunctionType, function)
    return FunctionType(plain.__code__, {**plain.__globals__, **shared}, plain.__name__)


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
    """Fills (M,) float64 ``squared`` as `evenly.engine.distance.squared_distances` defines it."""
    sums = np.empty(left.shape[1])
    for pair in range(len(left_index)):
        squared[pair] = _pair(left[left_index[pair]], right[right_index[pair]], sums)


def _round(bits: Any) -> None:
    """Rounds float32 numbers to bfloat16 where they are, to even among equals. Takes their bits, (M,) int32."""
    for at in range(len(bits)):
        odd = (bits[at] >> 16) & 1
        bits[at] = (bits[at] + np.int32(0x7FFF) + odd) & np.int32(-0x10000)


def _encode(
    rows: Any, centre: Any, scale: float, slack: float, codes: Any, squared_norm: Any, error: Any
) -> None:
    """Fills codes as `evenly.engine.filter.FilterMap` defines them, of all d coordinates in bfloat16.

    Args:
        rows: (A, d) float32.
        centre: (d,) float64.
        scale: of the map.
        slack: added to each error.
        codes: (A, width) int16, the codes' bits.
        squared_norm: (A,) float64.
        error: (A,) float64.
    """
    columns = rows.shape[1]
    mapped = np.empty(columns)
    rounded = np.empty(columns, dtype=np.float32)
    bits = rounded.view(np.int32)
    for at in range(len(rows)):
        row, code = rows[at], codes[at]
        for column in range(columns):
            mapped[column] = (np.float64(row[column]) - centre[column]) * scale
            rounded[column] = mapped[column]
        _round(bits)
        code[columns:] = 0
        length = lost = 0.0
        for column in range(columns):
            code[column] = bits[column] >> 16
            number = np.float64(rounded[column])
            length += number * number
            lost += (mapped[column] - number) ** 2
        squared_norm[at] = length
        error[at] = np.sqrt(lost) * (1 + 1e-9) + slack


def _product_error(squared_norm: float, pick_norm: float, threshold: float, rounding: float) -> float:
    """`evenly.engine.filter.PickSide.product_error` of one row, but for what denormal numbers add."""
    sizes: float = np.sqrt(squared_norm) * pick_norm + pick_norm * pick_norm + abs(threshold)
    return sizes * rounding


def _set_thresholds(
    distance: Any, squared_norm: Any, error: Any, bounds: Any, codes: Any, float_bits: int, threshold: Any
) -> None:
    """Fills what `evenly.engine.filter.PickSide.set_thresholds` computes.

    Args:
        distance: (A,) float64, in units of the map.
        squared_norm: (A,) float64, of the rows' codes.
        error: (A,) float64, theirs.
        bounds: the largest length of a pick's code, the largest error of one, the product's error over the sizes of
            its terms, and what is added for denormal numbers.
        codes: (A, 6) integers, bits of the columns beside the code: three ones, and pieces of the threshold.
        float_bits: how many low bits of a float32 the codes' precision lacks: 16 or 0.
        threshold: (A,) float64.
    """
    pick_norm, pick_error, rounding, slack = bounds
    for at in range(len(distance)):
        reach = min(
            distance[at] * (1 + 1e-9) + error[at] + pick_error,
            1.01 * (np.sqrt(squared_norm[at]) + pick_norm) + slack,
        )
        value = (squared_norm[at] - reach * reach) * 0.5
        threshold[at] = value - (_product_error(squared_norm[at], pick_norm, value, rounding) + slack)
    left = threshold.copy()
    pieces = np.empty((codes.shape[1] // 2, len(left)), dtype=np.float32)
    bits = pieces.view(np.int32)
    for piece in range(len(pieces)):
        for at in range(len(left)):
            pieces[piece, at] = left[at]
        _round(bits[piece])
        for at in range(len(left)):
            left[at] -= np.float64(pieces[piece, at])
    for at in range(len(codes)):  # a row of codes is another line of memory each: it is written to once
        for piece in range(len(pieces)):
            codes[at, piece] = _ONE >> float_bits
            codes[at, len(pieces) + piece] = bits[piece, at] >> float_bits


def _lower_rows(
    product: Any, rows: Any, vectors: Any, labelled: Any, codes: Any, bounds: Any, scale: float, cover: Any
) -> None:
    """Lowers the distances of the rows of a block that have passing pairs; the earlier pick among equals.

    The pair with the largest product is computed first; another can be as near only if its product is at
    least what equation (2) of `evenly.engine.filter` gives for the distance found so far. Each line of the
    product is read once, for the largest of every `LANES`-th number, which the processor compares side by side;
    only lanes that hold a pair that matters are looked at again, while the line is still in the first-level cache.

    Longer than 60 lines, for it is one loop: what it leaves and enters is kept in registers.

    Args:
        product: (R, P) integers, its bits, where not negative in the order of the numbers; and how many low bits of a
            float32 its precision lacks: 16 or 0.
        rows: (R,) int64 row numbers.
        vectors: (N, d) float32.
        labelled: (P, d) float32 picks, and their (P,) int64 labels.
        codes: of the rows, (R,) float64 each: squared lengths, errors, and the thresholds that they carry.
        bounds: as for `_set_thresholds`.
        scale: of the map.
        cover: (N,) float64 squared distances and (N,) int64 keepers, changed in place.
    """
    bits, float_bits = product
    picks, labels = labelled
    squared_norm, error, threshold = codes
    pick_norm, pick_error, rounding, slack = bounds
    squared_distance, keeper = cover
    width = bits.shape[1]
    most = np.empty(LANES, dtype=bits.dtype)
    sums = np.empty(vectors.shape[1])
    number = np.empty(1, dtype=np.float32)
    for at in range(len(rows)):
        line = bits[at]
        for lane in range(LANES):
            most[lane] = -1
        for start in range(0, width, LANES):
            part = line[start : start + LANES]
            for lane in range(len(part)):
                if part[lane] > most[lane]:
                    most[lane] = part[lane]
        largest = most[0]
        for lane in range(LANES):
            largest = most[lane] if most[lane] > largest else largest
        if largest < 0:
            continue
        first = 0
        while most[first] < largest:
            first += 1
        while line[first] < largest:
            first += LANES
        row = rows[at]
        best = _pair(vectors[row], picks[first], sums)
        nearest = first
        distance = min(best, squared_distance[row])
        reach = np.sqrt(distance) * scale * (1 + 1e-9) + error[at] + pick_error
        least = (squared_norm[at] - reach * reach) * 0.5 - threshold[at]
        least -= _product_error(squared_norm[at], pick_norm, threshold[at], rounding) + slack
        number[0] = max(least - abs(least) * 2.0**-7, 0.0)
        least_bits = number.view(np.int32)[0] >> float_bits
        for lane in range(LANES):
            if most[lane] >= least_bits:
                for pick in range(lane, width, LANES):
                    if line[pick] >= least_bits and pick != first:
                        squared = _pair(vectors[row], picks[pick], sums)
                        if squared < best or (squared == best and pick < nearest):
                            best, nearest = squared, pick
        if best < squared_distance[row]:
            squared_distance[row] = best
            keeper[row] = labels[nearest]


def _count_passing(bits: Any, above_diagonal: bool) -> int:
    """How many numbers of a product are not negative: (R, P) integers, its bits."""
    count = 0
    for at in range(len(bits)):
        line = bits[at, at + 1 if above_diagonal else 0 :]
        for column in range(len(line)):
            count += line[column] >= 0
    return count


def _passing_pairs(bits: Any, above_diagonal: bool, rows: Any, columns: Any) -> None:
    """Fills (M,) int64 ``rows`` and ``columns``, M from `_count_passing`, with where these are, in row order."""
    found = 0
    for at in range(len(bits)):
        begin = at + 1 if above_diagonal else 0
        for start in range(begin, bits.shape[1], LANES):
            part = bits[at, start : start + LANES]
            largest = part[0]
            for lane in range(len(part)):
                largest = part[lane] if part[lane] > largest else largest
            if largest < 0:
                continue
            for lane in range(len(part)):
                if part[lane] >= 0:
                    rows[found] = at
                    columns[found] = start + lane
                    found += 1


def _pick_farthest(
    given: Any, rows: Any, neighbours: Any, rest_squared: float, rest_row: int, picks: Any, radii: Any
) -> int:
    """Greedy among candidates by distance alone, as far as no row outside can come first; returns how many picks.

    Args:
        given: (B,) float64 squared distances to the picks before, largest first.
        rows: (B,) int64 row numbers, the lowest first among equals.
        neighbours: starts, others and squared distances of `evenly.engine.loop.CloseNeighbours`.
        rest_squared, rest_row: of the first row outside; -1 and -1 where there is none.
        picks: (P,) int64, room for the indices of that many picks.
        radii: (P,) float64, room for their squared radii.
    """
    starts, others, between = neighbours
    rest = (-rest_squared, rest_row)
    squared = given.copy()
    lowered = [(0.0, rows[0], 0)]  # a heap of those lowered before their turn: the compiler sees its kind
    lowered.pop()
    waiting = count = 0
    while count < len(picks):
        while waiting < len(given) and squared[waiting] != given[waiting]:
            waiting += 1
        while lowered and -lowered[0][0] != squared[lowered[0][2]]:
            heappop(lowered)
        first = (-given[waiting], rows[waiting], waiting) if waiting < len(given) else (0.0, rows[0], -1)
        if lowered and lowered[0] < first:
            first = lowered[0]
        negative, _, index = first
        if index < 0:
            break
        picks[count] = index
        radii[count] = -negative
        count += 1
        squared[index] = 0.0
        for at in range(starts[index], starts[index + 1]):
            other = others[at]
            if between[at] < squared[other]:
                squared[other] = between[at]
                entry = (-between[at], rows[other], other)
                if between[at] > 0 and (entry[0], entry[1]) < rest:
                    heappush(lowered, entry)
    return count
