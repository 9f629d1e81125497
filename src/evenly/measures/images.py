"""Rounded images of rows, laid out so that one low-precision product gives all squared distances.

Images are those of `evenly.selection.filter`: rows centred, scaled by a power of two and rounded. There the six
spare columns carry a threshold, so that a product's sign answers one question; here they carry half the squared
length of each image, so that the product of a query row with a key row is half the squared distance of their
images: a number that is never negative but for rounding. Then its bits read as an integer have the order of the
number, and an integer minimum over a tile is several times as fast as a bfloat16 one. (Bits of negative numbers
have the opposite order; what rounding leaves below 0 counts as 0.)

With y the image of x and e(x) its rounding error, the true distance lies within e(x) + e(z) of |y_x - y_z|;
the product's own error is bounded by `Images.product_error`, and its last rounding by one unit in the last
place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import torch
from torch import Tensor

from evenly.selection.filter import PIECES, FilterMap, fit_map, product_dtype
from evenly.selection.tiles import Tiles, available_cores, default_tiles
from evenly.types import Progress, silent

BLOCK = 1024
"""Rows on each side of a product; 1024 x 1024 bfloat16 fills a core's second-level cache."""

FAR = 2.0**100
"""Product of a row with padding or with itself: beyond everything, and no overflow in either precision."""

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-23}
"""One whole unit in the last place: twice what rounding to nearest needs, enough for truncation too."""

_SAMPLE_ROWS = 4096
_TINY = 1e-30  # covers what matrix units lose by treating denormal numbers as zero

T = TypeVar("T")
R = TypeVar("R")


def on_all_cores(
    work: Callable[[T], R], tasks: Sequence[T], progress: Progress = silent, stage: str = ""
) -> list[R]:
    """Results of ``work`` over tasks, in their order, one single-threaded task per core at a time."""
    done = count(1)

    def one(part: slice) -> R:
        result = work(tasks[part.start])
        progress(stage, next(done), len(tasks))
        return result

    return Tiles(rows=1, threads=available_cores()).over(len(tasks), one)


@dataclass(frozen=True, eq=False)
class Images:
    """Rows and their images.

    Attributes:
        rows: (A, d) float32 on the CPU.
        map: how the images were made; it keeps all d columns.
        query: (A, w) filter dtype. Columns: the image, three pieces of half its square, three ones, zeros.
        error: (A,) float64, rounding error of each image as a distance, in units of the image.
        norm: (A,) float64, length of each image.
    """

    rows: Tensor
    map: FilterMap
    query: Tensor
    error: Tensor
    norm: Tensor

    @staticmethod
    def of(rows: Tensor, dtype: torch.dtype | None = None) -> Images:
        """Images of (A, d) float32 rows; ``dtype`` None decides by processor and d. Cost: A d."""
        columns = rows.shape[1]
        least, most = rows.aminmax()
        image = fit_map(
            rows[:: max(1, len(rows) // _SAMPLE_ROWS)],
            max(float(most), -float(least)),
            dtype=dtype or product_dtype(rows.device, columns),
        )
        codes = image.encode(rows, default_tiles(rows.device))
        squares, ones = _spare_columns(columns)
        half = codes.squared_norm / 2
        for piece in range(squares.start, squares.stop):
            codes.rows[:, piece] = half.to(image.dtype)
            half -= codes.rows[:, piece].double()
        codes.rows[:, ones] = 1.0
        return Images(rows, image, codes.rows, codes.error, codes.squared_norm.sqrt())

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Images:
        """The images of some rows, (M,) int64, under the same map."""
        parts = (self.query, self.error, self.norm)
        return Images(
            self.rows.index_select(0, index), self.map, *(part.index_select(0, index) for part in parts)
        )

    def padded(self) -> Images:
        """The same with rows added up to whole blocks, `FAR` from everything as queries and as keys."""
        missing = -len(self) % BLOCK
        query = torch.nn.functional.pad(self.query, (0, 0, 0, missing))
        query[len(self) :, self.rows.shape[1]] = FAR
        error, norm = (torch.nn.functional.pad(numbers, (0, missing)) for numbers in (self.error, self.norm))
        return Images(self.rows, self.map, query, error, norm)

    def keys(self) -> Tensor:
        """The right factor, from padded images, (A', w): minus the image, three ones, the pieces."""
        columns = self.rows.shape[1]
        squares, ones = _spare_columns(columns)
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
