"""Exact nearest neighbours: a low-precision product says where to look, exact distances decide.

Only the minimum of the product over each strip of right rows is kept. A bound on the product's error turns the
strip minima of a left row into a limit that its true neighbours cannot exceed; the few strips that hold an
entry under the limit are multiplied again, and the pairs under it are computed by subtraction in float64. So
the product may be as coarse as it likes: it changes the time, never the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.engine.blocks import CHUNK_STEP, available_cores, on_all_cores, slices
from evenly.engine.codes import (
    BLOCK,
    FAR,
    ROUNDING,
    SIDE_ROWS,
    Coded,
    SearchCodes,
    squared_by_product,
    surely_within,
)
from evenly.engine.distance import squared_distances
from evenly.engine.filter import as_integers
from evenly.engine.mapped import release
from evenly.types import Float64Array, Int64Array, Progress, silent

_FOUND_AT_ONCE = 64 * BLOCK
"""Neighbours that are merged at once: of many rows where each has one, for few large products cost less than many."""

_SWEEPS_PER_CORE = 8
"""So many sweeps for each core at least, so that the last ones end at nearly the same time."""

_CROWDED = 4
"""Where so many times more pairs pass than are wanted, a float64 product sorts them out for less than their exact
distances."""

_STRIPS = 64
"""Strips that a side is cut into, as far as none is wider than a block: few, for their minima are kept and searched."""

Watch: TypeAlias = Callable[[Tensor, Tensor, int, int], None]
Found: TypeAlias = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest right rows of every left row.

    Attributes:
        index: (A, K) int64 right row numbers, nearest first, the lowest number among equals.
        squared_distance: (A, K) float64. Where fewer than K right rows exist, index is -1 and this infinite.
    """

    index: Int64Array
    squared_distance: Float64Array


def nearest(
    left: Coded,
    right: Coded,
    count: int = 1,
    *,
    own: Int64Array | None = None,
    watch: Watch | None = None,
    progress: Progress = silent,
    stage: str = "nearest neighbours",
) -> Neighbours:
    """Exact nearest right rows of every left row.

    Args:
        left: A rows.
        right: B rows of the same pool; may be ``left`` itself, which halves the products up to `SIDE_ROWS` rows.
        count: K, neighbours per row.
        own: (A,) int64, for every left row the right row that is itself and must not count; -1 for none.
        watch: shown the bits of every product of 1024 x 1024 pairs and the least of each row, with its first left
            and right row; where right is left, perhaps only those on and above the diagonal. Rows are padded to
            whole blocks.

    Returns:
        The K nearest, exact in float64. Cost: one low-precision product, A B d (half where right is left),
        and about K / 50 of it again. Memory: the codes of `SIDE_ROWS` rows of each side and the minima of their
        strips, whatever A and B are. Right rows should be distinct: m copies of a row take m^2 exact distances.
    """
    index = np.full((len(left), count), -1, dtype=np.int64)
    squared = np.full((len(left), count), np.inf)
    sides = list(slices(len(right), SIDE_ROWS))
    work = _Work(progress, stage, -(-len(left) // BLOCK) * len(sides))
    for queries in slices(len(left), SIDE_ROWS):
        codes = left.codes(queries)
        for side in sides:
            keys = codes if left is right and queries == side else right.codes(side)
            search = _Search(_Span(left, codes, queries), _Span(right, keys, side), count, own, watch)
            search.run(index[queries], squared[queries], work)
    return Neighbours(index, squared)


class _Work:
    """Tells of blocks of left rows that were held against one side of right rows."""

    def __init__(self, progress: Progress, stage: str, total: int) -> None:
        self.progress, self.stage, self.total, self.done = progress, stage, total, itertools.count(1)

    def step(self) -> None:
        self.progress(self.stage, next(self.done), self.total)


@dataclass(frozen=True, eq=False)
class _Span:
    """Some consecutive rows and their codes."""

    coded: Coded
    codes: SearchCodes
    part: slice


class _Search:
    """One search of some left among some right rows: the two sides, the bounds, and the two passes over the strips."""

    def __init__(
        self, left: _Span, right: _Span, count: int, own: Int64Array | None, watch: Watch | None
    ) -> None:
        self.left, self.right, self.count, self.watch = left.coded, right.coded, count, watch
        self.left_part, self.right_part = left.part, right.part
        queries, keys, right_part = left.codes, right.codes, right.part
        self.queries, self.keys = queries, keys
        self._mirrored = queries is keys
        wanted = 2 ** int(np.ceil(np.log2(max((right_part.stop - right_part.start) / _STRIPS, 1))))
        self.strip = min(max(wanted, 8), BLOCK)
        self.strips = len(keys) // self.strip
        self.strip_error = keys.error.view(-1, self.strip).amax(1)
        self.strip_norm = keys.norm.view(-1, self.strip).amax(1)
        self.own = torch.full((len(queries),), -1, dtype=torch.int64)
        if own is not None:
            part = own[left.part]
            here = (part >= right_part.start) & (part < right_part.stop)
            self.own[: len(part)] = torch.from_numpy(np.where(here, part - right_part.start, -1))

    def run(self, index: Int64Array, squared: Float64Array, work: _Work) -> None:
        """Merges the neighbours of the left rows among these right rows into (A', K) found before."""
        dtype = self.keys.key.dtype
        minima = as_integers(torch.full((len(self.queries), self.strips), FAR, dtype=dtype))
        known = torch.full((len(self.queries), 1), torch.inf, dtype=torch.float64)
        known[: len(squared), 0] = torch.from_numpy(squared[:, -1])

        starts = range(0, len(self.queries), BLOCK)
        # Few blocks of rows are cut into several sweeps each, for cores to share evenly.
        pieces = -(-_SWEEPS_PER_CORE * available_cores() // len(starts)) if starts else 1
        width = -(-len(self.keys) // (BLOCK * pieces)) * BLOCK

        def sweep(task: tuple[int, int]) -> None:
            start, column = task
            self._sweep(start, slice(column, min(column + width, len(self.keys))), minima)
            if column + width >= len(self.keys):
                work.step()

        tasks = itertools.product(starts, range(0, len(self.keys), width))
        on_all_cores(sweep, [(start, at) for start, at in tasks if not self._mirrored or at + width > start])
        for rows in slices(len(index), max(_FOUND_AT_ONCE // self.count // BLOCK, 1) * BLOCK):
            parts = list(_parts(rows, BLOCK))
            limits = torch.cat(on_all_cores(lambda at: self._limits(minima[at], at, known[at]), parts))
            under = (minima[rows] <= limits).T.contiguous()

            def look(
                strip: int, under: Tensor = under, limits: Tensor = limits, first: int = rows.start
            ) -> Found:
                at = under[strip].nonzero().flatten()
                found = self._look(strip, at + first, limits[at, strip])
                release(self.right.vectors)
                return found

            found = on_all_cores(look, under.any(1).nonzero().flatten().tolist())
            _merge(found, rows, self.right_part.start, index, squared)

    def _sweep(self, start: int, columns: slice, minima: Tensor) -> None:
        """Pass 1: strip minima of a block of left rows; where right is left, of later rows in its strips too."""
        rows = self.queries.query(slice(start, start + BLOCK))
        product = torch.empty(BLOCK, BLOCK, dtype=rows.dtype)
        own = self.own[start : start + BLOCK]
        with_own = set((own[own >= 0] // BLOCK * BLOCK).tolist())
        first = max(start, columns.start) if self._mirrored else columns.start
        for column in range(first, columns.stop, BLOCK):
            torch.mm(rows, self.keys.key[column : column + BLOCK].T, out=product)
            if column in with_own:
                self._hide_own(product, own - column)
            bits = as_integers(product)
            of_strips = bits.view(BLOCK, -1, self.strip).amin(2)
            if self.watch is not None:
                at = start + self.left_part.start, column + self.right_part.start
                self.watch(bits, of_strips.amin(1), *at)
            minima[start : start + BLOCK, column // self.strip : (column + BLOCK) // self.strip] = of_strips
            if self._mirrored and column > start:
                own_strips = slice(start // self.strip, (start + BLOCK) // self.strip)
                minima[column : column + BLOCK, own_strips] = bits.view(-1, self.strip, BLOCK).amin(1).T

    @staticmethod
    def _hide_own(product: Tensor, own: Tensor) -> None:
        """Puts each row's own column out of reach; ``own`` may lie outside the product."""
        inside = ((own >= 0) & (own < product.shape[1])).nonzero().flatten()
        product[inside, own[inside]] = FAR

    def _limits(self, minima: Tensor, rows: slice, known: Tensor) -> Tensor:
        """What the product of a true neighbour cannot exceed in each strip: integers (R, strips) to the same.

        Each strip minimum bounds one distance from above; the count-th smallest of these bounds is at least
        the distance of the count-th neighbour, and so is the count-th square ``known`` (R, 1) from other sides.
        """
        dtype, mapping = self.keys.key.dtype, self.left.map
        unit = ROUNDING[dtype]
        slack = self.left.product_error(self.queries.norm[rows, None], self.strip_norm)
        reach = self.queries.error[rows, None] + self.strip_error
        farthest = known.sqrt() * (mapping.scale * (1 + 1e-9))
        if self.strips >= self.count:
            product = minima.view(dtype).double().clamp_(min=0.0)
            distance = ((product + slack) * (2 / (1 - unit))).sqrt_() + reach
            # The least alone is found twenty times as fast as the k-th.
            kth = distance.amin(1) if self.count == 1 else distance.kthvalue(self.count, dim=1).values
            farthest = torch.minimum(farthest, kth[:, None])
        return surely_within(((farthest + reach).square_() / 2 + slack).clamp_(max=FAR / 2), dtype)

    def _look(self, strip: int, rows: Tensor, limits: Tensor) -> Found:
        """Pass 2: left row, right row and exact square of the pairs of one strip that lie under the limit."""
        found: list[Found] = []
        column = strip * self.strip
        key = self.keys.key[column : column + self.strip].T
        for part, limit in zip(rows.split(BLOCK), limits.split(BLOCK), strict=True):
            even = torch.nn.functional.pad(part, (0, -len(part) % CHUNK_STEP))
            product = torch.mm(self.queries.query(even), key)[: len(part)]
            self._hide_own(product, self.own[part] - column)
            # Comparing and searching strips is several times as fast in numpy as in torch.
            under = as_integers(product).numpy() <= limit[:, None].numpy()
            if np.count_nonzero(under) > _CROWDED * (self.count + 1) * len(part):
                under &= self._sharper(part, column)
            where, which = (torch.from_numpy(at) for at in np.divmod(np.flatnonzero(under), self.strip))
            where, which = part[where], which + column
            left = self.left.pool_rows(where + self.left_part.start)
            right = self.right.pool_rows(which + self.right_part.start)
            squared = squared_distances(self.left.rows, left, self.right.rows, right)
            if len(where) > _CROWDED * self.count * len(part):
                where, which, squared = _keep_nearest(where, which, squared, self.count)
            found.append((where, which, squared))
        return _joined(found)

    def _sharper(self, rows: Tensor, column: int) -> npt.NDArray[np.bool_]:
        """For crowded strips, by a float64 product: which pairs may be among the nearest of their row here."""
        first = self.right_part.start + column
        keys = self.right.gather(slice(first, min(first + self.strip, self.right_part.stop)))
        queries = self.left.rows.index_select(0, self.left.pool_rows(rows + self.left_part.start))
        squared, error = squared_by_product(queries, keys, self.left.map.centre)
        self._hide_own(squared, self.own[rows] - column)
        kth = squared.kthvalue(min(self.count, len(keys)), dim=1, keepdim=True).values
        possible = np.zeros((len(rows), self.strip), dtype=np.bool_)
        possible[:, : len(keys)] = (squared <= kth + 2 * error).numpy()
        return possible


def _parts(rows: slice, size: int) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` that cover ``rows``."""
    return (slice(rows.start + at.start, rows.start + at.stop) for at in slices(rows.stop - rows.start, size))


def _joined(found: Iterable[Found]) -> Found:
    parts = list(zip(*found, strict=True))
    if not parts:
        return (
            torch.empty(0, dtype=torch.int64),
            torch.empty(0, dtype=torch.int64),
            torch.empty(0, dtype=torch.float64),
        )
    return torch.cat(parts[0]), torch.cat(parts[1]), torch.cat(parts[2])


def _ranks(where: Int64Array) -> Int64Array:
    """Position within its run of equal values, for sorted values."""
    starts = (
        np.flatnonzero(np.r_[True, where[1:] != where[:-1]]) if len(where) else np.empty(0, dtype=np.int64)
    )
    return np.arange(len(where)) - np.repeat(starts, np.diff(np.r_[starts, len(where)]))


def _keep_nearest(where: Tensor, which: Tensor, squared: Tensor, count: int) -> Found:
    """The ``count`` nearest of each row, sorted by row, distance, number."""
    order = np.lexsort((which.numpy(), squared.numpy(), where.numpy()))
    kept = torch.from_numpy(order[_ranks(where.numpy()[order]) < count])
    return where[kept], which[kept], squared[kept]


def _merge(found: list[Found], rows: slice, first: int, index: Int64Array, squared: Float64Array) -> None:
    """Puts what was found for some rows among what is known of them; right rows are counted from ``first`` on."""
    where, which, distance = _joined(found)
    row, rank = np.nonzero(index[rows] >= 0)
    row += rows.start
    known = (torch.from_numpy(part) for part in (row, index[row, rank], squared[row, rank]))
    merged = _keep_nearest(*_joined([(where, which + first, distance), tuple(known)]), index.shape[1])
    at_row, right, nearest_squared = (part.numpy() for part in merged)
    at = (at_row, _ranks(at_row))
    index[at], squared[at] = right, nearest_squared
