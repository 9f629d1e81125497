"""Random projections by signs, which keep distances: dense ones, and ones that add each number up once.

Both keep squared distances on average, and one of them with a relative standard deviation of at most sqrt(2 / D)
(D. Achlioptas, "Database-friendly random projections", 2003; the sums are the count sketch of M. Charikar, K. Chen and
M. Farach-Colton, 2002, whose variance for a given pair of vectors is that of the dense projection).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from evenly.engine.placing import free_memory
from evenly.errors import InputError
from evenly.words import size

SEED = 0
"""Of all projections: vectors of two runs are to be comparable, and nobody gains by another seed."""


def check_fits(needed: int, dim: int) -> None:
    """Refuses a projection that is larger than memory.

    Args:
        needed: its bytes.
        dim: D.

    Raises:
        InputError: says how large it is, and what is free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"the projection to {dim:,} numbers takes {size(needed)} and {size(free)} are free; lower `dim`"
        )


def dense_signs(numbers: int, dim: int) -> torch.Tensor:
    """(numbers, dim) float32, entries ± 1 / sqrt(dim): x @ signs is the projection of x.

    Raises:
        InputError: it is larger than memory.
    """
    check_fits(12 * numbers * dim, dim)  # as it is made: signs in one byte, as float64, as float32
    signs = np.random.default_rng(SEED).integers(0, 2, (numbers, dim), dtype=np.int8)
    return torch.from_numpy((2.0 * signs - 1.0).astype(np.float32) / math.sqrt(dim))


class Sketch:
    """A sketch of a part of a long vector: each of its numbers is added, with a random sign, to one of D sums.

    The sums of a part are shared out evenly, so that two of its numbers meet no more often than by chance.

    Args:
        numbers: n, how many the part has.
        dim: D.
        part: which part it is; parts are drawn apart from one another.
    """

    def __init__(self, numbers: int, dim: int, part: int) -> None:
        generator = np.random.default_rng([SEED, part])
        self._dim, self._filled = dim, -(-numbers // dim) * dim
        signs = 2.0 * generator.integers(0, 2, numbers, dtype=np.int8) - 1.0
        self.order = torch.from_numpy(generator.permutation(self._filled))
        self.signs = torch.from_numpy(signs.astype(np.float32))

    @staticmethod
    def bytes(numbers: int, dim: int) -> int:
        """Memory that one would hold."""
        return 8 * -(-numbers // dim) * dim + 4 * numbers

    @property
    def held(self) -> int:
        """Memory that it holds, in bytes."""
        return self.bytes(len(self.signs), self._dim)

    def to(self, device: torch.device) -> Sketch:
        """The same on a device."""
        self.order, self.signs = self.order.to(device), self.signs.to(device)
        return self

    def add(self, numbers: torch.Tensor, sums: torch.Tensor) -> None:
        """Adds (R, n) numbers of R vectors to their (R, D) sums, in place."""
        signed = torch.nn.functional.pad(numbers * self.signs, (0, self._filled - numbers.shape[1]))
        sums += signed[:, self.order].view(len(sums), -1, self._dim).sum(dim=1)


def distortion(dim: int) -> str:
    """How far projected distances lie from the true ones, in words: 1.96 standard deviations, halved for the root."""
    return f"distances within {1.96 * math.sqrt(2 / dim) / 2:.1%} for 95 in 100 pairs"
