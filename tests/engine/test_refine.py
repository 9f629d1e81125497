"""Refining against brute force on small pools."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evenly.engine.greedy import select_prepared
from evenly.engine.points import Points
from evenly.engine.refine import independent_set, near_pairs, refine
from tests.engine.oracle import squared_distances_to


def all_pairs(rows: np.ndarray) -> np.ndarray:
    return np.stack([squared_distances_to(rows, row) for row in rows])


@pytest.mark.parametrize("seed", range(12))
def test_never_worse_than_greedy_never_better_than_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((13, 2)).astype(np.float32)
    if seed % 3 == 0:
        rows[10:] = rows[:3]
    squared, count = all_pairs(rows), 4 + seed % 4
    best = max(
        min(squared[i, j] for i, j in itertools.combinations(chosen, 2))
        for chosen in itertools.combinations(range(13), count)
    )
    greedy = select_prepared(Points(rows, "euclidean"), count)
    found = refine(Points(rows, "euclidean"), greedy)
    assert greedy.h_min <= found.h_min <= np.sqrt(best)
    assert len(set(found.rows.tolist())) == count
    assert found.h_min == np.sqrt(
        min(squared[i, j] for i, j in itertools.combinations(found.rows.tolist(), 2))
    )


def test_it_gains_on_a_plain_cloud() -> None:
    rows = np.random.default_rng(0).standard_normal((600, 4)).astype(np.float32)
    points = Points(rows, "euclidean")
    greedy = select_prepared(points, 200)
    assert refine(points, greedy).h_min > 1.02 * greedy.h_min


@pytest.mark.parametrize("seed", range(5))
def test_independent_sets_are_independent_and_maximal(seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((150, 3)).astype(np.float32)
    squared = all_pairs(rows)
    limit = float(np.quantile(squared, 0.1))
    pairs = near_pairs(Points(rows, "euclidean"), limit * 1.2)
    assert len(pairs.first) == (np.triu(squared, 1)[np.triu_indices(150, 1)] < limit * 1.2).sum()
    chosen = independent_set(pairs, limit, 150, 150)
    inside = squared[np.ix_(chosen, chosen)] + np.eye(len(chosen)) * limit
    assert inside.min() >= limit
    left = np.setdiff1d(np.arange(150), chosen)
    assert (squared[np.ix_(left, chosen)].min(axis=1) < limit).all()
