"""Rows that lack neighbours within a limit: none is lost, and few others are left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenly.engine import within
from evenly.engine.codes import Coded
from evenly.engine.within import rows_beyond
from tests.measures.oracle import as_rows, exact_squares, hard_pools
from tests.measures.test_neighbours import DTYPES

POOLS = hard_pools()


@pytest.mark.parametrize("sides", [2**17, 1024])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_no_row_is_lost(name: str, dtype: torch.dtype, sides: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row that has fewer keys strictly nearer than the limit is left, whatever the limit."""
    monkeypatch.setattr(within, "SIDE_ROWS", sides)
    rows = as_rows(POOLS[name])
    coded = Coded.of(rows.numpy(), dtype)
    at = np.arange(0, len(rows), 3)
    squared = exact_squares(rows, rows[at])
    for limit in np.sqrt(np.quantile(squared, [0, 0.01, 0.5, 1.0], method="lower")):
        for enough in (1, 4):
            left = rows_beyond(coded, coded.take(torch.from_numpy(at)), float(limit), enough)
            lacking = np.flatnonzero((squared < limit**2).sum(axis=1) < enough)
            assert (np.diff(left) > 0).all()
            assert set(lacking.tolist()) <= set(left.tolist())


def test_most_rows_are_proven() -> None:
    random = np.random.default_rng(4)
    crowd, lonely = random.normal(size=(1800, 40)) * 0.1, random.normal(size=(200, 40)) * 3
    coded = Coded.of(as_rows(np.vstack([crowd, lonely])).numpy())
    assert rows_beyond(coded, coded, 2.0, 6).tolist() == list(range(1800, 2000))
