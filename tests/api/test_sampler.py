"""EvenSampler is an estimator of scikit-learn, by the library's own checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra rivals")

from sklearn.utils.estimator_checks import parametrize_with_checks

from evenly import EvenSampler, select

FEWER = "transform gives fewer rows than it takes, which is what the sampler is for"
ONE_POOL = "transform takes the rows that were fitted, not parts of them"


def expected(estimator: Any) -> dict[str, str]:
    return {
        "check_methods_subset_invariance": ONE_POOL,
        "check_methods_sample_order_invariance": ONE_POOL,
        "check_fit_idempotent": ONE_POOL,
        "check_transformer_general": FEWER,
        "check_transformer_data_not_an_array": FEWER,
        "check_transformer_preserve_dtypes": FEWER,
    }


@parametrize_with_checks([EvenSampler()], expected_failed_checks=expected)
def test_the_checks_of_the_library(estimator: Any, check: Any) -> None:
    check(estimator)


def test_it_selects_as_select_does() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 4))
    sampler = EvenSampler(keep=9, metric="cosine").fit(rows)
    assert sampler.selected_indices_.tolist() == select(rows, 9).rows.tolist()
    assert np.array_equal(sampler.transform(rows), rows[sampler.selected_indices_])


def test_nan_is_one_line() -> None:
    with pytest.raises(ValueError, match="contains NaN"):
        EvenSampler().fit([[1.0, np.nan], [0.0, 1.0]])
