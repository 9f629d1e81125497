"""Which rows equal which, number by number."""

from __future__ import annotations

import numpy as np

from evenly.engine.blocks import ROWS_AT_ONCE, over_rows
from evenly.engine.mapped import release
from evenly.types import Float32Array, Int64Array


def first_equal_rows(vectors: Float32Array) -> Int64Array:
    """For every row the lowest row that equals it, itself included: (N, d) float32 to (N,) int64.

    0 and -0 are equal. Rows with a sum of their bits that no other row has are distinct; the rest are
    compared number by number. Memory: 25 bytes a row.
    """
    weights = np.random.default_rng(0).integers(2**64, size=vectors.shape[1], dtype=np.uint64) | np.uint64(1)
    sums = np.empty(len(vectors), dtype=np.uint64)

    def add_up(block: slice) -> None:
        bits = (vectors[block] + np.float32(0.0)).view(np.uint32)
        sums[block] = np.einsum("rc,c->r", bits, weights)
        release(vectors)

    over_rows(len(vectors), add_up)
    order = np.argsort(sums, kind="stable")
    sums = sums[order]
    first_equal = np.arange(len(vectors), dtype=np.int64)
    leaders: list[int] = []  # the distinct rows among those with the sum at hand, nearly always one
    last = -1
    for at in (np.flatnonzero(sums[1:] == sums[:-1]) + 1).tolist():
        row = int(order[at])
        if at != last + 1:
            leaders = [int(order[at - 1])]
        first_equal[row] = next(
            (lead for lead in leaders if np.array_equal(vectors[row], vectors[lead])), row
        )
        if first_equal[row] == row:
            leaders.append(row)
        last = at
        if at % ROWS_AT_ONCE == 0:
            release(vectors)
    release(vectors)
    return first_equal
