"""The low-precision filter: which pairs of rows could possibly be closer than a threshold.

Rows are mapped by a function that never stretches a distance (centre, scale by a power of two, and, where the pool
is flat in some directions, keep the leading principal components and the length of the rest as one more
coordinate), then rounded to bfloat16 or float32. With y the rounded image of x and e(x) its rounding error,

    |x - p|  >=  |y_x - y_p| - e(x) - e(p)                                                        (1)

so a pair can be closer than T only if |y_x - y_p| < T' := T + e(x) + max e(p), that is, if

    <y_x, y_p> - |y_p|^2 / 2 - (|y_x|^2 - T'^2) / 2  >  0.                                         (2)

The two squares travel in the same product as extra columns, each as three bfloat16 pieces, so one matrix product
gives the left side of (2) for all pairs, and only its *sign* is needed: rounding the product to bfloat16 cannot
change a sign, and reading the bits as integers is right for signs where it would not be for sizes. What remains is
the error of adding in float32, bounded by (number of columns) * 2^-22 * (sum of the sizes of the terms): four times
the textbook bound, because matrix units may truncate. It is added on the safe side. So the filter may pass a pair
that does not matter, and never loses one that does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PIECES = 3
"""bfloat16 pieces that carry a float64 column to 24 bits."""

_TINY = 1e-30
"""Covers what matrix units lose by treating denormal numbers as zero."""


@dataclass(frozen=True)
class Codes:
    """Rounded images of rows.

    Attributes:
        rows: (A, m + 6) filter dtype; the last columns carry the squares of equation (2).
        squared_norm: (A,) float64, |y|^2 of the m image columns.
        error: (A,) float64, at least e(x), in units of the map (original distance times `FilterMap.scale`).
        rest: (A,) float64, length of what the leading components leave out; 0 where all are kept.
    """

    rows: Tensor
    squared_norm: Tensor
    error: Tensor
    rest: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Codes:
        """The codes of some of the rows, (M,) int64."""
        return Codes(
            self.rows.index_select(0, index),
            self.squared_norm.index_select(0, index),
            self.error.index_select(0, index),
            self.rest.index_select(0, index),
        )


@dataclass(frozen=True)
class FilterMap:
    """The map of equation (1).

    Attributes:
        centre: (d,) float64.
        scale: a power of two that brings the longest centred row to length about 1.
        basis: (d, c) float64 with orthonormal columns, or None to keep all d coordinates.
        dtype: torch.bfloat16 or torch.float32, the precision of the product.
    """

    centre: Tensor
    scale: float
    basis: Tensor | None
    dtype: torch.dtype

    @property
    def columns(self) -> int:
        """m, image columns."""
        return len(self.centre) if self.basis is None else self.basis.shape[1] + 1

    @property
    def width(self) -> int:
        """Columns of the product: the image and the carried squares, padded to what matrix units like."""
        return self.columns + 2 * PIECES

    def encode(self, rows: Tensor) -> Codes:
        """Images of (A, d) float32 rows. Cost: A d (A d c with a basis)."""
        centred = (rows.double() - self.centre) * self.scale
        if self.basis is None:
            image, rest = centred, torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
            slack = 0.0
        else:
            leading = centred @ self.basis
            left_out = centred.square().sum(1) - leading.square().sum(1)
            rest = left_out.clamp_(min=0.0).sqrt_()
            image = torch.cat([leading, rest[:, None]], dim=1)
            # sqrt of a difference of squares near 1: float64 rounding of 1e-13 becomes at most 1e-6.
            slack = 1e-6
        codes = torch.zeros(len(rows), self.width, dtype=self.dtype, device=rows.device)
        codes[:, : self.columns] = image.to(self.dtype)
        rounded = codes[:, : self.columns].double()
        error = (image - rounded).square_().sum(1).sqrt_() * (1 + 1e-9) + (slack + _TINY)
        return Codes(codes, rounded.square_().sum(1), error, rest)


def fit_map(sample: Tensor, longest: float, centre: Tensor, dtype: torch.dtype, components: int | None) -> FilterMap:
    """Makes a map; any sample gives a valid one, a representative one gives a fast one.

    Args:
        sample: (S, d) float32 rows to find the leading directions of.
        longest: at least roughly the length of the longest centred row.
        centre: (d,) float64.
        dtype: precision of the product.
        components: how many leading directions to keep; None keeps the coordinates as they are.
    """
    exponent = 0 if longest <= 0 or not np.isfinite(longest) else -int(np.floor(np.log2(longest)))
    scale = float(2.0 ** min(max(exponent, -1000), 1000))
    basis = None
    if components is not None and components < sample.shape[1]:
        centred = (sample.double() - centre) * scale
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        basis = vectors[:, -components:].flip(1).contiguous()
    return FilterMap(centre, scale, basis, dtype)


def carry(values: Tensor, columns: Tensor) -> None:
    """Writes (A,) float64 values into (A, PIECES) low-precision columns that add up to them within 2^-24."""
    left = values.clone()
    for piece in range(PIECES):
        columns[:, piece] = left.to(columns.dtype)
        left -= columns[:, piece].double()


def pick_side(codes: Codes, columns: int) -> Tensor:
    """The right factor of equation (2): images of the picks with their squares, (P, m + 6)."""
    side = codes.rows.clone()
    carry(codes.squared_norm * -0.5, side[:, columns : columns + PIECES])
    side[:, columns + PIECES :] = -1.0
    return side


@dataclass(frozen=True)
class PickBounds:
    """What equation (2) needs to know of a set of picks: largest error, length and rest over all of them."""

    error: float
    norm: float
    rest: float

    @staticmethod
    def of(codes: Codes) -> PickBounds:
        return PickBounds(
            float(codes.error.max()), float(codes.squared_norm.max().sqrt()), float(codes.rest.max())
        )


def set_thresholds(codes: Codes, columns: int, distance: Tensor, picks: PickBounds) -> Tensor:
    """Writes the row side of equation (2) into ``codes.rows`` and returns what was carried.

    Args:
        codes: row images; the six last columns are overwritten.
        columns: m.
        distance: (A,) float64, the threshold T of each row in units of the map; finite.
        picks: bounds of the picks that the rows will be multiplied with.

    Returns:
        (A,) float64: the carried threshold (|y_x|^2 - T'^2) / 2 less the slack for adding in float32.
    """
    reach = distance * (1 + 1e-9) + codes.error + picks.error
    threshold = (codes.squared_norm - reach.square()) * 0.5
    threshold -= product_slack(codes, columns, threshold, picks)
    codes.rows[:, columns : columns + PIECES] = 1.0
    carry(threshold, codes.rows[:, columns + PIECES :])
    return threshold


def product_slack(codes: Codes, columns: int, threshold: Tensor, picks: PickBounds) -> Tensor:
    """Bound on the error of the product: columns * 2^-22 * the sizes of its terms, (A,) float64."""
    norm = codes.squared_norm.sqrt()
    sizes = norm * picks.norm + picks.norm**2 + threshold.abs()
    return sizes * ((columns + 2 * PIECES) * 2.0**-22) + _TINY


def passes(product: Tensor) -> Tensor:
    """Which rows of a tile have any pair that passes: (R, P) of the filter dtype to (k,) int64 row indices.

    Reads the bits as integers, whose signs are the signs of the numbers; -0.0 counts as negative, which the slack
    covers. The integer maximum is seven times as fast as the bfloat16 one.
    """
    integers = product.view(torch.int16 if product.dtype == torch.bfloat16 else torch.int32)
    return (integers.amax(1) >= 0).nonzero().flatten()
