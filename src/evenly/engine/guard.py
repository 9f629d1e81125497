"""Lonely rows: set aside before picking, or given less weight, by the distance to their k-th neighbour."""

from __future__ import annotations

import math

import numpy as np

from evenly.errors import InputError
from evenly.types import Float64Array, Int64Array

NEIGHBOURS = 10
"""The neighbour whose distance says how lonely a row is: enough that a handful of odd rows still look lonely."""


def lonely_rows(radius: Float64Array, share: float) -> Int64Array:
    """The loneliest rows: (N,) distances to the k-th nearest distinct row, to (floor(share N),) int64 rows.

    The largest distance first, the lowest row number among equals.
    """
    return np.lexsort((np.arange(len(radius)), -radius))[: math.floor(share * len(radius) + 1e-9)]


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


def read_share(text: str, option: str) -> float:
    """A share in [0, 1) from "5%" or "0.05"."""
    try:
        share = float(text[:-1]) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        share = math.nan
    if not 0.0 <= share < 1.0:
        raise InputError(f"{option} must be a share of the rows, e.g. 5% or 0.05; got {text!r}")
    return share
