"""The filter's rows and thresholds: compiled and by torch the same, and never on the losing side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine.blocks import Blocks
from evenly.engine.compiled import LOOPS
from evenly.engine.filter import (
    Codes,
    FilterMap,
    PickSide,
    fit_map,
    largest_coordinate,
    worthwhile_components,
)
from evenly.engine.pool import largest
from tests.engine.oracle import squared_distances_to
from tests.engine.pools import hard_pools

quick = settings(max_examples=60)


def coded(rows: torch.Tensor, mapping: FilterMap, loops: bool) -> tuple[Codes, PickSide, torch.Tensor]:
    """Codes that carry thresholds, the side of every second row, and the thresholds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LOOPS, "after_pairs", -1 if loops else 10**12)
        codes = mapping.encode(rows, Blocks())
        side = PickSide.of(codes.take(torch.arange(0, len(rows), 2)), mapping.columns)
        distance = (rows.double() - rows[-1].double()).norm(dim=1) * mapping.scale
        return codes, side, side.set_thresholds(codes, distance)


def bfloat16_map(rows: torch.Tensor) -> FilterMap:
    return fit_map(rows, largest_coordinate(rows), dtype=torch.bfloat16)


@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
@quick
@given(rows=hard_pools())
def test_compiled_codes_and_thresholds_are_those_of_torch(rows: np.ndarray) -> None:
    tensor = torch.from_numpy(rows)
    mapping = bfloat16_map(tensor)
    (slow, slow_side, slow_threshold), (fast, fast_side, fast_threshold) = (
        coded(tensor, mapping, loops) for loops in (False, True)
    )
    columns = slice(mapping.columns)
    assert torch.equal(slow.rows[:, columns], fast.rows[:, columns])
    assert torch.equal(slow_side.matrix[columns], fast_side.matrix[columns])
    for one, other in (
        (slow.squared_norm, fast.squared_norm),
        (slow.error, fast.error),
        (slow_threshold, fast_threshold),
    ):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=0)  # sums in another order


@quick
@given(rows=hard_pools(), loops=st.booleans())
def test_no_pair_nearer_than_its_row_allows_is_lost(rows: np.ndarray, loops: bool) -> None:
    tensor = torch.from_numpy(rows)
    for dtype in (torch.bfloat16, torch.float32):
        codes, side, _ = coded(tensor, replace(bfloat16_map(tensor), dtype=dtype), loops)
        passes = (torch.mm(codes.rows, side.matrix) >= 0).numpy()
        allowed = squared_distances_to(rows, rows[-1])
        squared = np.stack([squared_distances_to(rows, pick) for pick in rows[::2]], axis=1)
        assert passes[squared < allowed[:, None] * (1 - 1e-12)].all()


@quick
@given(
    keys=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, np.inf, -np.inf]) | st.floats(-3, 3), max_size=40),
    count=st.integers(0, 50),
)
def test_largest_are_the_first_of_a_stable_sort(keys: list[float], count: int) -> None:
    expected = sorted(range(len(keys)), key=lambda at: (-keys[at], at))[:count]
    assert largest(np.array(keys, dtype=np.float64), count).tolist() == expected


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e18])
def test_the_directions_that_are_kept_do_not_depend_on_the_unit(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(512, 20, generator=generator) @ torch.randn(20, 384, generator=generator)
    assert worthwhile_components(flat * scale) == 20
    assert worthwhile_components(torch.randn(512, 384, generator=generator) * scale) is None
