"""What the lower blocks of a model that was cut give for every token, read from disk as batches want it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evenly.types import Int64Array


@dataclass(frozen=True, eq=False)
class LowerStates:
    """What the lower part of a model gives for every token of every row.

    Attributes:
        states: (tokens, d) float32, or bfloat16 as uint16; mapped from a file.
        starts: (N + 1,) int64: row i has the states starts[i] … starts[i + 1] - 1.
    """

    states: np.ndarray
    starts: Int64Array

    def batch(self, rows: Sequence[int] | Int64Array, width: int) -> torch.Tensor:
        """(B, width, d), filled up with zeros on the right."""
        kind = torch.bfloat16 if self.states.dtype == np.uint16 else torch.float32
        found = torch.zeros(len(rows), width, self.states.shape[1], dtype=kind)
        for place, row in enumerate(rows):
            own = torch.from_numpy(np.array(self.states[self.starts[row] : self.starts[row + 1]]))
            found[place, : len(own)] = own.view(kind)
        return found
