"""What is said of every size of an order, against distances taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

from evenly import select
from evenly.engine.points import Points
from evenly.measures.sizes import by_size


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_every_size_is_measured_as_its_own_selection_would_be(metric: str) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    chosen = select(rows, keep=120, metric=metric)
    points = Points.of(rows, metric)
    found = by_size(points, chosen.rows)
    unit = points.vectors.astype(np.float64)
    gaps = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    gaps = gaps**2 / 2 if metric == "cosine" else gaps
    assert found["sizes"][0] == 1
    assert found["sizes"][-1] == 120
    assert found["sampled_rows"] == 200
    for size, mean, quantiles in zip(
        found["sizes"], found["kept"]["mean"], found["kept"]["quantiles"], strict=True
    ):
        nearest = gaps[:, chosen.rows[:size]].min(axis=1)
        assert mean == pytest.approx(nearest.mean(), abs=2e-3)
        assert quantiles == pytest.approx(np.percentile(nearest, found["levels"]), abs=2e-3)
    assert (np.diff(found["random"]["mean"]) <= 0).all()
    assert found == by_size(points, chosen.rows)


def test_one_row_has_one_size() -> None:
    found = by_size(Points.of(np.eye(3, dtype=np.float32)), np.array([1]))
    assert found["sizes"] == [1]
    assert found["kept"]["mean"] == [pytest.approx(2 / 3, abs=1e-4)]
