"""What every pool must do, whatever it holds its vectors in. A pool's test class inherits this and says `make`."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenly.engine.constraints import Constraints
from evenly.engine.greedy import Greedy
from evenly.engine.loop import Order, central_row, extend_order
from evenly.engine.mixture import Mixture
from evenly.engine.pool import Pool
from tests.engine.controlled_oracle import part_that_is_next, textbook_under
from tests.engine.oracle import halving_sum, squared_distances_to, textbook_order
from tests.engine.pools import hard_pools

relaxed = settings(
    max_examples=25,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)


@st.composite
def mixtures_of(draw: st.DrawFn, number: int) -> Mixture:
    """One to four parts, of rows or tokens, with some rows in none of them."""
    parts = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Mixture(
        tuple(map(str, range(parts))),
        rng.integers(-1, parts, number),
        np.array(draw(st.lists(st.integers(1, 9), min_size=parts, max_size=parts))),
        rng.integers(1, 20, number) if draw(st.booleans()) else None,
    )


class PoolInvariants:
    """Inherit and implement `make`."""

    examples = 25

    def make(self, rows: np.ndarray) -> Pool:
        raise NotImplementedError

    def run(
        self, rows: np.ndarray, count: int, start: int, picked: list[int] | None = None
    ) -> tuple[Order, Pool]:
        pool = self.make(rows)
        order = Order([start], [np.inf])
        if picked is not None:
            order = Order(list(picked), [np.inf] * len(picked))
        pool.cover(torch.from_numpy(rows[order.rows]), np.asarray(order.rows))
        extend_order(pool, order, count)
        return order, pool

    @relaxed
    @given(rows=hard_pools(), data=st.data())
    def test_order_radii_and_cover_equal_the_textbook(self, rows: np.ndarray, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(rows)))
        start = data.draw(st.integers(0, len(rows) - 1))
        order, pool = self.run(rows, count, start)
        expected = textbook_order(rows, count, start)
        assert order.rows == expected.rows
        assert order.squared_radii == expected.squared_radii
        keeper, squared = pool.cover_result()
        np.testing.assert_array_equal(squared, expected.squared_distance)
        np.testing.assert_array_equal(keeper, expected.keeper)

    @relaxed
    @given(rows=hard_pools(most_rows=60), data=st.data())
    def test_resuming_equals_not_stopping(self, rows: np.ndarray, data: st.DataObject) -> None:
        whole, _ = self.run(rows, len(rows), 0)
        stop = data.draw(st.integers(1, len(whole)))
        resumed, _ = self.run(rows, len(rows), 0, picked=whole.rows[:stop])
        assert resumed.rows == whole.rows
        assert resumed.squared_radii[stop:] == whole.squared_radii[stop:]

    @relaxed
    @given(rows=hard_pools(most_rows=60), data=st.data())
    def test_a_longer_order_extends_a_shorter_one(self, rows: np.ndarray, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(rows)))
        short, _ = self.run(rows, count, 0)
        whole, _ = self.run(rows, len(rows), 0)
        assert whole.rows[: len(short)] == short.rows

    @relaxed
    @given(rows=hard_pools(most_rows=60), data=st.data())
    def test_anchors_count_as_picked_before_the_first(self, rows: np.ndarray, data: st.DataObject) -> None:
        split = data.draw(st.integers(1, len(rows)))
        anchors, rest = rows[:split], rows[split:]
        if not len(rest):
            return
        pool = self.make(rest)
        pool.cover(torch.from_numpy(anchors), np.arange(split) + len(rest))
        order = Order([], [])
        extend_order(pool, order, len(rest))
        expected = textbook_order(rest, len(rest), None, anchors)
        assert order.rows == expected.rows
        assert order.squared_radii == expected.squared_radii
        np.testing.assert_array_equal(pool.cover_result()[0], expected.keeper)

    @relaxed
    @given(rows=hard_pools(most_rows=60), data=st.data())
    def test_parts_take_turns_as_in_the_textbook(self, rows: np.ndarray, data: st.DataObject) -> None:
        mixture = data.draw(mixtures_of(len(rows)))
        asked = Constraints(mixture=mixture)
        first = [row for row in range(len(rows)) if mixture.group[row] == part_that_is_next(mixture, [])]
        if not first:
            return
        expected, squared_radii = textbook_under(rows, len(rows), asked, first[0])
        count = data.draw(st.integers(1, len(rows)))
        found = Greedy(count, "euclidean", asked, start=first[0]).run(self.make(rows))
        assert found.rows.tolist() == expected[:count]
        np.testing.assert_array_equal(found.radii, np.sqrt(squared_radii[:count]))

    @relaxed
    @given(rows=hard_pools())
    def test_start_is_the_row_nearest_the_mean(self, rows: np.ndarray) -> None:
        mean = halving_sum(rows.astype(np.float64).T.copy()) / len(rows)
        squared = squared_distances_to(rows, mean.astype(np.float32))
        assert central_row(self.make(rows)) == int(squared.argmin())

    @relaxed
    @given(rows=hard_pools(), seed=st.integers(0, 99))
    def test_the_start_among_some_rows(self, rows: np.ndarray, seed: int) -> None:
        among = np.random.default_rng(seed).random(len(rows)) < 0.3
        among[seed % len(rows)] = True
        pool = self.make(rows)
        squared = squared_distances_to(rows, rows.mean(axis=0))
        expected = int(np.where(among, squared, np.inf).argmin())
        assert pool.nearest(torch.from_numpy(rows.mean(axis=0)), among) == (squared[expected], expected)

    @relaxed
    @given(rows=hard_pools(most_rows=60), data=st.data())
    def test_a_pool_that_forgot_its_picks_is_as_new(self, rows: np.ndarray, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(rows)))
        expected, pool = self.run(rows, count, 0)
        cover = pool.cover_result()
        before = [each.copy() for each in cover]
        pool.forget()
        assert np.isinf(pool.cover_result()[1]).all()
        order = Order([0], [np.inf])
        pool.cover(torch.from_numpy(rows[:1]), np.array([0]))
        extend_order(pool, order, count)
        assert (order.rows, order.squared_radii) == (expected.rows, expected.squared_radii)
        for handed_out, again, first in zip(cover, pool.cover_result(), before, strict=True):
            np.testing.assert_array_equal(handed_out, first)  # what was given out stays as it is
            np.testing.assert_array_equal(again, first)

    def test_thousands_of_rows_with_copies(self) -> None:
        rng = np.random.default_rng(5)
        rows = rng.standard_normal((5, 48))[rng.integers(0, 5, 3000)] + 0.3 * rng.standard_normal((3000, 48))
        rows = rows.astype(np.float32)
        rows[2000:2400] = rows[:400]
        order, pool = self.run(rows, 2900, 17)
        expected = textbook_order(rows, 2900, 17)
        assert len(order) == 2600
        assert order.rows == expected.rows
        np.testing.assert_array_equal(pool.cover_result()[1], expected.squared_distance)
