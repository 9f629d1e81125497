"""The limits that bits of rounded products are held against, and coded that are made once for all parts of a pool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenly.engine.codes import BLOCK, Coded, surely_below, surely_within
from evenly.engine.filter import as_integers

DTYPES = [torch.bfloat16, torch.float32]
numbers = st.floats(0, 1e6)


def rounded_both_ways(product: float, dtype: torch.dtype) -> list[int]:
    """Bits of what a product may be rounded to: the numbers of the precision that it lies between, or is."""
    nearest = torch.tensor([product], dtype=torch.float64).to(dtype)
    bits = int(as_integers(nearest))
    if float(nearest) == product:
        return [bits]
    return [bits - 1, bits] if float(nearest) > product else [bits, bits + 1]


@pytest.mark.parametrize("dtype", DTYPES)
@given(limit=numbers, product=numbers, near=st.floats(-0.01, 0.01))
def test_rounding_never_crosses_a_limit(
    dtype: torch.dtype, limit: float, product: float, near: float
) -> None:
    at = torch.tensor([limit], dtype=torch.float64)
    below, within = int(surely_below(at, dtype)), int(surely_within(at, dtype))
    for value in (product, limit, abs(limit * (1 + near))):
        for bits in rounded_both_ways(value, dtype):
            if bits < below:
                assert value < limit
            if value <= limit:
                assert bits <= within


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limit", [0.0, -1e-9, -5.0])
def test_nothing_is_surely_below_a_limit_that_the_error_drowns(dtype: torch.dtype, limit: float) -> None:
    below = surely_below(torch.tensor([limit], dtype=torch.float64), dtype)
    for product in (-1.0, -1e-20, 0.0, 1e-20):
        assert int(as_integers(torch.tensor([product], dtype=dtype))) >= int(below)


def test_codes_kept_for_the_pool_are_those_made_for_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(BLOCK + 300, 48)).astype(np.float32)
    index = torch.from_numpy(np.random.default_rng(1).choice(len(vectors), 700, replace=False))
    kept = Coded.of(vectors).take(index)
    part = kept.codes(slice(100, 650))
    monkeypatch.setattr("evenly.engine.codes.SIDE_ROWS", 10)
    anew = Coded.of(vectors).take(index).codes(slice(100, 650))
    assert kept.kept
    assert len(part) == BLOCK
    for name in ("key", "error", "norm"):
        torch.testing.assert_close(getattr(part, name), getattr(anew, name), rtol=1e-12, atol=0)
