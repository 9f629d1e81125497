"""The order of rows within a run, and arms as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.train.arms import Arm, load_arms, save_arms
from evenly.train.order import sorted_within_steps, step_rows


@settings(max_examples=50)
@given(rows=st.integers(1, 40), batch=st.integers(1, 12), steps=st.integers(1, 30), seed=st.integers(0, 99))
def test_shuffled_epochs_hold_every_row_once(rows: int, batch: int, steps: int, seed: int) -> None:
    order = step_rows(rows, batch, steps, seed).ravel()
    for start in range(0, len(order), rows):
        epoch = order[start : start + rows]
        assert len(np.unique(epoch)) == len(epoch)
    longer = step_rows(rows, batch, steps + 3, seed).ravel()
    np.testing.assert_array_equal(longer[: len(order)], order)


def test_order_walks_the_arm_and_growing_walks_prefixes() -> None:
    assert step_rows(5, 2, 4, 0, "order").ravel().tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    growing = step_rows(80, 4, 40, 0, "growing")
    for stage in range(4):
        part = growing[10 * stage : 10 * (stage + 1)]
        assert part.max() < 20 * (stage + 1)


def test_sorting_within_steps_keeps_the_steps() -> None:
    positions = step_rows(30, 6, 9, 3)
    lengths = np.random.default_rng(0).integers(1, 100, 30)
    ordered = sorted_within_steps(positions, lengths)
    np.testing.assert_array_equal(np.sort(ordered, axis=1), np.sort(positions, axis=1))
    assert (np.diff(lengths[ordered], axis=1) <= 0).all()


def test_arms_keep_their_order_and_cost(tmp_path: Path) -> None:
    arms = [Arm("full", 0, np.array([4, 1, 3])), Arm("uniform", 1, np.array([3, 0]), 1.25)]
    save_arms(arms, tmp_path / "arms.parquet")
    again = load_arms(tmp_path / "arms.parquet")
    assert [(arm.name, arm.seed, arm.rows.tolist(), arm.cost_seconds) for arm in again] == [
        ("full", 0, [4, 1, 3], 0.0),
        ("uniform", 1, [3, 0], 1.25),
    ]


def test_arms_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"arm uniform \(seed 2\) is empty"):
        Arm("uniform", 2, np.array([], dtype=np.int64))
    with pytest.raises(InputError, match="names a row twice"):
        Arm("random", 0, np.array([1, 1]))
    with pytest.raises(InputError, match="small letters"):
        Arm("../x", 0, np.array([1]))
    with pytest.raises(InputError, match="holds no arms"):
        load_arms(tmp_path / "none.parquet")
