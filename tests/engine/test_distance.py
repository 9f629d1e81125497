"""The distance kernel: one definition, its compiled form, and sums that do not depend on how work is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine import distance
from evenly.engine.compiled import LOOPS
from evenly.errors import InputError
from tests.engine.oracle import halving_sum, unit_rows
from tests.engine.pools import hard_pools

quick = settings(max_examples=40)


def all_pairs(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = np.indices((len(rows), len(rows))).reshape(2, -1)
    return torch.from_numpy(first), torch.from_numpy(second)


@quick
@given(rows=hard_pools(most_rows=20))
def test_squared_distances_are_the_halving_sum_of_differences(rows: np.ndarray) -> None:
    first, second = all_pairs(rows)
    tensor = torch.from_numpy(rows)
    squared = distance.squared_distances(tensor, first, tensor, second).numpy()
    left, right = rows[first.numpy()], rows[second.numpy()]
    difference = left.astype(np.float64) - right.astype(np.float64)
    np.testing.assert_array_equal(squared, halving_sum(difference * difference))
    equal = (left == right).all(axis=1)
    assert ((squared == 0) == equal).all() or np.abs(
        rows
    ).max() < 1e-20  # squares of tiny differences may be 0


@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
@quick
@given(rows=hard_pools(most_rows=20))
def test_the_compiled_kernel_has_the_same_bits(rows: np.ndarray) -> None:
    first, second = all_pairs(rows)
    tensor = torch.from_numpy(rows)
    found = []
    for after in (10**12, -1):  # torch alone, compiled loops from the first pair on
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LOOPS, "after_pairs", after)
            found.append(distance.squared_distances(tensor, first, tensor, second).numpy())
            found.append(distance.squared_distances_to(tensor, tensor[0]).numpy())
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    np.testing.assert_array_equal(found[1], found[0][: len(rows)])


@quick
@given(rows=hard_pools(), data=st.data())
def test_unit_rows_do_not_depend_on_the_block(rows: np.ndarray, data: st.DataObject) -> None:
    if not (rows != 0).any(axis=1).all():
        with pytest.raises(InputError, match=r"row \d+ of the vectors is zero"):
            distance.unit_rows(torch.from_numpy(rows))
        return
    whole = distance.unit_rows(torch.from_numpy(rows)).numpy()
    np.testing.assert_array_equal(whole, unit_rows(rows))
    row = data.draw(st.integers(0, len(rows) - 1))
    np.testing.assert_array_equal(
        distance.unit_rows(torch.from_numpy(rows[row : row + 1])).numpy()[0], whole[row]
    )


@pytest.mark.parametrize("normalised", [distance.unit_rows, torch.nn.functional.normalize])
@pytest.mark.parametrize("columns", [1, 3, 50, 400])
def test_rows_that_are_unit_already_keep_their_bits_and_are_not_copied(normalised: Any, columns: int) -> None:
    rows = normalised(torch.randn(3000, columns, generator=torch.Generator().manual_seed(0)))
    assert distance.unit_rows(rows) is rows


def test_a_row_is_normalised_among_rows_that_are_unit_already() -> None:
    rows = distance.unit_rows(torch.randn(3000, 50, generator=torch.Generator().manual_seed(0)))
    longer = rows.clone()
    longer[2000] *= 3
    np.testing.assert_allclose(distance.unit_rows(longer).numpy(), rows.numpy(), rtol=1e-6)
    assert torch.equal(distance.unit_rows(longer)[:2000], rows[:2000])


def test_block_sums_of_parts_are_those_of_the_whole() -> None:
    rows = torch.randn(5 * distance.ROWS_PER_SUM + 77, 9, generator=torch.Generator().manual_seed(0))
    cut = 2 * distance.ROWS_PER_SUM
    parts = torch.cat([distance.block_sums(rows[:cut]), distance.block_sums(rows[cut:])])
    assert torch.equal(parts, distance.block_sums(rows))
