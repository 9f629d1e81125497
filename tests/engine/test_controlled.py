"""The controlled order against a textbook loop that applies every control one pick at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.engine.budgets import affordable
from evenly.engine.constraints import Constraints
from evenly.engine.greedy import select_prepared
from evenly.engine.memory import MemoryPool
from evenly.engine.orders import cover_in_order
from evenly.engine.points import Points
from evenly.engine.quotas import Quotas
from evenly.errors import InputError
from tests.engine.controlled_oracle import open_groups, part_that_is_next, textbook_under
from tests.engine.invariants import mixtures_of
from tests.engine.invariants import relaxed as invariant_settings
from tests.engine.oracle import squared_distances_to
from tests.engine.pools import hard_pools

relaxed = settings(invariant_settings, max_examples=12)


def textbook(
    rows: np.ndarray, count: int, controls: Constraints, start: int | None
) -> tuple[list[int], list[float]]:
    anchors = controls.anchors.vectors if controls.anchors is not None else None
    return textbook_under(rows, count, controls, start, anchors)


@st.composite
def controls_of(draw: st.DrawFn, rows: np.ndarray) -> Constraints:
    number = len(rows)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = float(np.median(np.sqrt(squared_distances_to(rows, rows[0])))) or 1.0
    kind = draw(st.sampled_from(["distance", "weights", "within", "sequence"]))
    costs = rng.integers(1, 20, number) if draw(st.booleans()) else None
    return Constraints(
        eligible=rng.random(number) < 0.8 if draw(st.booleans()) else None,
        anchors=Points(rows[rng.integers(0, number, 2)], "euclidean") if draw(st.booleans()) else None,
        weights=rng.uniform(0.2, 1.0, number) if kind == "weights" else None,
        quality=rng.integers(0, 4, number).astype(float) if kind == "within" else None,
        within=scale * draw(st.sampled_from([0.05, 0.5, 5.0])) if kind == "within" else 0.0,
        sequence=rng.integers(0, number, number) if kind == "sequence" else None,
        least_distance=scale * 0.3 if draw(st.booleans()) else 0.0,
        mixture=draw(mixtures_of(number)) if kind != "sequence" and draw(st.booleans()) else None,
        costs=costs,
        budget=float(draw(st.integers(20, 400))) if costs is not None else np.inf,
    )


class TestAgainstTheTextbook:
    @relaxed
    @given(rows=hard_pools(most_dimensions=20), data=st.data())
    def test_picks_and_radii_in_any_combination(self, rows: np.ndarray, data: st.DataObject) -> None:
        controls = data.draw(controls_of(rows))
        count = data.draw(st.integers(1, len(rows)))
        possible = (
            np.flatnonzero(controls.eligible) if controls.eligible is not None else np.arange(len(rows))
        )
        if controls.mixture is not None:
            possible = possible[controls.mixture.group[possible] == part_that_is_next(controls.mixture, [])]
        start = int(possible[0]) if controls.anchors is None and len(possible) else None
        if start is not None and controls.sequence is not None:  # which says itself what comes first
            start = int(possible[np.argmin(controls.sequence[possible])])
        expected = textbook(rows, count, controls, start)
        if not expected[0]:
            with pytest.raises(InputError):
                select_prepared(Points(rows, "euclidean"), count, controls, start=start)
            return
        found = select_prepared(Points(rows, "euclidean"), count, controls, start=start)
        assert found.rows.tolist() == expected[0]
        np.testing.assert_array_equal(found.radii, np.sqrt(expected[1]))

    @settings(relaxed, max_examples=40)
    @given(rows=hard_pools(most_dimensions=20), data=st.data())
    def test_quotas(self, rows: np.ndarray, data: st.DataObject) -> None:
        groups = data.draw(st.integers(1, 4))
        group = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, groups, len(rows))
        least = np.array([data.draw(st.integers(0, 2)) for _ in range(groups)])
        most = least if data.draw(st.booleans()) else np.bincount(group, minlength=groups)
        # Few picks beyond those that the groups owe, so that the last ones are owed.
        count = int(least.sum()) + (0 if most is least else data.draw(st.integers(0, 3)))
        quotas = Quotas(tuple(map(str, range(groups))), group, least, np.maximum(least, most))
        if not count:
            return
        may_give = open_groups(quotas, [0] * groups, count)
        start = next((row for row in range(len(rows)) if may_give[group[row]]), None)
        controls = Constraints(quotas=quotas)
        picks, _ = textbook(rows, count, controls, start) if start is not None else ([], [])
        given_by = np.bincount(group[picks], minlength=groups) if picks else np.zeros(groups)
        if (given_by < least).any():
            with pytest.raises(InputError):
                select_prepared(Points(rows, "euclidean"), count, controls, start=start)
            return
        found = select_prepared(Points(rows, "euclidean"), count, controls, start=start)
        assert found.rows.tolist() == picks
        assert (np.bincount(group[found.rows], minlength=groups) <= quotas.most).all()

    @relaxed
    @given(rows=hard_pools(most_dimensions=20), data=st.data())
    def test_given_rows_come_first_and_count_as_kept(self, rows: np.ndarray, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        given_rows = rng.permutation(len(rows))[: data.draw(st.integers(1, len(rows)))]
        controls = Constraints(given=given_rows)
        found = select_prepared(Points(rows, "euclidean"), len(rows), controls)
        picks, radii = textbook(rows, len(rows), controls, None)
        assert found.rows.tolist() == picks
        np.testing.assert_array_equal(found.radii, np.sqrt(radii))


class TestPlain:
    @relaxed
    @given(rows=hard_pools())
    def test_controls_that_ask_nothing_give_the_plain_order(self, rows: np.ndarray) -> None:
        points = Points(rows, "euclidean")
        plain = select_prepared(points, len(rows), allow_copies=True)
        everyone = Constraints(eligible=np.ones(len(rows), dtype=bool))
        found = select_prepared(points, len(rows), everyone, allow_copies=True)
        for name in ("rows", "radii", "keeper", "keeper_distance"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name), err_msg=name)

    @relaxed
    @given(rows=hard_pools(), seed=st.integers(0, 99))
    def test_any_order_is_covered_exactly(self, rows: np.ndarray, seed: int) -> None:
        picks = np.random.default_rng(seed).permutation(len(rows))
        pool = MemoryPool(torch.from_numpy(rows))
        radii = cover_in_order(pool, picks)
        assert np.isinf(radii[0])
        for rank in range(1, len(picks)):
            earlier = squared_distances_to(rows[picks[:rank]], rows[picks[rank]])
            assert radii[rank] == earlier.min()

    def test_thousands_of_rows(self) -> None:
        rng = np.random.default_rng(3)
        rows = rng.standard_normal((1200, 16)).astype(np.float32)
        rows[1000:] = rows[:200]
        controls = Constraints(weights=rng.uniform(0.5, 1, 1200), eligible=rng.random(1200) < 0.9)
        found = select_prepared(Points(rows, "euclidean"), 800, controls, start=None)
        picks, radii = textbook(rows, 800, controls, int(found.rows[0]))
        assert found.rows.tolist() == picks
        picks = rng.permutation(1200)
        radii = cover_in_order(MemoryPool(torch.from_numpy(rows)), picks)
        place = 1177
        assert radii[place] == squared_distances_to(rows[picks[:place]], rows[picks[place]]).min()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 100))
def test_a_budget_is_never_exceeded_and_at_most_one_row_short(costs: list[int], budget: int) -> None:
    taken = affordable(np.array(costs), budget)
    assert sum(costs[:taken]) <= budget
    assert taken == len(costs) or sum(costs[: taken + 1]) > budget
