"""Exact nearest neighbours: a low-precision product says where to look, exact distances decide.

One product of all left rows with all right rows gives, for every pair, half the squared distance of the
rounded rows. Only its minimum over each tile of right rows is kept. The
product is laid out so that it is a sum of squares and never negative (up to rounding), because then the bits
of a floating-point number read as an integer have the order of the number, and an integer minimum is several
times as fast. A bound on the product's error turns the tile minima of a left row into a limit that its true
neighbours cannot exceed; the few tiles that hold an entry under the limit are multiplied again, and the pairs
under the limit are computed by subtraction in float64. So the product may be as coarse as it likes: it
changes the time, never the result.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.selection.distance import squared_distances
from evenly.types import Float64Array, Int64Array, Progress, silent

BLOCK = 1024
"""Left rows of a product; 1024 x 1024 bfloat16 fills a core's second-level cache."""

_MINIMA_BYTES = 2**28
PIECES = 3
"""Low-precision numbers that carry a float64 one to 24 bits."""

TINY = 1e-30
"""Covers what matrix units lose by treating denormal numbers as zero."""

FAR = 2.0**100
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-23}
"""One whole unit in the last place: twice what rounding to nearest needs, enough for truncation too."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest right rows of every left row.

    Attributes:
        index: (A, K) int64 right row numbers, nearest first, the lowest number among equals.
        squared_distance: (A, K) float64. Where fewer than K right rows exist, index is -1 and this infinite.
    """

    index: Int64Array
    squared_distance: Float64Array


def filter_dtype(columns: int) -> torch.dtype:
    """bfloat16 where the processor multiplies it in hardware and rows are long enough to gain, or float32."""
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast and columns >= 64 else torch.float32


def on_all_cores(
    work: Callable[[T], R], tasks: list[T], progress: Progress = silent, stage: str = ""
) -> list[R]:
    """Results of ``work`` over tasks, in their order, one single-threaded task per core at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    results: list[R] = []
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for result in workers.map(work, tasks):
            results.append(result)
            progress(stage, len(results), len(tasks))
    return results


def nearest(
    left: Tensor,
    right: Tensor,
    count: int = 1,
    *,
    own: Int64Array | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress = silent,
    stage: str = "nearest neighbours",
) -> Neighbours:
    """Exact nearest right rows of every left row.

    Args:
        left: (A, d) float32 on the CPU.
        right: (B, d) float32; may be ``left`` itself, which halves the products.
        count: K, neighbours per row.
        own: (A,) int64, for every left row the right row that is itself and must not count; -1 for none.
        dtype: precision of the product; None decides by processor and d. Never changes the result.

    Returns:
        The K nearest, exact in float64. Cost: one low-precision product, A B d (half where right is left),
        and about K / 50 of it again. Memory: the images, and at most 256 MB of tile minima. Right rows should
        be
        distinct: m copies of a row take m^2 exact distances.
    """
    image = fit_isometry(left, right, dtype or filter_dtype(left.shape[1]))
    keys = encode_side(image, right)
    queries = keys if left is right else encode_side(image, left)
    search = _Search(left, right, image, queries, keys, count, _padded(own, len(left)))
    tiles = -(-len(right) // search.tile)
    at_once = max(_MINIMA_BYTES // (tiles * image.dtype.itemsize) // BLOCK, 1) * BLOCK
    parts = [
        search.run(start, min(start + at_once, len(queries.error)), progress, stage)
        for start in range(0, len(queries.error), at_once)
    ]
    index = np.concatenate([part.index for part in parts])[: len(left)]
    squared = np.concatenate([part.squared_distance for part in parts])[: len(left)]
    return Neighbours(index, squared)


def _padded(own: Int64Array | None, rows: int) -> Tensor:
    padded = torch.full((-(-rows // BLOCK) * BLOCK,), -1, dtype=torch.int64)
    if own is not None:
        padded[:rows] = torch.from_numpy(own)
    return padded


@dataclass(frozen=True)
class Side:
    """One factor of the product, padded to whole blocks with rows that are far from everything.

    Attributes:
        query: (A', w) filter dtype, the image and the pieces of its half square.
        key: (A', w) the same as right factor.
        error: (A',) float64, rounding error of each image, as a distance in units of the map.
        norm: (A',) float64, length of each image.
    """

    query: Tensor
    key: Tensor
    error: Tensor
    norm: Tensor


@dataclass(frozen=True)
class Isometry:
    """Centres rows and scales them by a power of two, so that the longest has a length of about 1.

    Attributes:
        centre: (d,) float64.
        scale: units of the image per unit of distance.
        dtype: what the images are rounded to.
    """

    centre: Tensor
    scale: float
    dtype: torch.dtype

    def image(self, rows: Tensor) -> Tensor:
        """Exact to float64: (A, d) float32 to (A, d) float64."""
        return (rows.double() - self.centre) * self.scale


def fit_isometry(left: Tensor, right: Tensor, dtype: torch.dtype) -> Isometry:
    """The map that suits both sides of a product."""
    centre = torch.stack([block.double().sum(0) for block in right.split(BLOCK)]).sum(0) / len(right)
    longest = 0.0
    for side in [right] if left is right else [left, right]:
        for block in side.split(BLOCK):
            longest = max(longest, float((block.double() - centre).norm(dim=1).max()))
    scale = 2.0 ** -math.floor(math.log2(longest)) if longest > 0 else 1.0
    return Isometry(centre, scale, dtype)


def encode_side(image: Isometry, rows: Tensor) -> Side:
    """Columns: image, three pieces of half its square, three ones (key: minus image, ones, pieces), zeros."""
    padded = -(-len(rows) // BLOCK) * BLOCK
    columns = rows.shape[1]
    squares, ones = slice(columns, columns + PIECES), slice(columns + PIECES, columns + 2 * PIECES)
    width = -(-ones.stop // 16) * 16
    query = torch.zeros(padded, width, dtype=image.dtype)
    key = torch.zeros_like(query)
    query[len(rows) :, squares.start] = FAR
    key[len(rows) :, [squares.start, ones.start]] = FAR
    error = torch.zeros(padded, dtype=torch.float64)
    norm = torch.zeros_like(error)
    for start in range(0, len(rows), BLOCK):
        exact = image.image(rows[start : start + BLOCK])
        rounded = exact.to(image.dtype)
        block = slice(start, start + len(exact))
        query[block, :columns] = rounded
        key[block, :columns] = -rounded
        error[block] = (exact - rounded.double()).norm(dim=1) * (1 + 1e-9) + TINY
        squares_of = rounded.double().square().sum(1)
        query[block, squares] = key[block, ones] = _pieces(squares_of / 2, image.dtype)
        query[block, ones] = key[block, squares] = 1.0
        norm[block] = squares_of.sqrt()
    return Side(query, key, error, norm)


def _pieces(values: Tensor, dtype: torch.dtype) -> Tensor:
    """(A,) float64 as (A, PIECES) low-precision numbers that add up to them within 2^-24."""
    pieces = []
    for _ in range(PIECES):
        pieces.append(values.to(dtype))
        values = values - pieces[-1].double()
    return torch.stack(pieces, dim=1)


def product_error(queries: Side, key_norm: float) -> Tensor:
    """Bound on the error of adding up the product, (A',) float64: width * 2^-22 * the sizes of its terms.

    Four times the textbook bound, because matrix units may truncate. The rounding of the result comes on top.
    """
    sizes = queries.norm * key_norm + (queries.norm**2 + key_norm**2) / 2
    return sizes * (queries.query.shape[1] * 2.0**-22) + TINY


def integers(product: Tensor) -> Tensor:
    """The bits of numbers as integers, which have the order of the numbers where these are not negative."""
    return product.view(torch.int16 if product.dtype == torch.bfloat16 else torch.int32)


class _Search:
    """One search: the two sides, the bounds, and the two passes over the tiles."""

    def __init__(
        self,
        left: Tensor,
        right: Tensor,
        image: Isometry,
        queries: Side,
        keys: Side,
        count: int,
        own: Tensor,
    ) -> None:
        self.left, self.right, self.image = left, right, image
        self.queries, self.keys, self.count, self.own = queries, keys, count, own
        wanted = 2 ** int(np.ceil(np.log2(max(len(right) / 64, 1))))
        self.tile = min(max(wanted, 8), BLOCK)
        self.slack = product_error(queries, float(keys.norm.max()))
        self.reach = queries.error + float(keys.error.max())

    def run(self, first: int, last: int, progress: Progress, stage: str) -> Neighbours:
        """Neighbours of left rows first … last - 1 (whole blocks)."""
        symmetric = self.queries is self.keys and last - first == len(self.keys.error)
        minima = torch.full((last - first, len(self.keys.error) // self.tile), FAR, dtype=self.image.dtype)

        def sweep(start: int) -> None:
            self._sweep(start, start - first, integers(minima), symmetric)

        on_all_cores(sweep, list(range(first, last, BLOCK)), progress, stage)
        limit = self._limits(minima, first)
        tiles = range(-(-len(self.right) // self.tile))
        bits = integers(minima)
        hits = [(tile, (bits[:, tile] <= limit).nonzero().flatten() + first) for tile in tiles]
        found = on_all_cores(lambda hit: self._look(hit[0], hit[1], limit, first), hits)
        return _merge(found, first, last, self.count)

    def _sweep(self, start: int, at: int, minima: Tensor, symmetric: bool) -> None:
        """Pass 1: tile minima of one block of left rows, and by symmetry those of all rows in its tiles."""
        rows = self.queries.query[start : start + BLOCK]
        product = torch.empty(BLOCK, BLOCK, dtype=self.image.dtype)
        for column in range(start if symmetric else 0, len(self.keys.error), BLOCK):
            torch.mm(rows, self.keys.key[column : column + BLOCK].T, out=product)
            self._hide_own(product, torch.arange(start, start + BLOCK), column)
            bits = integers(product)
            tiles = slice(column // self.tile, (column + BLOCK) // self.tile)
            minima[at : at + BLOCK, tiles] = bits.view(BLOCK, -1, self.tile).amin(2)
            if symmetric and column > start:
                own_tiles = slice(start // self.tile, (start + BLOCK) // self.tile)
                minima[column : column + BLOCK, own_tiles] = bits.view(-1, self.tile, BLOCK).amin(1).T

    def _hide_own(self, product: Tensor, rows: Tensor, column: int) -> None:
        own = self.own[rows] - column
        inside = ((own >= 0) & (own < product.shape[1])).nonzero().flatten()
        product[inside, own[inside]] = FAR

    def _limits(self, minima: Tensor, first: int) -> Tensor:
        """What the product of a true neighbour cannot exceed, as integer bits, (rows,).

        The count-th smallest tile minimum bounds the distance of the count-th neighbour from above.
        """
        rows = slice(first, first + len(minima))
        slack, reach = self.slack[rows], self.reach[rows]
        unit = ROUNDING[self.image.dtype]
        if minima.shape[1] < self.count:
            return integers(torch.full_like(slack, FAR / 2, dtype=self.image.dtype))
        kth = torch.cat([block.float().kthvalue(self.count, dim=1).values for block in minima.split(BLOCK)])
        half_square = (kth.double().clamp_(min=0.0) + slack) / (1 - unit)
        farthest = (2 * half_square).sqrt() + 2 * reach
        highest = torch.clamp((farthest.square() / 2) * (1 + unit) + slack, max=FAR / 2)
        return integers((highest * (1 + 2 * unit)).to(self.image.dtype))

    def _look(self, tile: int, rows: Tensor, limit: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pass 2: left row, right row and exact square of the pairs of one tile that lie under the limit."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        column = tile * self.tile
        key = self.keys.key[column : column + self.tile].T
        for part in rows.split(BLOCK):
            product = torch.mm(self.queries.query.index_select(0, part), key)
            self._hide_own(product, part, column)
            # Comparing and searching tiles is several times as fast in numpy as in torch.
            under = integers(product).numpy() <= limit[part - first, None].numpy()
            if np.count_nonzero(under) > 4 * (self.count + 1) * len(part):
                under &= self._sharper(part, column)
            where, which = (torch.from_numpy(at) for at in np.divmod(np.flatnonzero(under), self.tile))
            where, which = part[where], which + column
            squared = squared_distances(self.left, where, self.right, which)
            found.append(_keep_nearest(where, which, squared, self.count))
        return _joined(found)

    def _sharper(self, rows: Tensor, column: int) -> npt.NDArray[np.bool_]:
        """For crowded tiles, by a float64 product: which pairs may be among the nearest of their row here."""
        near = self.image.image(self.left.index_select(0, rows))
        far = self.image.image(self.right[column : column + self.tile])
        near_square, far_square = near.square().sum(1), far.square().sum(1)
        squared = near_square[:, None] + far_square - 2 * (near @ far.T)
        slack = (near_square.sqrt() + far_square.max().sqrt()).square() * (near.shape[1] + 8) * 2.0**-51
        self._hide_own(squared, rows, column)
        kth = squared.kthvalue(min(self.count, squared.shape[1]), dim=1).values
        near_enough = np.zeros((len(rows), self.tile), dtype=np.bool_)
        near_enough[:, : len(far)] = (squared <= (kth + 2 * slack)[:, None]).numpy()
        return near_enough


def _joined(found: Iterable[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
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


def _keep_nearest(where: Tensor, which: Tensor, squared: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``count`` nearest of each row, sorted by row, distance, number."""
    order = np.lexsort((which.numpy(), squared.numpy(), where.numpy()))
    kept = torch.from_numpy(order[_ranks(where.numpy()[order]) < count])
    return where[kept], which[kept], squared[kept]


def _merge(found: list[tuple[Tensor, Tensor, Tensor]], first: int, last: int, count: int) -> Neighbours:
    where, which, squared = (part.numpy() for part in _keep_nearest(*_joined(found), count))
    index = np.full((last - first, count), -1, dtype=np.int64)
    distance = np.full((last - first, count), np.inf)
    at = (where - first, _ranks(where))
    index[at] = which
    distance[at] = squared
    return Neighbours(index, distance)
