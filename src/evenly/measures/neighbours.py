"""Exact nearest neighbours: a low-precision product says where to look, exact distances decide.

Only the minimum of the product over each tile of right rows is kept. A bound on the product's error turns the
tile minima of a left row into a limit that its true neighbours cannot exceed; the few tiles that hold an
entry under the limit are multiplied again, and the pairs under it are computed by subtraction in float64. So
the product may be as coarse as it likes: it changes the time, never the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evenly.measures.images import BLOCK, FAR, ROUNDING, Images, on_all_cores, squared_by_product
from evenly.selection.distance import squared_distances
from evenly.selection.filter import as_integers
from evenly.types import Float64Array, Int64Array, Progress, silent

_MINIMA_BYTES = 2**28
_CROWDED = 4
_TILES = 64

Watch: TypeAlias = Callable[[Tensor, int, int], None]


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
    left: Images,
    right: Images,
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
        right: B rows under the same map; may be ``left`` itself, which halves the products.
        count: K, neighbours per row.
        own: (A,) int64, for every left row the right row that is itself and must not count; -1 for none.
        watch: shown the bits of every product of 1024 x 1024 pairs, with its first left and right row; where
            right is left, perhaps only those on and above the diagonal. Rows are padded to whole blocks.

    Returns:
        The K nearest, exact in float64. Cost: one low-precision product, A B d (half where right is left),
        and about K / 50 of it again. Memory: the images, and at most 256 MB of tile minima. Right rows
        should be distinct: m copies of a row take m^2 exact distances.
    """
    search = _Search(left, right, count, own, watch)
    at_once = max(_MINIMA_BYTES // (4 * search.tiles) // BLOCK, 1) * BLOCK
    starts = range(0, len(left), at_once)
    parts = [search.run(first, min(first + at_once, search.height), progress, stage) for first in starts]
    index = np.concatenate([part.index for part in parts])[: len(left)]
    squared = np.concatenate([part.squared_distance for part in parts])[: len(left)]
    return Neighbours(index, squared)


class _Search:
    """One search: the two sides, the bounds, and the two passes over the tiles."""

    def __init__(
        self, left: Images, right: Images, count: int, own: Int64Array | None, watch: Watch | None
    ) -> None:
        self.left, self.right, self.count, self.watch = left, right, count, watch
        self.symmetric = left is right
        self.queries = left.padded()
        self.height = len(self.queries.query)
        right_side = self.queries if self.symmetric else right.padded()
        self.keys = right_side.keys()
        wanted = 2 ** int(np.ceil(np.log2(max(len(right) / _TILES, 1))))
        self.tile = min(max(wanted, 8), BLOCK)
        self.tiles = len(self.keys) // self.tile
        self.tile_error = right_side.error.view(-1, self.tile).amax(1)
        self.tile_norm = right_side.norm.view(-1, self.tile).amax(1)
        self.own = torch.full((self.height,), -1, dtype=torch.int64)
        if own is not None:
            self.own[: len(own)] = torch.from_numpy(own)

    def run(self, first: int, last: int, progress: Progress, stage: str) -> Neighbours:
        """Neighbours of left rows first to last - 1 (whole blocks)."""
        minima = as_integers(torch.full((last - first, self.tiles), FAR, dtype=self.queries.query.dtype))
        mirror = self.symmetric and last - first == self.height

        def sweep(start: int) -> None:
            self._sweep(start, minima[start - first : start - first + BLOCK], minima if mirror else None)

        on_all_cores(sweep, list(range(first, last, BLOCK)), progress, stage)
        starts = range(first, last, BLOCK)
        limits = torch.cat([self._limits(minima[at - first : at - first + BLOCK], at) for at in starts])
        under = (minima <= limits).T.contiguous()

        def look(tile: int) -> tuple[Tensor, Tensor, Tensor]:
            rows = under[tile].nonzero().flatten()
            return self._look(tile, rows + first, limits[rows, tile])

        found = on_all_cores(look, under.any(1).nonzero().flatten().tolist())
        return _merge(found, first, last, self.count)

    def _sweep(self, start: int, minima: Tensor, mirrored: Tensor | None) -> None:
        """Pass 1: tile minima of a block of left rows; where mirrored, of later rows in its tiles too."""
        rows = self.queries.query[start : start + BLOCK]
        product = torch.empty(BLOCK, BLOCK, dtype=rows.dtype)
        own = self.own[start : start + BLOCK]
        with_own = set((own[own >= 0] // BLOCK * BLOCK).tolist())
        for column in range(0 if mirrored is None else start, len(self.keys), BLOCK):
            torch.mm(rows, self.keys[column : column + BLOCK].T, out=product)
            if column in with_own:
                self._hide_own(product, own - column)
            bits = as_integers(product)
            if self.watch is not None:
                self.watch(bits, start, column)
            tiles = slice(column // self.tile, (column + BLOCK) // self.tile)
            minima[:, tiles] = bits.view(BLOCK, -1, self.tile).amin(2)
            if mirrored is not None and column > start:
                own_tiles = slice(start // self.tile, (start + BLOCK) // self.tile)
                mirrored[column : column + BLOCK, own_tiles] = bits.view(-1, self.tile, BLOCK).amin(1).T

    @staticmethod
    def _hide_own(product: Tensor, own: Tensor) -> None:
        """Puts each row's own column out of reach; ``own`` may lie outside the product."""
        inside = ((own >= 0) & (own < product.shape[1])).nonzero().flatten()
        product[inside, own[inside]] = FAR

    def _limits(self, minima: Tensor, start: int) -> Tensor:
        """What the product of a true neighbour cannot exceed in each tile: integers (R, tiles) to the same.

        Each tile minimum bounds one distance from above; the count-th smallest of these bounds is at least
        the distance of the count-th neighbour.
        """
        dtype = self.queries.query.dtype
        rows, unit = slice(start, start + len(minima)), ROUNDING[dtype]
        if self.tiles < self.count:
            return as_integers(torch.full(minima.shape, FAR / 2, dtype=dtype))
        slack = self.queries.product_error(self.queries.norm[rows, None], self.tile_norm)
        reach = self.queries.error[rows, None] + self.tile_error
        product = minima.view(dtype).double().clamp_(min=0.0)
        distance = ((product + slack) * (2 / (1 - unit))).sqrt_() + reach
        farthest = distance.kthvalue(self.count, dim=1, keepdim=True).values
        limit = ((farthest + reach).square_() / 2 + slack) * (1 + 4 * unit)
        return as_integers(limit.clamp_(max=FAR / 2).to(dtype))

    def _look(self, tile: int, rows: Tensor, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pass 2: left row, right row and exact square of the pairs of one tile that lie under the limit."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        column = tile * self.tile
        key = self.keys[column : column + self.tile].T
        for part, limit in zip(rows.split(BLOCK), limits.split(BLOCK), strict=True):
            product = torch.mm(self.queries.query.index_select(0, part), key)
            self._hide_own(product, self.own[part] - column)
            # Comparing and searching tiles is several times as fast in numpy as in torch.
            under = as_integers(product).numpy() <= limit[:, None].numpy()
            if np.count_nonzero(under) > _CROWDED * (self.count + 1) * len(part):
                under &= self._sharper(part, column)
            where, which = (torch.from_numpy(at) for at in np.divmod(np.flatnonzero(under), self.tile))
            where, which = part[where], which + column
            squared = squared_distances(self.left.rows, where, self.right.rows, which)
            if len(where) > _CROWDED * self.count * len(part):
                where, which, squared = _keep_nearest(where, which, squared, self.count)
            found.append((where, which, squared))
        return _joined(found)

    def _sharper(self, rows: Tensor, column: int) -> npt.NDArray[np.bool_]:
        """For crowded tiles, by a float64 product: which pairs may be among the nearest of their row here."""
        keys = self.right.rows[column : column + self.tile]
        squared, error = squared_by_product(self.left.rows.index_select(0, rows), keys, self.left.map.centre)
        self._hide_own(squared, self.own[rows] - column)
        kth = squared.kthvalue(min(self.count, len(keys)), dim=1, keepdim=True).values
        possible = np.zeros((len(rows), self.tile), dtype=np.bool_)
        possible[:, : len(keys)] = (squared <= kth + 2 * error).numpy()
        return possible


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
