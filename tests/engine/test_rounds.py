"""A round of the greedy loop: compiled and plain the same, and the textbook's picks as far as the round goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine.compiled import LOOPS
from evenly.engine.loop import Rule, greedy_round
from evenly.engine.pool import Candidates, largest
from tests.engine.oracle import squared_distances_to
from tests.engine.pools import hard_pools


@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
@settings(max_examples=80)
@given(rows=hard_pools(), offered=st.integers(1, 60), most=st.integers(1, 60))
def test_a_compiled_round_picks_what_the_plain_one_and_the_textbook_pick(
    rows: np.ndarray, offered: int, most: int
) -> None:
    squared = squared_distances_to(rows, rows[0])
    order = largest(squared, len(rows))
    order = order[squared[order] > 0]
    if not len(order):
        return
    chosen = order[:offered]
    rest = (float(squared[order[offered]]), int(order[offered])) if len(order) > offered else None
    candidates = Candidates(chosen, squared[chosen], torch.from_numpy(rows[chosen]), rest)
    rounds = []
    for after in (10**12, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LOOPS, "after_pairs", after)
            rounds.append(greedy_round(candidates, most, Rule()))
    (picks, radii, pairs), (compiled_picks, compiled_radii, compiled_pairs) = rounds
    assert compiled_picks.tolist() == picks.tolist()
    assert (compiled_radii, compiled_pairs) == (radii, pairs)
    for pick, radius in zip(chosen[picks].tolist(), radii, strict=True):
        assert (pick, radius) == (int(np.argmax(squared)), squared.max())
        squared = np.minimum(squared, squared_distances_to(rows, rows[pick]))
