"""ZCA whitening: the mean of a pool's vectors is removed, and all their directions get the same spread.

    z = (x - mean) C^(-1/2),  C = cov(x) + e I

Hidden states share one direction, and a few others hold most of what is left, so that plain distances see little else
(W. Timkey and M. van Schijndel, "All bark and no bite", 2021; J. Su et al., "Whitening sentence representations",
2103.15316; of all square roots ZCA's moves vectors least, A. Kessy et al., 2018).
"""

from __future__ import annotations

import numpy as np

from evenly.engine.mapped import release
from evenly.errors import InputError
from evenly.types import Float32Array, Float64Array
from evenly.vectors.kind import Fitted

SEED = 0
"""Of the sample."""

MOST_ROWS = 20_000
"""Rows that the spread is estimated on: beyond, directions of a few thousand dimensions hardly move."""

ROWS_FOR_A_NUMBER = 10
"""With so many rows for each number of a vector a variance of 1 is estimated between 0.5 and 1.7 in every direction
(Marchenko and Pastur); with about as many as numbers, between nothing and 4, and distances become noise."""

ROWS_AT_ONCE = 4096

SHRINKAGE = 1e-3
"""e, as a share of the mean variance of a direction: keeps directions of rounding alone from being blown up."""


class Whitening(Fitted):
    """A fitted whitening.

    Args:
        mean: (d,) float64, what is removed.
        root: (d, d) float64, symmetric: what is multiplied with.
        note: what a user should know.
    """

    def __init__(self, mean: Float64Array, root: Float64Array, note: str) -> None:
        self.mean, self.root, self.note = mean, root, note

    def apply(self, vectors: Float32Array) -> None:
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            block = vectors[start : start + ROWS_AT_ONCE]
            padded = np.zeros(
                (ROWS_AT_ONCE, len(self.mean))
            )  # one shape: a row's bits do not depend on its block
            padded[: len(block)] = block - self.mean
            block[:] = _product(padded, self.root)[: len(block)]
            release(vectors)


def whitening_of(vectors: Float32Array) -> Whitening:
    """Fits the whitening of a pool: on all of its vectors, or on a random sample of a large one.

    Args:
        vectors: (N, d).

    Raises:
        InputError: N is not above d: all rows would come out equally far from one another.
    """
    count, dim = vectors.shape
    if count <= dim:
        raise InputError(
            f"`whiten` needs more rows than the {dim} numbers of a vector, and the pool has {count}; leave it out, or "
            f"project to fewer first (`dim`)"
        )
    rows = np.arange(count)
    if count > MOST_ROWS:
        rows = np.sort(np.random.default_rng(SEED).permutation(count)[:MOST_ROWS])
    sample = np.asarray(vectors[rows], dtype=np.float64)
    mean = sample.mean(axis=0)
    length = float(np.sqrt((sample**2).sum(axis=1).mean()))
    sample -= mean
    spread = _product(np.ascontiguousarray(sample.T), sample) / len(sample)
    values, directions = _directions(spread)
    floor = SHRINKAGE * float(values.mean())
    if not floor > 0:
        raise InputError("`whiten` finds all vectors of the pool equal; leave it out")
    root = _product(directions / np.sqrt(values.clip(min=0) + floor), np.ascontiguousarray(directions.T))
    share = float(np.linalg.norm(mean)) / length
    on = (
        f"on {len(rows):,} random rows (seed {SEED})"
        if count > MOST_ROWS
        else f"on the pool's {count:,} rows"
    )
    note = f"whitened {on}; their mean, {share:.0%} of a vector's length, is removed"
    if len(rows) < ROWS_FOR_A_NUMBER * dim:
        note += (
            f"; that is few for {dim} numbers, and evens distances out: whiten more rows, or project first"
        )
    return Whitening(mean, root, note)


def _product(left: Float64Array, right: Float64Array) -> Float64Array:
    """A matrix product on one thread: its last bits are to be the same whatever the number of cores."""
    import torch

    from evenly.engine.blocks import steady_torch

    with steady_torch():
        return np.asarray((torch.from_numpy(left) @ torch.from_numpy(right)).numpy())


def _directions(spread: Float64Array) -> tuple[Float64Array, Float64Array]:
    import torch

    from evenly.engine.blocks import steady_torch

    with steady_torch():
        values, directions = torch.linalg.eigh(torch.from_numpy(spread))
    return np.asarray(values.numpy()), np.asarray(directions.numpy())
