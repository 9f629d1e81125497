"""The knee: exact on curves whose bend is known, and unmoved by what must not move it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.engine.knee import knee
from evenly.errors import InputError

falling = st.lists(st.integers(0, 10**6).map(lambda number: number / 2**17), min_size=1, max_size=60).map(
    lambda values: sorted(values, reverse=True)
)


def farthest_below_chord(radii: list[float]) -> int:
    """The definition by plain geometry: the point with the largest vertical distance under the chord."""
    (x0, y0), (x1, y1) = (1, radii[0]), (len(radii), radii[-1])
    gaps = [y0 + (y1 - y0) * (k - x0) / (x1 - x0) - radius for k, radius in enumerate(radii, start=1)]
    return gaps.index(max(gaps)) + 1


@pytest.mark.parametrize("bend", [2, 5, 30, 99])
def test_two_straight_pieces_bend_where_they_meet(bend: int) -> None:
    steep = np.linspace(10.0, 1.0, bend)
    flat = np.linspace(1.0, 0.9, 101 - bend + 1)[1:]
    assert knee(np.concatenate([steep, flat])) == bend


@pytest.mark.parametrize(
    "radii", [[3.0], [np.inf], [np.inf, 2.0], [2.0, 2.0, 2.0], [4.0, 3.0, 2.0, 1.0], [3.0, 3.0, 0.0]]
)
def test_without_a_knee_all_picks_stay(radii: list[float]) -> None:
    assert knee(np.array(radii)) == len(radii)


def test_a_first_pick_without_a_radius_counts_as_a_pick() -> None:
    radii = np.array([5.0, 1.0, 0.9, 0.8, 0.7])
    assert knee(radii) == 2
    assert knee(np.concatenate([[np.inf], radii])) == 3


@given(falling)
def test_it_is_the_point_farthest_below_the_chord(radii: list[float]) -> None:
    found = knee(np.array(radii))
    assert 1 <= found <= len(radii)
    if found < len(radii):
        assert radii[found - 1] == pytest.approx(radii[farthest_below_chord(radii) - 1], abs=1e-9 * radii[0])


@given(falling, st.sampled_from([0.125, 2.0, 1024.0]))
def test_the_unit_does_not_matter(radii: list[float], unit: float) -> None:
    assert knee(np.array(radii) * unit) == knee(np.array(radii))


@pytest.mark.parametrize("radii", [[], [[1.0]], [1.0, 2.0], [1.0, np.nan]])
def test_what_is_no_order_is_refused(radii: list[object]) -> None:
    with pytest.raises(InputError, match="radii must"):
        knee(np.array(radii, dtype=np.float64))
