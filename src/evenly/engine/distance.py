"""Exact distances: float64 sums whose bits depend on the rows alone.

Library reductions add in an order that depends on processor, thread count and block size. Here every sum runs
through one fixed halving tree of elementwise operations, which IEEE 754 defines to the last bit, so a distance is
the same number on every machine and device. It costs about as much as reading the rows once in float64, which is
affordable because few exact distances are ever needed (see `evenly.engine.filter`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from evenly.engine.compiled import LOOPS
from evenly.errors import InputError

PAIRS_AT_ONCE = 512
"""Pairs per step of `squared_distances`: 512 x 384 float64 differences stay in a core's second-level cache."""

ROWS_PER_SUM = 1024
"""Rows per block of the mean. Part of the definition of the start: another value may move its last bits."""

UNIT_WITHIN = 2.0**-21
"""How far from 1 the squared length of a row may be that counts as normalised: two units in float32's last place."""

_NARROW = 24
"""Below so many columns the tree goes on along long rows of the transpose: short rows leave most of a step to the
overhead of the call."""


def tree_sum(values: Tensor) -> Tensor:
    """Sums the last axis by halving: the upper half is added to the lower until one column is left.

    Args:
        values: (M, d) float64, overwritten.

    Returns:
        (M,) float64. Bits depend on the values and d alone. Cost: d additions a row.
    """
    width = values.shape[1]
    while width > _NARROW:
        half = (width + 1) // 2
        values[:, : width - half] += values[:, half:width]
        width = half
    # The same tree on the transpose: long rows of M instead of short ones of width.
    return tree_sum_rows(values[:, :width].t().contiguous())


def tree_sum_rows(values: Tensor) -> Tensor:
    """Sums the first axis by the same halving tree.

    Args:
        values: (M, d) float64, overwritten.

    Returns:
        (d,) float64.
    """
    height = values.shape[0]
    while height > 1:
        half = (height + 1) // 2
        values[: height - half] += values[half:height]
        height = half
    return values[0].clone()


def squared_distances(left: Tensor, left_index: Tensor, right: Tensor, right_index: Tensor) -> Tensor:
    """Exact squared Euclidean distances of pairs of rows.

    Args:
        left: (A, d) float32.
        left_index: (M,) int64, which row of ``left`` each pair takes.
        right: (B, d) float32.
        right_index: (M,) int64, which row of ``right`` each pair takes.

    Returns:
        (M,) float64: the sum of squared differences, by the halving tree. Exactly 0 for equal rows.
        Cost: M d; memory: 512 pairs at a time.
    """
    squared = torch.empty(len(left_index), dtype=torch.float64, device=left.device)
    loops = LOOPS.for_pairs(len(left_index)) if left.device.type == "cpu" else None
    if loops is not None:
        given = (left, left_index, right, right_index, squared)
        loops.squared_distances(*(each.numpy() for each in given))
        return squared
    for start in range(0, len(left_index), PAIRS_AT_ONCE):
        pairs = slice(start, start + PAIRS_AT_ONCE)
        difference = left.index_select(0, left_index[pairs]).double()
        difference -= right.index_select(0, right_index[pairs])
        difference *= difference
        squared[pairs] = tree_sum(difference)
    return squared


def squared_distances_to(rows: Tensor, point: Tensor) -> Tensor:
    """Exact squared distances of all rows to one point: (A, d) float32 and (d,) float32 give (A,) float64."""
    if rows.device.type == "cpu" and LOOPS.for_pairs(0) is not None:
        every = torch.arange(len(rows))
        return squared_distances(rows, every, point[None], torch.zeros_like(every))
    squared = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        difference = rows[start : start + PAIRS_AT_ONCE].double()
        difference -= point
        difference *= difference
        squared[start : start + PAIRS_AT_ONCE] = tree_sum(difference)
    return squared


def unit_rows(rows: Tensor, *, first_row: int = 0) -> Tensor:
    """Rows divided by their length, rounded once to float32: what metric ``cosine`` measures distances of.

    A row whose length is 1 already, as far as float32 arithmetic makes it so, stays as it is. So a row that was
    normalised before keeps its bits, and a pool of such rows needs no copy.

    Args:
        rows: (A, d) float32.
        first_row: pool row number of the first, for the message.

    Returns:
        (A, d) float32; ``rows`` itself where no row changes.

    Raises:
        InputError: a row is zero and has no direction.
    """
    unit = rows
    for start in range(0, len(rows), ROWS_PER_SUM):
        block = rows[start : start + ROWS_PER_SUM].double()
        squared_length = tree_sum(block * block)
        unit_already = (squared_length - 1).abs() <= UNIT_WITHIN
        if unit is rows and bool(unit_already.all()):
            continue
        if not bool(squared_length.all()):
            row = first_row + start + int((squared_length == 0).nonzero()[0])
            raise InputError(
                f"row {row} of the vectors is zero and has no direction under the cosine metric; "
                "remove it or use `metric=euclidean`"
            )
        block /= torch.where(unit_already, 1.0, squared_length.sqrt())[:, None]
        if unit is rows:
            unit = torch.empty_like(rows)
            unit[:start] = rows[:start]
        unit[start : start + ROWS_PER_SUM] = block
    return unit


def block_sums(rows: Tensor) -> Tensor:
    """Sums of consecutive blocks of `ROWS_PER_SUM` rows: (A, d) float32 to (blocks, d) float64.

    Parts of a pool that begin at multiples of `ROWS_PER_SUM` give the same sums as the whole, in pieces.
    """
    starts = range(0, len(rows), ROWS_PER_SUM)
    return torch.stack([tree_sum_rows(rows[start : start + ROWS_PER_SUM].double()) for start in starts])


def mean_from_block_sums(sums: Tensor, count: int) -> Tensor:
    """The mean of a pool, rounded to float32: (blocks, d) float64 and N give (d,) float32."""
    return (tree_sum_rows(sums.clone()) / count).float()
