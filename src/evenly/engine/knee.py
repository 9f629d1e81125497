"""The knee of h_min(k): the size from which keeping more rows costs little distance per row."""

from __future__ import annotations

import numpy as np

from evenly.errors import InputError
from evenly.types import Float64Array


def knee(radii: Float64Array) -> int:
    """Finds the number of picks at which h_min(k) bends: steep before it, flat after it.

    The curve through the points (k, radius of pick k) is scaled to the unit square; the knee is its point
    farthest below the chord from its first point to its last (Satopää et al. 2011, "Finding a 'Kneedle' in a
    Haystack", without smoothing: a greedy order never increases, so there is no noise to smooth away). A few
    outliers open every max-min order with large radii; the knee is where they end and the bulk begins.

    Args:
        radii: (k,) float64, never increasing, in any unit; leading infinities (a first pick without
            anchors) are no points of the curve but count as picks.

    Returns:
        A count 1 <= count <= k: the first count picks reach to the knee. k itself where the curve never lies
        below its chord (a straight line, equal radii, fewer than three finite radii): there is no knee, so
        nothing speaks for stopping early.

    Raises:
        InputError: no radii, or radii that increase or hold NaN.
    """
    given = np.asarray(radii, dtype=np.float64)
    if given.ndim != 1 or given.size == 0:
        raise InputError(f"radii must be a list of at least one number; got shape {given.shape}")
    if np.isnan(given).any() or (given[1:] > given[:-1]).any():
        raise InputError("radii must never increase along the order and must not hold NaN")
    first = int(np.isinf(given).sum())
    heights = given[first:]
    if heights.size < 3 or heights[0] == heights[-1]:
        return len(given)
    across = np.linspace(0.0, 1.0, heights.size)
    up = (heights - heights[-1]) / (heights[0] - heights[-1])
    below_chord = 1.0 - across - up
    lowest = int(np.argmax(below_chord))
    if below_chord[lowest] <= 1e-9:  # rounding on a straight line is no knee
        return len(given)
    return first + lowest + 1
