"""The distance to the k-th distinct neighbour, and the loneliest rows by it, against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine import loneliest as module
from evenly.engine import within
from evenly.engine.loneliest import loneliest, neighbour_radius
from evenly.engine.points import Points
from tests.measures.oracle import as_rows, exact_squares, hard_pools

POOLS = hard_pools()


def radius_by_definition(vectors: np.ndarray, neighbours: int) -> np.ndarray:
    rows = as_rows(vectors)
    distinct = as_rows(np.unique(rows.numpy(), axis=0))
    if len(distinct) == 1:
        return np.ones(len(rows))
    squared = np.sort(exact_squares(rows, distinct), axis=1)  # the row itself comes first, at 0
    return np.asarray(np.sqrt(squared[:, min(neighbours, len(distinct) - 1)]))


def check_loneliest(vectors: np.ndarray, share: float, neighbours: int) -> None:
    radius = radius_by_definition(vectors, neighbours)
    order = np.lexsort((np.arange(len(radius)), -radius))[: int(share * len(radius) + 1e-9)]
    rows, found = loneliest(Points.of(vectors, "euclidean"), share, neighbours)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(found, radius[order])


@pytest.mark.parametrize("name", POOLS)
def test_neighbour_radius_is_the_definition(name: str) -> None:
    found = neighbour_radius(Points.of(POOLS[name], "euclidean"), 3)
    np.testing.assert_array_equal(found, radius_by_definition(POOLS[name], 3))


@pytest.mark.parametrize("sides", [2**17, 1024])
@pytest.mark.parametrize("name", POOLS)
def test_the_loneliest_are_the_definition(name: str, sides: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 40)
    monkeypatch.setattr(within, "SIDE_ROWS", sides)
    for share in (0.0, 0.1, 0.6):
        check_loneliest(POOLS[name], share, 3)


@pytest.mark.parametrize("limit", [0.0, 1e-6, 2.0, 5.0, 1e6])
def test_any_guess_of_the_limit_gives_the_same_rows(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_likely_limit", lambda *_: limit)
    pool = np.random.default_rng(3).normal(size=(1500, 8)) * np.linspace(0.2, 2, 1500)[:, None]
    check_loneliest(pool, 0.05, 10)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0, 0.99))
def test_loneliest_with_copies_and_ties(seed: int, neighbours: int, share: float) -> None:
    vectors = np.random.default_rng(seed).integers(-2, 3, size=(60, 2)) / 2
    check_loneliest(vectors, share, neighbours)
