"""Quantised codes for neighbour searches: one low-precision product of them gives all squared distances.

Codes are those of `evenly.engine.filter`: rows centred, scaled by a power of two and rounded. There the six
spare columns carry a threshold, so that a product's sign answers one question; here they carry half the squared
length of each code, so that the product of a query row with a key row is half the squared distance of their
codes: a number that is never negative but for rounding. Then its bits read as an integer have the order of the
number, and an integer minimum over a block is several times as fast as a bfloat16 one. (Bits of negative numbers
have the opposite order; what rounding leaves below 0 counts as 0.)

These codes keep all d columns and those of the filter leave some out where they can, so neither serves both: by the
filter, covering 50,000 rows of 384 numbers with 25,000 others takes half the time of a search by these, and its
codes, whose products answer one threshold each, do not tell the k nearest apart.

With y the code of x and e(x) its rounding error, the true distance lies within e(x) + e(z) of |y_x - y_z|;
the product's own error is bounded by `Coded.product_error`. Its last rounding, to the filter's precision, costs
nothing where it is held against a limit: rounding keeps order, whichever way it goes, so what is not below a number
of that precision is not rounded below it. See `surely_below` and `surely_within`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from evenly.engine.blocks import default_blocks, over_rows
from evenly.engine.filter import (
    PIECES,
    FilterMap,
    as_integers,
    carry,
    fit_map,
    largest_coordinate,
    product_dtype,
)
from evenly.engine.mapped import is_mapped, release, tensor_of
from evenly.types import Float32Array

BLOCK = 1024
"""Rows on each side of a product; 1024 x 1024 bfloat16 fills a core's second-level cache."""

SIDE_ROWS = 2**17
"""Rows of each side of a product whose codes are in memory at once."""

FAR = 2.0**100
"""Product of a row with padding or with itself: beyond everything, and no overflow in either precision."""

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-23}
"""One whole unit in the last place: twice what rounding to nearest needs, enough for truncation too."""

_SAMPLE_ROWS = 4096
"""Rows whose mean is the centre of the map: any centre is valid, and one near the mean keeps codes short."""

_TINY = 1e-30  # covers what matrix units lose by treating denormal numbers as zero


@dataclass(frozen=True, eq=False)
class Coded:
    """Rows of a pool, and the map of their codes.

    Codes are made where they are needed: see `Coded.codes`. Those of up to `SIDE_ROWS` rows in memory are kept.

    Attributes:
        vectors: (N, d) float32, the pool; where it is a mapped file, memory is given back after each block.
        rows: the same memory as a tensor.
        map: how codes are made; it keeps all d columns.
        index: (A,) int64, pool row numbers of these rows; None for the whole pool.
        kept: the codes of the whole pool once they are made, shared by all its parts.
    """

    vectors: Float32Array
    rows: Tensor
    map: FilterMap
    index: Tensor | None = None
    kept: list[SearchCodes] = field(default_factory=list)

    @staticmethod
    def of(vectors: Float32Array, dtype: torch.dtype | None = None) -> Coded:
        """Of (N, d) float32 rows; ``dtype`` None decides by processor and d. Cost: N d."""
        rows = tensor_of(vectors)

        def largest_of(block: slice) -> float:
            largest = largest_coordinate(rows[block])
            release(vectors)
            return largest

        largest = max(over_rows(len(rows), largest_of), default=0.0)
        sample = rows[:: max(1, len(rows) // _SAMPLE_ROWS)].clone()
        release(vectors)
        mapping = fit_map(sample, largest, dtype=dtype or product_dtype(rows.device, rows.shape[1]))
        return Coded(vectors, rows, mapping)

    def __len__(self) -> int:
        return len(self.rows) if self.index is None else len(self.index)

    def take(self, index: Tensor) -> Coded:
        """Some of these rows, (M,) int64, under the same map; nothing is copied."""
        return replace(self, index=self.pool_rows(index))

    def pool_rows(self, index: Tensor) -> Tensor:
        """Pool row numbers of some of these rows, (M,) int64 both."""
        return index if self.index is None else self.index[index]

    def gather(self, part: slice) -> Tensor:
        """(A', d) float32, consecutive ones of these rows."""
        return self.rows[part] if self.index is None else self.rows.index_select(0, self.index[part])

    def codes(self, part: slice) -> SearchCodes:
        """Codes of consecutive rows, padded to whole blocks. Cost: A' d."""
        if len(self.rows) > SIDE_ROWS or is_mapped(self.vectors):
            return self._encoded(part)
        if not self.kept:
            self.kept.append(replace(self, index=None)._encoded(slice(0, len(self.rows))))
        whole = self.kept[0]
        if self.index is None and part == slice(0, len(self.rows)):
            return whole
        return whole.take(torch.arange(part.start, part.stop) if self.index is None else self.index[part])

    def _encoded(self, part: slice) -> SearchCodes:
        made = SearchCodes.empty(part.stop - part.start, self.map)
        squares, ones = _spare_columns(self.map.columns)

        def work(block: slice) -> None:
            rows = self.gather(slice(part.start + block.start, part.start + block.stop))
            codes = self.map.encode(rows, default_blocks(rows.device))
            release(self.vectors)
            torch.neg(codes.rows, out=made.key[block])
            made.key[block, squares] = 1.0
            carry(codes.squared_norm / 2, made.key[block, ones])
            made.error[block], made.norm[block] = codes.error, codes.squared_norm.sqrt()

        over_rows(part.stop - part.start, work)
        return made

    def product_error(self, norm: Tensor, key_norm: Tensor) -> Tensor:
        """Bound on the error of adding up a product: width * 2^-22 * the sizes of its terms.

        Four times the textbook bound, because matrix units may truncate.

        Args:
            norm: lengths of query codes, float64.
            key_norm: lengths of key codes, of a shape that broadcasts with it.
        """
        sizes = (norm + key_norm).square() / 2
        return sizes * (self.map.width * 2.0**-22) + _TINY


@dataclass(frozen=True, eq=False)
class SearchCodes:
    """Codes of rows as the two sides of a product; rows that pad them to whole blocks are `FAR` from everything.

    Attributes:
        key: (A', w) filter dtype, the right side. Columns: minus the code, three ones, three pieces of half its
            square, zeros.
        error: (A',) float64, rounding error of each code as a distance, in units of the map.
        norm: (A',) float64, length of each code.
        map: that made the codes.
    """

    key: Tensor
    error: Tensor
    norm: Tensor
    map: FilterMap

    @staticmethod
    def empty(count: int, mapping: FilterMap) -> SearchCodes:
        """Room for so many rows, and rows that pad them to whole blocks."""
        height = -(-count // BLOCK) * BLOCK
        key = torch.empty(height, mapping.width, dtype=mapping.dtype)
        error, norm = torch.empty(2, height, dtype=torch.float64)
        padding = slice(count, height)
        squares, ones = _spare_columns(mapping.columns)
        key[padding], error[padding], norm[padding] = 0.0, 0.0, 0.0
        key[padding, squares], key[padding, ones.start] = 1.0, FAR
        return SearchCodes(key, error, norm, mapping)

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: Tensor) -> SearchCodes:
        """Some of the rows, (M,) int64, padded to whole blocks."""
        taken = SearchCodes.empty(len(index), self.map)

        def work(block: slice) -> None:
            for here, there in ((self.key, taken.key), (self.error, taken.error), (self.norm, taken.norm)):
                torch.index_select(here, 0, index[block], out=there[block])

        over_rows(len(index), work)
        return taken

    def query(self, index: Tensor | slice, less: Tensor | None = None) -> Tensor:
        """The left side, (M, w): the code, the pieces, the ones.

        With ``less``, (M,) float64, the product is less by so much.
        """
        key = self.key[index]
        query = key.neg() if isinstance(index, slice) else key.neg_()  # a slice is no copy
        squares, ones = _spare_columns(self.map.columns)
        query[:, squares] = query[:, ones].neg()
        query[:, ones] = 1.0
        if less is not None:
            carry(self.norm[index].square() / 2 - less, query[:, squares])
        return query


def surely_below(limit: Tensor, dtype: torch.dtype) -> Tensor:
    """Integers that exceed the bits of a product of ``dtype`` only if it was below the float64 limit."""
    rounded = limit.to(dtype)
    bits = as_integers(rounded) - (rounded > limit).to(torch.int8)
    # What rounding leaves below 0 counts as 0, and is below no such limit.
    return torch.where(limit > 0, bits, torch.iinfo(bits.dtype).min)


def surely_within(limit: Tensor, dtype: torch.dtype) -> Tensor:
    """Integers that the bits of no product of ``dtype`` exceed that was at most the float64 limit, 0 or more."""
    rounded = limit.to(dtype)
    return as_integers(rounded) + (rounded < limit).to(torch.int8)


def squared_by_product(left: Tensor, right: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances by a float64 product, and what they may be wrong by.

    Args:
        left: (A, d) float32.
        right: (B, d) float32.
        centre: (d,) float64, a point near both.

    Returns:
        (A, B) and (A, 1) float64.
    """
    near, far = left.double() - centre, right.double() - centre
    near_square, far_square = near.square().sum(1, keepdim=True), far.square().sum(1)
    squared = near_square + far_square - 2 * (near @ far.T)
    sizes = (near_square.sqrt() + far_square.max().sqrt()).square()
    return squared, sizes * (near.shape[1] + 8) * 2.0**-51


def _spare_columns(columns: int) -> tuple[slice, slice]:
    """Where a query of so many columns has the pieces of its square, and its ones."""
    return slice(columns, columns + PIECES), slice(columns + PIECES, columns + 2 * PIECES)
