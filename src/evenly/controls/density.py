"""``density``: picks that follow the pool's density, more or less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenly.controls.control import EXCLUDED, Control, refuse
from evenly.request import option
from evenly.types import Float64Array

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared


@dataclass(frozen=True)
class Density(Control):
    """A dial from picks as far apart as possible to picks as dense as the pool."""

    group = EXCLUDED
    reordering = ("density",)

    density: float = option(
        0.0,
        "A dial from 0, as far apart as possible, to 1, as dense as the pool.",
        label="Density dial, 0 to 1",
    )

    def check(self, choice: Choice) -> None:
        refuse(
            not 0 <= self.density <= 1,
            f"`density` is a dial from 0 (farthest) to 1 (as dense as the pool); got {self.density}",
        )

    def constrain(self, prepared: Prepared) -> None:
        prepared.weigh(density_weights(prepared.pool.neighbour_radius, self.density))


def density_weights(radius: Float64Array, dial: float) -> Float64Array:
    """Weights that make spread follow density: (N,) radius to the power -dial, the largest 1.

    With weight times distance as priority, picks lie about weight^-1 apart. The k-th neighbour of a row of a
    density rho in m dimensions is about rho^(-1/m) away, so at dial 1 the picks are as dense as the pool (a
    representative set), at dial 0 as far apart as possible, and in between they are in between. Variable-density
    Poisson-disk sampling, made greedy; the dial is ours.

    Args:
        radius: (N,) float64, Euclidean distance to the k-th nearest distinct row, above 0.
        dial: 0 to 1.
    """
    return np.asarray((radius.min() / radius) ** dial)
