"""Quotas: what was asked for as bounds on each group, or one line that says why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.controls.quota import quotas_for
from evenly.engine.quotas import Quotas, proportional
from evenly.errors import InputError


class TestQuotasFor:
    names, group = ("a", "b", "c"), np.array([0] * 5 + [1] * 3 + [2] * 2)
    everyone = np.ones(10, dtype=bool)

    def ask(self, count: int | None, quota: object, at_least: int = 0) -> Quotas:
        return quotas_for(self.names, self.group, self.everyone, count=count, quota=quota, at_least=at_least)

    def test_equal_proportional_number_and_mapping(self) -> None:
        assert self.ask(5, "equal").least.tolist() == [2, 2, 1]
        assert self.ask(5, "proportional").least.tolist() == [3, 1, 1]
        assert self.ask(None, "2").least.tolist() == [2, 2, 2]
        assert self.ask(None, {"c": 2}).most.tolist() == [0, 0, 2]
        assert self.ask(6, None, 2).least.tolist() == [2, 2, 2]

    @pytest.mark.parametrize(
        ("count", "quota", "at_least", "match"),
        [
            (9, "equal", 0, "'c' has 2 of 3"),
            (None, "3", 0, "'c' has 2 of 3"),
            (None, {"d": 1}, 0, "'d', which no row has"),
            (4, {"a": 1}, 0, "add up to 1 rows and `keep` says 4"),
            (5, None, 2, "need 6 rows; `keep` gives 5"),
            (None, "equal", 0, "what `keep` says; add it"),
            (4, "most", 0, "not known"),
        ],
    )
    def test_what_cannot_be_met_is_refused(
        self, count: int | None, quota: object, at_least: int, match: str
    ) -> None:
        with pytest.raises(InputError, match=match):
            self.ask(count, quota, at_least)

    @given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
    def test_proportional_adds_up_and_never_exceeds(self, sizes: list[int], data: st.DataObject) -> None:
        count = data.draw(st.integers(0, sum(sizes)))
        shares = proportional(np.array(sizes), count)
        assert shares.sum() == count
        assert (shares <= np.array(sizes)).all()
        assert (np.abs(shares - np.array(sizes) * count / max(sum(sizes), 1)) < 1).all()
