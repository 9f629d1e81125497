"""The certificate against the true optimum, found by trying every subset."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

from evenly import select
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.measures import Certificate, verify_bound
from evenly.measures.certificate import certificate as certified
from evenly.types import Metric, VectorsLike
from tests.measures.oracle import all_distances, best_h_min, greedy, hard_pools, prepared

POOLS = hard_pools()


def certificate(vectors: VectorsLike, rows: object, *, metric: str = "cosine", **options: Any) -> Certificate:
    return certified(Points.of(vectors, metric), rows, **options)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(10))
def test_no_subset_beats_the_bound(seed: int, metric: Metric) -> None:
    random = np.random.default_rng(seed)
    count, width = int(random.integers(2, 8)), int(random.integers(2, 6))
    vectors = random.normal(size=(11, width)).astype(np.float32)
    if seed % 3 == 0:
        vectors[5] = vectors[6]
    order = greedy(prepared(vectors, metric), count)
    best = best_h_min(all_distances(vectors, metric), count)
    for rounds in (0, 20):
        found = certificate(vectors, order, metric=metric, rounds=rounds)
        assert found.h_min <= best * (1 + 1e-12)
        assert best <= found.upper_bound * (1 + 1e-12)
        assert found.upper_bound <= found.radius_bound * (1 + 1e-12)
        assert found.share_of_best == pytest.approx(found.h_min / found.upper_bound)
        assert found.euclidean_share >= 0.5
        assert all(
            check.passed
            for check in verify_bound(vectors, found.parts, count, found.upper_bound, metric=metric)
        )


@pytest.mark.parametrize("name", ["plain", "tight clusters", "copies", "grid with ties", "a line"])
def test_parts_prove_the_bound(name: str) -> None:
    vectors = POOLS[name][:200]
    for count in (2, 20, 100):
        order = greedy(vectors, count)
        cells = certificate(vectors, order, metric="euclidean", rounds=0)
        lowered = certificate(vectors, order, metric="euclidean")
        assert lowered.upper_bound <= cells.upper_bound
        assert lowered.h_min <= lowered.upper_bound
        checks = verify_bound(vectors, lowered.parts, count, lowered.upper_bound, metric="euclidean")
        assert [check.passed for check in checks] == [True, True]


def test_moving_rows_helps() -> None:
    vectors = np.random.default_rng(0).normal(size=(400, 32))
    order = greedy(vectors, 200)
    cells, lowered = (certificate(vectors, order, metric="euclidean", rounds=rounds) for rounds in (0, 20))
    assert (cells.moves, lowered.moves > 20) == (0, True)
    assert lowered.share_of_best > cells.share_of_best + 0.05


def test_a_part_too_long_to_measure_is_bounded_from_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Certificate.__module__], "_EXACT_ROWS", 100)
    vectors = POOLS["plain"]
    diameter = all_distances(vectors, "euclidean").max()
    found = certificate(vectors, greedy(vectors, 2), metric="euclidean")
    assert diameter <= found.upper_bound <= 1.01 * diameter


def test_the_line() -> None:
    found = certificate([[1.0, 0], [0, 1], [-1, 0], [0, -1], [1, 0.1]], [0, 2, 1])
    text = str(found)
    assert text.startswith("h_min 1 (1 - cos); no selection of 3 rows can exceed ")
    assert "of the best (" in text
    assert found.to_dict()["text"] == text
    assert "parts" not in found.to_dict()


def test_edges() -> None:
    one = certificate(np.eye(3), [2])
    assert (one.h_min, one.upper_bound, one.share_of_best) == (math.inf, math.inf, 1.0)
    equal = certificate(np.ones((5, 2)), [0, 1, 2])
    assert (equal.h_min, equal.upper_bound, equal.share_of_best) == (0.0, 0.0, 1.0)
    everything = certificate(np.eye(6), np.arange(6), metric="euclidean")
    assert everything.share_of_best == 1.0
    few = certificate(np.repeat(np.eye(3), 4, axis=0), [0, 4, 8, 1, 2])
    assert (few.h_min, few.upper_bound) == (0.0, 0.0)
    with pytest.raises(InputError, match="the subset is empty"):
        certificate(np.eye(3), [])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_known_cover_gives_the_same_certificate(metric: str) -> None:
    rows = np.random.default_rng(4).standard_normal((300, 7)).astype(np.float32)
    rows[200:220] = rows[:20]
    selection = select(rows, 120, metric=metric)
    alone = certificate(rows, selection.rows, metric=metric, rounds=3)
    known = certificate(rows, selection.rows, metric=metric, rounds=3, keeper=selection.keeper)
    assert known.to_dict() == alone.to_dict()
    np.testing.assert_array_equal(known.parts, alone.parts)
