"""Exact nearest neighbours and pair counts against all pairs, in both precisions of the product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenly.engine import neighbours
from evenly.engine.codes import Coded
from evenly.engine.neighbours import nearest
from evenly.measures.pairs import PairsWithin
from tests.measures.oracle import as_rows, exact_squares, hard_pools

POOLS = hard_pools()
DTYPES = [torch.bfloat16, torch.float32]


def check_nearest(coded: Coded, left: torch.Tensor, right: torch.Tensor, count: int, *, own: bool) -> None:
    queries, keys = coded.take(left), coded.take(right)
    squared = exact_squares(coded.vectors[left.numpy()], coded.vectors[right.numpy()])
    own_column = None
    if own:
        own_column = np.array([int((right == row).nonzero()[0]) if row in right else -1 for row in left])
        hidden = own_column >= 0
        squared[np.flatnonzero(hidden), own_column[hidden]] = np.inf
        assert hidden.any()
    order = np.lexsort((np.broadcast_to(np.arange(len(right)), squared.shape), squared), axis=1)[:, :count]
    found = nearest(queries, keys, count, own=own_column)
    np.testing.assert_array_equal(found.squared_distance, np.take_along_axis(squared, order, 1))
    reachable = np.isfinite(found.squared_distance)
    np.testing.assert_array_equal(found.index[reachable], order[reachable])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_nearest_is_the_definition(name: str, dtype: torch.dtype) -> None:
    coded = Coded.of(as_rows(POOLS[name]).numpy(), dtype)
    rows = torch.arange(len(coded))
    check_nearest(coded, rows[::3], rows[1::3], 1, own=False)
    check_nearest(coded, rows[::3], rows[:200], 4, own=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["plain", "two blocks", "tight clusters", "grid with ties", "one far row"])
def test_a_set_with_itself_is_the_definition(name: str, dtype: torch.dtype) -> None:
    coded = Coded.of(as_rows(POOLS[name]).numpy(), dtype)
    squared = exact_squares(coded.vectors, coded.vectors)
    np.fill_diagonal(squared, np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(len(coded)), squared.shape), squared), axis=1)[:, :3]
    found = nearest(coded, coded, 3, own=np.arange(len(coded)))
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_array_equal(found.squared_distance, np.take_along_axis(squared, order, 1))


def test_several_blocks_of_minima_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = as_rows(np.random.default_rng(1).normal(size=(2100, 10)))
    coded = Coded.of(rows.numpy())
    whole = nearest(coded, coded, 2, own=np.arange(len(rows)))
    monkeypatch.setattr(neighbours, "SIDE_ROWS", 1024)
    parts = nearest(coded, coded, 2, own=np.arange(len(rows)))
    np.testing.assert_array_equal(whole.index, parts.index)
    np.testing.assert_array_equal(whole.squared_distance, parts.squared_distance)


def test_fewer_rows_than_neighbours_asked_for() -> None:
    coded = Coded.of(as_rows([[0.0, 0], [1, 0], [3, 0]]).numpy())
    found = nearest(coded, coded, 4, own=np.arange(3))
    assert found.index.tolist() == [[1, 2, -1, -1], [0, 2, -1, -1], [1, 0, -1, -1]]
    assert np.isinf(found.squared_distance[:, 2:]).all()


@settings(max_examples=15)
@given(arrays(np.float32, (12, 3), elements=st.floats(-4, 4, width=16)), st.integers(1, 5))
def test_nearest_with_copies_and_ties(vectors: np.ndarray, count: int) -> None:
    coded = Coded.of(as_rows(vectors).numpy())
    check_nearest(coded, torch.arange(12), torch.arange(12), count, own=True)


def counted_within(coded: Coded, limits: np.ndarray, copies: np.ndarray | None = None) -> list[int]:
    counter = PairsWithin(coded, limits, np.ones(len(coded), dtype=np.int64) if copies is None else copies)
    nearest(coded, coded, own=np.arange(len(coded)), watch=counter.watch)
    return counter.counts.tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_pairs_within_is_the_definition(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenly.measures.pairs._CROWDED", 50)
    monkeypatch.setattr("evenly.measures.pairs._PENDING", 100)
    rows = as_rows(POOLS[name][:1100])
    squared = exact_squares(rows, rows)[np.triu_indices(len(rows), 1)]
    limits = np.unique(np.r_[0.0, np.quantile(squared, [0, 0.001, 0.3, 0.9, 1.0], method="lower")])
    counts = counted_within(Coded.of(rows.numpy(), dtype), limits)
    assert counts == [(squared <= limit).sum() for limit in limits]


def test_pairs_within_counts_copies_and_skips_nothing_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SIDE_ROWS", 1024)
    random = np.random.default_rng(2)
    distinct, copies = random.normal(size=(1500, 3)), random.integers(1, 4, 1500)
    rows = as_rows(distinct).numpy()
    squared = exact_squares(rows, rows)
    limits = np.array([0.0, 0.01, 1.0])
    of_pairs = np.triu(np.outer(copies, copies), 1)
    equal = (copies * (copies - 1) // 2).sum()
    expected = [equal + of_pairs[squared <= limit].sum() for limit in limits]
    assert counted_within(Coded.of(rows), limits, copies) == expected
