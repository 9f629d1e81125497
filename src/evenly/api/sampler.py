"""`EvenSampler`: the even rows of an array, as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenly.api.select import select
from evenly.errors import MissingExtraError
from evenly.types import Int64Array, silent

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise MissingExtraError("EvenSampler", "rivals") from None


class EvenSampler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the rows of an array that lie as far apart as possible; see `evenly.select`.

        sampler = EvenSampler(keep=0.1).fit(X)
        X[sampler.selected_indices_], y[sampler.selected_indices_]

    Fewer rows come out than go in, so it is no step of a `Pipeline`, whose transformers keep the number of rows.

    Args:
        keep: a share (0.5) or a count of rows.
        metric: ``euclidean`` or ``cosine``.
        start: row number of the first pick, "random", or None for the row nearest the mean.
        seed: for a random start.

    Attributes:
        selected_indices_: (k,) int64 row numbers of what was fitted, in the order of picking.
        selection_: the whole `Selection`.
        n_features_in_: columns of what was fitted.
    """

    def __init__(
        self, keep: Any = 0.5, *, metric: str = "euclidean", start: Any = None, seed: int = 0
    ) -> None:
        self.keep = keep
        self.metric = metric
        self.start = start
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> EvenSampler:
        """Selects rows of (N, d) numbers; ``y`` is ignored.

        Raises:
            ValueError: NaN, infinite numbers or no numbers, as scikit-learn words it.
            InputError: a value of an option that cannot be used.
        """
        rows = validate_data(self, X, dtype=[np.float32, np.float64], ensure_min_samples=2)
        self.selection_ = select(
            rows, self.keep, metric=self.metric, start=self.start, seed=self.seed, progress=silent
        )
        self.selected_indices_: Int64Array = self.selection_.rows
        return self

    def transform(self, X: Any) -> Any:
        """The selected rows of what was fitted, in the order of picking: ``X[selected_indices_]``.

        Raises:
            ValueError: another number of rows than was fitted.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float32, np.float64])
        if len(rows) != self.selection_.pool_rows:
            raise ValueError(
                f"X has {len(rows)} rows and EvenSampler was fitted on {self.selection_.pool_rows}"
            )
        return rows[self.selected_indices_]
