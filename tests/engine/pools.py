"""Hard pools: what fast paths get wrong first."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


@st.composite
def hard_pools(draw: st.DrawFn, most_rows: int = 120, most_dimensions: int = 400) -> np.ndarray:
    """(N, d) float32 pools with duplicates, ties, constant columns, offsets, tiny and huge scales."""
    number = draw(st.integers(1, most_rows))
    dimension = draw(st.one_of(st.integers(1, 8), st.integers(1, most_dimensions)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(
        st.sampled_from(["normal", "grid", "negative", "offset", "tiny", "huge", "clusters", "line", "signs"])
    )
    rows = rng.standard_normal((number, dimension))
    if kind == "grid":
        rows = rng.integers(-2, 3, (number, dimension)).astype(float)
    elif kind == "negative":
        # Every similarity is negative for a few directions and their opposites, around no common centre.
        rows = np.eye(dimension)[rng.integers(0, dimension, number)] * rng.choice([-1.0, 1.0], (number, 1))
    elif kind == "offset":
        rows = rows + 1e4
    elif kind == "tiny":
        rows = rows * 1e-30
    elif kind == "huge":
        rows = rows * 1e25
    elif kind == "clusters":
        rows = rows * 1e-3 + rng.standard_normal((3, dimension))[rng.integers(0, 3, number)]
    elif kind == "line":
        rows = np.outer(np.linspace(-1, 1, number), np.ones(dimension))
    elif kind == "signs":
        rows = np.sign(rows)
    pool = rows.astype(np.float32)
    if draw(st.booleans()) and number > 1:
        copies = rng.integers(0, number, number // 3)
        pool[copies] = pool[rng.integers(0, number, len(copies))]
    if draw(st.booleans()):
        pool[:, rng.integers(0, dimension)] = 0.5
    return pool
