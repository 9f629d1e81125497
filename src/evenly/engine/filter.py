"""The low-precision filter: which pairs of rows could possibly be closer than a threshold.

Rows are mapped by a function that never stretches a distance (centre, scale by a power of two, and, where the pool
is flat in some directions, keep the leading principal components and the length of the rest as one more
coordinate), then rounded to bfloat16 or float32. With y the code of x, its rounded image, and e(x) its rounding error,

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

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import Blocks, slices
from evenly.engine.compiled import LOOPS

PIECES = 3
"""bfloat16 pieces that carry a float64 column to 24 bits."""

_TINY = 1e-30
"""Covers what matrix units lose by treating denormal numbers as zero."""


REST_SHARE = 0.02
"""How much of a neighbour's squared distance the left-out directions may hide."""

COMPONENT_SHARE = 0.6
"""Keeping more of the dimensions than this saves less time than turning the rows costs."""

SHORT_ROW = 32
"""Rows shorter than this are multiplied in float32: turning them to bfloat16 gains nothing and blurs them."""

_ROWS_AT_ONCE = 256
"""Rows coded at once on the processor: 384 float64 coordinates of each are 0.8 MB, which stays in a core's cache."""


MOVED_AT_ONCE = 2048
"""Rows of codes that are copied at once when others leave: 1.7 MB of 384 coordinates."""


_LONGEST = 2.0**40
"""Codes longer than this (an anchor far outside the pool) are not filtered: their squares would leave float32."""


def product_dtype(device: torch.device, columns: int) -> torch.dtype:
    """What the device multiplies fastest: bfloat16 where it has matrix units for it and rows are long enough."""
    if device.type == "cpu":
        # These flags have no public name yet; they say what the processor has, unlike the build's configuration.
        fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    else:
        fast = True
    return torch.bfloat16 if fast and columns >= SHORT_ROW else torch.float32


def code_width(columns: int) -> int:
    """Columns of a code of so many coordinates: these, two squares in pieces, and zeros up to what multiplies fast."""
    return -(-(columns + 2 * PIECES) // 32) * 32


@dataclass(frozen=True)
class Codes:
    """Quantised codes of rows: their rounded images.

    Attributes:
        rows: (A, width) filter dtype: m coordinates, six columns that carry the squares of equation (2), zeros.
        squared_norm: (A,) float64, |y|^2 of the m coordinates.
        error: (A,) float64, at least e(x), in units of the map (original distance times `FilterMap.scale`).
        rest: (A,) float64, length of what the leading components leave out; 0 where all are kept.
    """

    rows: Tensor
    squared_norm: Tensor
    error: Tensor
    rest: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        return self.rows.device

    def to(self, device: torch.device) -> Codes:
        """The same on another device; themselves where they are there."""
        return Codes(*(each.to(device) for each in (self.rows, self.squared_norm, self.error, self.rest)))

    @staticmethod
    def empty(count: int, mapping: FilterMap, device: torch.device) -> Codes:
        """Room for ``count`` rows."""
        rows = torch.empty(count, mapping.width, dtype=mapping.dtype, device=device)
        numbers = torch.empty(3, count, dtype=torch.float64, device=device)
        return Codes(rows, *numbers)

    def __getitem__(self, part: slice) -> Codes:
        """A view of consecutive rows."""
        return Codes(self.rows[part], self.squared_norm[part], self.error[part], self.rest[part])

    def take(self, rows: Tensor) -> Codes:
        """A copy of the rows of an int64 index; ``index_select`` copies whole rows, indexing one number at a time."""
        parts = (self.rows, self.squared_norm, self.error, self.rest)
        return Codes(*(each.index_select(0, rows) for each in parts))

    def move(self, source: Tensor, target: Tensor) -> None:
        """Overwrites the rows of an int64 index with those of another that shares none with it."""
        for part in slices(len(source), MOVED_AT_ONCE):
            self[target[part]] = self.take(source[part])

    def __setitem__(self, part: slice | Tensor, codes: Codes) -> None:
        self.rows[part], self.squared_norm[part] = codes.rows, codes.squared_norm
        self.error[part], self.rest[part] = codes.error, codes.rest

    @property
    def filterable(self) -> Tensor:
        """(A,) bool: codes short enough for float32 products."""
        return self.squared_norm < _LONGEST**2


@dataclass(frozen=True)
class FilterMap:
    """The map of equation (1).

    Attributes:
        centre: (d,) float64.
        scale: a power of two that brings all centred rows to length 2 at most.
        basis: (d, c) float64 with orthonormal columns, or None to keep all d coordinates.
        dtype: torch.bfloat16 or torch.float32, the precision of the product.
    """

    centre: Tensor
    scale: float
    basis: Tensor | None
    dtype: torch.dtype

    @property
    def columns(self) -> int:
        """m, coordinates of a code."""
        return len(self.centre) if self.basis is None else self.basis.shape[1] + 1

    @property
    def width(self) -> int:
        """Columns of the product: coordinates, squares in three pieces each, and zeros up to what multiplies fast."""
        return code_width(self.columns)

    @property
    def row_bytes(self) -> int:
        """Bytes of the code of a row."""
        bytes_each: int = self.dtype.itemsize
        return self.width * bytes_each + 3 * 8

    def encode(self, rows: Tensor, blocks: Blocks, device: torch.device | None = None) -> Codes:
        """Codes of (A, d) float32 rows, in blocks that stay in cache. Cost: A d (A d c with a basis).

        Args:
            rows: on the device of the map.
            blocks: how many threads.
            device: where the codes go; None for where the rows are.
        """
        codes = Codes.empty(len(rows), self, device or rows.device)

        def work(block: slice) -> None:
            if codes.device == rows.device:
                self._encode_block(rows[block], codes[block])
                return
            made = Codes.empty(block.stop - block.start, self, rows.device)
            self._encode_block(rows[block], made)
            codes[block] = made

        replace(blocks, rows=_ROWS_AT_ONCE if rows.device.type == "cpu" else blocks.rows).over(
            len(rows), work
        )
        return codes

    def _encode_block(self, rows: Tensor, codes: Codes) -> None:
        """Writes the codes of rows."""
        loops = LOOPS.for_pairs(0) if rows.device.type == "cpu" else None
        if loops is not None and self.basis is None and self.dtype == torch.bfloat16:
            numbers = (codes.rows.view(torch.int16), codes.squared_norm, codes.error)
            given = (rows.numpy(), self.centre.numpy(), self.scale, _TINY)
            loops.encode(*given, *(each.numpy() for each in numbers))
            codes.rest.zero_()
            return
        centred = rows.double()
        centred -= self.centre
        centred *= self.scale
        if self.basis is None:
            image = centred
            codes.rest.zero_()
            slack: Tensor | float = _TINY
        else:
            leading = centred @ self.basis
            squared_length = centred.square_().sum(1)
            codes.rest.copy_((squared_length - leading.square().sum(1)).clamp_(min=0.0).sqrt_())
            image = torch.cat([leading, codes.rest[:, None]], dim=1)
            # A root of a difference of squares: float64 rounding of 1e-13 of the square becomes 1e-6 of the length.
            slack = squared_length.sqrt_() * 1e-6 + _TINY
        codes.rows[:, : self.columns] = image
        codes.rows[:, self.columns :] = 0.0
        rounded = codes.rows[:, : self.columns].double()
        image -= rounded
        codes.error.copy_(image.square_().sum(1).sqrt_() * (1 + 1e-9) + slack)
        codes.squared_norm.copy_(rounded.square_().sum(1))


def worthwhile_components(sample: Tensor) -> int | None:
    """How many leading directions make the filter cheaper without making it blunt; None to keep all coordinates.

    What the leading directions leave out makes distances of codes too short, by about twice the mean square of
    the rest. It should be small beside the distances that decide: those between neighbours.

    Args:
        sample: (S, d) float32 rows, spread over the pool.
    """
    centred = sample - sample.mean(0)
    centred /= largest_coordinate(centred) or 1.0  # squares stay within float32; only ratios matter
    gram = centred.T @ centred if len(sample) > sample.shape[1] else centred @ centred.T
    eigenvalues = torch.linalg.eigvalsh(gram).flip(0).double().clamp_(min=0.0) / len(sample)
    squared_norm = centred.square().sum(1)
    squared = squared_norm[:, None] + squared_norm - 2 * centred @ centred.T
    neighbours = squared.fill_diagonal_(torch.inf).clamp_(min=0.0).amin(1).median()
    left_out = eigenvalues.sum() - eigenvalues.cumsum(0)
    enough = (2 * left_out <= REST_SHARE * float(neighbours)).nonzero()
    components = int(enough[0]) + 1 if len(enough) else sample.shape[1]
    return components if components <= COMPONENT_SHARE * sample.shape[1] else None


def largest_coordinate(rows: Tensor) -> float:
    """The largest absolute number in some rows; half the time of ``abs`` and ``max``."""
    least, most = rows.aminmax()
    return max(float(most), -float(least))


def fit_map(
    sample: Tensor, largest: float, *, dtype: torch.dtype, components: int | None = None
) -> FilterMap:
    """Makes a map; any sample gives a valid one, a representative one gives a fast one.

    Args:
        sample: (S, d) float32 rows.
        largest: the largest absolute coordinate of all rows that will be mapped and compared.
        dtype: precision of the product.
        components: how many leading directions to keep; None keeps the coordinates as they are.
    """
    centred = sample.double()
    centre = centred.mean(0)
    centred -= centre
    longest = 2 * largest * math.sqrt(sample.shape[1])  # no centred row is longer
    scale = 2.0 ** -math.floor(math.log2(longest)) if longest > 0 else 1.0
    basis = None
    if components is not None and components < sample.shape[1]:
        centred *= scale
        basis = _leading_directions(centred, components)
    return FilterMap(centre, scale, basis, dtype)


def _leading_directions(centred: Tensor, components: int) -> Tensor | None:
    """(d, components) float64 orthonormal columns, or None where LAPACK gives up: on rows that are nearly all 0."""
    try:
        _, vectors = torch.linalg.eigh(centred.T @ centred)
    except torch.linalg.LinAlgError:
        return None
    return vectors[:, -components:].flip(1).contiguous()


@dataclass(frozen=True)
class PickSide:
    """The right factor of equation (2), and the largest error, length and rest over its picks.

    Attributes:
        matrix: (width, P') filter dtype; columns beyond the picks pass with no row.
        columns: m.
    """

    matrix: Tensor
    columns: int
    error: float
    norm: float
    rest: float

    @staticmethod
    def of(codes: Codes, columns: int, padded: int = 0) -> PickSide:
        """From the codes of at least one pick, of m columns; all must be filterable. P' is ``padded`` at least."""
        picks = len(codes)
        side = codes.rows.new_empty(max(picks, padded), codes.rows.shape[1])
        side[:picks], side[picks:] = codes.rows, 0.0
        carry(codes.squared_norm * -0.5, side[:picks, columns : columns + PIECES])
        side[:picks, columns + PIECES : columns + 2 * PIECES] = -1.0
        side[picks:, columns] = -_LONGEST  # far below what any row carries
        norm = float(codes.squared_norm.max()) ** 0.5
        return PickSide(side.T, columns, float(codes.error.max()), norm, float(codes.rest.max()))

    def product_error(self, squared_norm: Tensor, threshold: Tensor) -> Tensor:
        """Bound on the error of the product of each row, (A,) float64: see the top of this file."""
        sizes = squared_norm.sqrt() * self.norm + self.norm**2 + threshold.abs()
        return sizes * self.rounding + _TINY

    @property
    def rounding(self) -> float:
        """Bound on the error of a product over the sizes of its terms."""
        return (self.columns + 2 * PIECES) * 2.0**-22

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Largest length, largest error, `rounding` and what denormals add: what the compiled loops take of a side."""
        return self.norm, self.error, self.rounding, _TINY

    def set_thresholds(self, codes: Codes, distance: Tensor) -> Tensor:
        """Writes the row side of equation (2) into ``codes.rows`` and returns what it carries.

        Args:
            codes: of the rows; their six last columns are overwritten.
            distance: (A,) float64, the threshold T of each row in units of the map; finite.

        Returns:
            (A,) float64: (|y_x|^2 - T'^2) / 2, less the error of the product.
        """
        loops = LOOPS.for_pairs(0) if distance.device.type == "cpu" else None
        if loops is not None:
            threshold = torch.empty_like(distance)
            given = (each.numpy() for each in (distance, codes.squared_norm, codes.error))
            carried = as_integers(codes.rows)[:, self.columns : self.columns + 2 * PIECES]
            loops.set_thresholds(
                *given, self.bounds, carried.numpy(), missing_bits(codes.rows), threshold.numpy()
            )
            return threshold
        reach = distance * (1 + 1e-9) + codes.error + self.error
        # No pick is farther than this, so a longer reach passes no more and would only leave float32.
        reach = torch.minimum(reach, 1.01 * (codes.squared_norm.sqrt() + self.norm) + _TINY)
        threshold = (codes.squared_norm - reach.square()) * 0.5
        threshold -= self.product_error(codes.squared_norm, threshold)
        codes.rows[:, self.columns : self.columns + PIECES] = 1.0
        carry(threshold, codes.rows[:, self.columns + PIECES : self.columns + 2 * PIECES])
        return threshold

    def nearest_possible(
        self, product: Tensor, hit: Tensor, codes: Codes, threshold: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The pairs that could be their row's nearest pick.

        The pair with the largest product has an upper bound on its distance,

            |x - p|  <=  sqrt(|y_x - y_p|^2 + 4 rest(x) rest(p)) + e(x) + e(p),

        and a pair whose lower bound (1) is above it cannot be nearest.

        Args:
            product: (R, P) of the filter dtype, the left side of (2).
            hit: (H,) int64, the rows that have a pair that passes.
            codes: of the R rows.
            threshold: (R,) float64, what they carry.

        Returns:
            Index into ``hit`` and pick number of each pair, (M,) int64 both; every row of ``hit`` is there.
        """
        where, which = passing_pairs(product.index_select(0, hit))
        rows = hit[where]
        value = product[rows, which].double()
        best = torch.zeros(len(hit), dtype=torch.float64, device=hit.device)
        best.scatter_reduce_(0, where, value, "amax")
        squared_norm, carried = codes.squared_norm[hit], threshold[hit]
        error = self.product_error(squared_norm, carried)
        # Beside the error of its sum, a bfloat16 product is rounded by up to 2^-8 of its size.
        least_best = best * (1 - 2.0**-8) - error
        squared_reach = squared_norm - 2 * (least_best + carried) + 4 * self.rest * codes.rest[hit]
        reach = squared_reach.clamp_(min=0.0).sqrt_() + 2 * (codes.error[hit] + self.error)
        least = (squared_norm - reach * reach) * 0.5 - carried - error
        possible = value >= torch.minimum(least * (1 - 2.0**-7), best)[where]
        return where[possible], which[possible]


def carry(values: Tensor, columns: Tensor) -> None:
    """Writes (A,) float64 values into (A, PIECES) low-precision columns that add up to them within 2^-24."""
    left = values.clone()
    for piece in range(PIECES):
        columns[:, piece] = left.to(columns.dtype)
        left -= columns[:, piece].double()


def largest_of_rows(product: Tensor) -> Tensor:
    """The largest of each row of a block, (R, P) of the filter dtype to (R,) integers: a row passes from 0 on.

    The bits are read as integers, which have the signs of the numbers; -0.0 counts as negative, which the error
    bound covers. The integer maximum is seven times as fast as the bfloat16 one.
    """
    return as_integers(product).amax(1)


def passing_pairs(product: Tensor, *, above_diagonal: bool = False) -> tuple[Tensor, Tensor]:
    """Pairs of a (R, P) block that pass, in row order: row and column, (M,) int64 each.

    Args:
        product: of the filter dtype.
        above_diagonal: only pairs whose column number is larger than their row number.
    """
    bits = as_integers(product)
    loops = LOOPS.for_pairs(0) if bits.device.type == "cpu" else None
    if loops is not None:
        block = bits.numpy(), above_diagonal
        count = loops.count_passing(*block)
        rows, columns = torch.empty(2, count, dtype=torch.int64)
        loops.passing_pairs(*block, rows.numpy(), columns.numpy())
        return rows, columns
    if bits.device.type == "cpu":  # numpy scans six times as fast
        flat = torch.from_numpy(np.flatnonzero(bits.numpy() >= 0))
        rows = flat // bits.shape[1]
        columns = flat - rows * bits.shape[1]
    else:
        rows, columns = (bits >= 0).nonzero(as_tuple=True)
    if not above_diagonal:
        return rows, columns
    above = rows < columns
    return rows[above], columns[above]


def as_integers(product: Tensor) -> Tensor:
    """The bits of a product: negative where it is negative, and in its order where it is not."""
    return product.view(torch.int16 if product.dtype == torch.bfloat16 else torch.int32)


def missing_bits(numbers: Tensor) -> int:
    """How many low bits of a float32 a filter dtype lacks."""
    return 16 if numbers.dtype == torch.bfloat16 else 0
