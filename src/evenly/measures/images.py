"""Rounded images of rows, laid out so that one low-precision product gives all squared distances.

Rows are centred and scaled by a power of two, then rounded to bfloat16 or float32. Half the squared length of
each image travels in extra columns, as three low-precision pieces, so the product of a query row with a key
row is half the squared distance of their images: a number that is never negative but for rounding. Then its
bits read as an integer have the order of the number, and an integer minimum over a tile is several times as
fast as a bfloat16 one. (Bits of negative numbers have the opposite order; what rounding leaves below 0 counts
as 0.)

With y the image of x and e(x) its rounding error, the true distance lies within e(x) + e(z) of |y_x - y_z|;
the product's own error is bounded by `Images.product_error`, and its last rounding by one unit in the last
place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from evenly.types import Progress, silent

BLOCK = 1024
"""Rows on each side of a product; 1024 x 1024 bfloat16 fills a core's second-level cache."""

FAR = 2.0**100
"""Product of a row with padding or with itself: beyond everything, and no overflow in either precision."""

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-23}
"""One whole unit in the last place: twice what rounding to nearest needs, enough for truncation too."""

_PIECES = 3
_TINY = 1e-30  # covers what matrix units lose by treating denormal numbers as zero

T = TypeVar("T")
R = TypeVar("R")


def on_all_cores(
    work: Callable[[T], R], tasks: list[T], progress: Progress = silent, stage: str = ""
) -> list[R]:
    """Results of ``work`` over tasks, in their order, one single-threaded task per core at a time."""
    if len(tasks) == 1:
        results = [work(tasks[0])]
        progress(stage, 1, 1)
        return results
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    results = []
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for result in workers.map(work, tasks):
            results.append(result)
            progress(stage, len(results), len(tasks))
    return results


def filter_dtype(columns: int) -> torch.dtype:
    """bfloat16 where the processor multiplies it in hardware and rows are long enough to gain, or float32."""
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast and columns >= 64 else torch.float32


def integers(product: Tensor) -> Tensor:
    """The bits of numbers as integers, which have the order of the numbers where these are not negative."""
    return product.view(torch.int16 if product.dtype == torch.bfloat16 else torch.int32)


@dataclass(frozen=True)
class Isometry:
    """Centres rows and scales them, keeping all ratios of distances.

    Attributes:
        centre: (d,) float64.
        scale: a power of two, units of the image per unit of distance; the longest row gets a length near 1.
        dtype: what the images are rounded to.
    """

    centre: Tensor
    scale: float
    dtype: torch.dtype

    def __call__(self, rows: Tensor) -> Tensor:
        """(A, d) float32 to (A, d) float64, not yet rounded to ``dtype``."""
        return (rows.double() - self.centre) * self.scale

    def squared_distances(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances by a float64 product, and what they may be wrong by.

        Args:
            left: (A, d) float32.
            right: (B, d) float32.

        Returns:
            (A, B) and (A, 1) float64, both in units of the image.
        """
        near, far = self(left), self(right)
        near_square, far_square = near.square().sum(1, keepdim=True), far.square().sum(1)
        squared = near_square + far_square - 2 * (near @ far.T)
        sizes = (near_square.sqrt() + far_square.max().sqrt()).square()
        return squared, sizes * (near.shape[1] + 8) * 2.0**-51


@dataclass(frozen=True, eq=False)
class Images:
    """Rows and their images.

    Attributes:
        rows: (A, d) float32 on the CPU.
        isometry: how the images were made.
        query: (A, w) filter dtype. Columns: the image, three pieces of half its square, three ones, zeros.
        error: (A,) float64, rounding error of each image as a distance, in units of the image.
        norm: (A,) float64, length of each image.
    """

    rows: Tensor
    isometry: Isometry
    query: Tensor
    error: Tensor
    norm: Tensor

    @staticmethod
    def of(rows: Tensor, dtype: torch.dtype | None = None) -> Images:
        """Images of (A, d) float32 rows; ``dtype`` None decides by processor and d. Cost: A d."""
        count, columns = rows.shape
        starts = list(range(0, count, BLOCK))

        def block(start: int) -> Tensor:
            return rows[start : start + BLOCK].double()

        centre = torch.stack(on_all_cores(lambda start: block(start).sum(0), starts)).sum(0) / count
        longest = max(
            on_all_cores(lambda start: float((block(start) - centre).square_().sum(1).max()) ** 0.5, starts)
        )
        scale = 2.0 ** -math.floor(math.log2(longest)) if longest > 0 else 1.0
        isometry = Isometry(centre, scale, dtype or filter_dtype(columns))
        query = torch.zeros(count, -(-(columns + 2 * _PIECES) // 16) * 16, dtype=isometry.dtype)
        error, norm = torch.empty(count, dtype=torch.float64), torch.empty(count, dtype=torch.float64)

        def encode(start: int) -> None:
            part = slice(start, min(start + BLOCK, count))
            exact = isometry(rows[part])
            query[part, :columns] = exact
            rounded = query[part, :columns].double()
            squared_norm = rounded.square().sum(1)
            query[part, columns : columns + _PIECES] = _pieces(squared_norm / 2, isometry.dtype)
            query[part, columns + _PIECES : columns + 2 * _PIECES] = 1.0
            error[part] = (exact - rounded).square_().sum(1).sqrt_() * (1 + 1e-9) + _TINY
            norm[part] = squared_norm.sqrt_()

        on_all_cores(encode, starts)
        return Images(rows, isometry, query, error, norm)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Images:
        """The images of some rows, (M,) int64, under the same isometry."""
        return Images(
            self.rows.index_select(0, index),
            self.isometry,
            self.query.index_select(0, index),
            self.error.index_select(0, index),
            self.norm.index_select(0, index),
        )

    def padded(self) -> Images:
        """The same with rows added up to whole blocks, `FAR` from everything as queries and as keys."""
        missing = -len(self) % BLOCK
        query = torch.nn.functional.pad(self.query, (0, 0, 0, missing))
        query[len(self) :, self.rows.shape[1]] = FAR
        error, norm = (torch.nn.functional.pad(numbers, (0, missing)) for numbers in (self.error, self.norm))
        return Images(self.rows, self.isometry, query, error, norm)

    def keys(self) -> Tensor:
        """The right factor, from padded images, (A', w): minus the image, three ones, the pieces."""
        columns = self.rows.shape[1]
        squares, ones = slice(columns, columns + _PIECES), slice(columns + _PIECES, columns + 2 * _PIECES)
        keys = self.query.clone()
        keys[:, :columns].neg_()
        keys[:, ones] = self.query[:, squares]
        keys[:, squares] = 1.0
        keys[len(self) :, squares.start] = FAR
        return keys

    def product_error(self, norm: Tensor, key_norm: Tensor) -> Tensor:
        """Bound on the error of adding up a product: width * 2^-22 * the sizes of its terms.

        Four times the textbook bound, because matrix units may truncate.

        Args:
            norm: lengths of query images, float64.
            key_norm: lengths of key images, of a shape that broadcasts with it.
        """
        sizes = (norm + key_norm).square() / 2
        return sizes * (self.query.shape[1] * 2.0**-22) + _TINY


def _pieces(values: Tensor, dtype: torch.dtype) -> Tensor:
    """(A,) float64 as (A, 3) low-precision numbers that add up to them within 2^-24."""
    pieces = []
    for _ in range(_PIECES):
        pieces.append(values.to(dtype))
        values = values - pieces[-1].double()
    return torch.stack(pieces, dim=1)
