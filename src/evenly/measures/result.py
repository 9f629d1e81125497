"""What measuring returns: frozen records that turn into JSON.

In `to_dict` an infinite number becomes the text "inf" or "-inf", a quantity that is not defined (too few
rows, say) is null, and NaN does not occur. Long arrays stay out of it; their quantiles are in.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from evenly.types import Float64Array, Int64Array, Metric

_NOT_SAVED = {"saved": False}


def plain(value: Any) -> Any:
    """A record, tuple or number as what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = [f.name for f in dataclasses.fields(value) if f.metadata.get("saved", True)]
        return {name: plain(getattr(value, name)) for name in kept}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


@dataclass(frozen=True)
class Quantiles:
    """Values below which a share of the numbers lies (linear interpolation).

    Attributes:
        levels: shares from 0 to 1.
        values: one for each level.
    """

    levels: tuple[float, ...]
    values: tuple[float, ...]

    @staticmethod
    def of(numbers: Float64Array, levels: Float64Array) -> Quantiles:
        return Quantiles(tuple(levels.tolist()), tuple(np.quantile(numbers, levels).tolist()))


@dataclass(frozen=True)
class Pair:
    """Two rows and their distance."""

    row: int
    other: int
    distance: float


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated, with its 95 % interval (statistical error alone)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairDistances:
    """Distances between two rows of the set, over all pairs or a sample of them.

    Attributes:
        mean: of the pairs measured.
        standard_error: of the mean; 0 where all pairs were measured.
        quantiles: at 1, 5, 25, 50, 75, 95, 99 %.
        pairs: how many were measured.
        sampled: false where these are all pairs.
        level_error: where sampled, the true share below each quantile lies within this of its level (95 %).
    """

    mean: float
    standard_error: float
    quantiles: Quantiles
    pairs: int
    sampled: bool
    level_error: float


@dataclass(frozen=True, eq=False)
class Evenness:
    """How even a set of rows is. Distances in the metric's unit, row numbers of the pool.

    Attributes:
        h_min: smallest distance between two rows of the set; infinite for a single row.
        closest: the 20 closest pairs of a row with its nearest neighbour; the first is that of h_min.
        nearest_row: (k,) int64, for every row of the set the nearest other one (lowest number among equals).
        nearest_distance: (k,) float64, the distance to it; infinite for a single row.
        nearest: its quantiles at 0, 1, 2 … 100 %; None for a single row.
        mean_nearest: its mean; None for a single row.
        fill: largest distance from a pool row to its nearest row of the set; 0 where the set is the pool.
        mesh_ratio: fill / h_min; infinite where h_min is 0.
        copies: rows of the set that equal an earlier row of it.

    Of a set too large to search for the neighbours of each row, all but fill, copies and their quotient are of a
    sample of k rows, each exact.
    """

    h_min: float
    closest: tuple[Pair, ...]
    nearest_row: Int64Array = field(metadata=_NOT_SAVED)
    nearest_distance: Float64Array = field(metadata=_NOT_SAVED)
    nearest: Quantiles | None
    mean_nearest: float | None
    fill: float
    mesh_ratio: float
    copies: int


@dataclass(frozen=True, eq=False)
class Exact(Evenness):
    """Quantities that are computed of all rows, not estimated.

    Attributes:
        loneliest_row: the row outside the set that is as far from it as fill says; None where the set is the pool.
        loneliest_keeper: its nearest row of the set.
        pool_copies: rows of the pool that equal an earlier row of it.
        pairs_within: for each distance asked for, the number of pairs of the set at most that far apart.
        pair_distances: mean and quantiles over pairs of the set; None for a single row.
    """

    loneliest_row: int | None
    loneliest_keeper: int | None
    pool_copies: int
    pairs_within: tuple[tuple[float, int], ...]
    pair_distances: PairDistances | None


@dataclass(frozen=True)
class Normalised:
    """Quantities that compare between sets of different size and dimension.

    All in Euclidean distance (of the unit rows where the metric is cosine). Dimension, spread and density are
    those of the pool. None where the pool or the set has too few distinct rows. See docs/measures.md for
    equations and caveats.

    Attributes:
        dimension_two_nn: intrinsic dimension from the ratio of the two nearest distances (TwoNN).
        dimension_likelihood: intrinsic dimension by maximum likelihood over ten neighbours; used below.
        sampled_rows: rows the two were estimated on.
        spread: root mean square distance of pool rows from their mean.
        log_effective_density: natural logarithm of the integral of the squared density of the pool.
        h_min_to_uniform: h_min over its expectation for uniform rows in a ball of equal dimension and spread.
        h_min_to_density: h_min over its expectation for random rows of the pool's own density: the sharp law.
        clark_evans: mean nearest-neighbour distance over its expectation in the same ball; above 1 is even.
        fill_scaled: fill * k^(1/d).
        fill_to_ball: fill_scaled over the radius of the ball; 1 cannot be beaten in the ball.
    """

    dimension_two_nn: Estimate | None
    dimension_likelihood: Estimate | None
    sampled_rows: int
    spread: float
    log_effective_density: float | None
    h_min_to_uniform: float | None
    h_min_to_density: float | None
    clark_evans: float | None
    fill_scaled: float | None
    fill_to_ball: float | None


@dataclass(frozen=True)
class Diversity:
    """Scores from the literature, sources in docs/measures.md. None where a score is not defined for the set.

    Attributes:
        vendi: effective number of different rows, from 1 to min(k, d); None where a row is zero.
        riesz_energy: mean of 1 / squared Euclidean distance over pairs; infinite where there are copies.
        riesz_energy_error: its standard error; 0 where all pairs were summed.
        uniformity: log of the mean of exp(-2 squared Euclidean distance) over pairs; lower is more even.
        uniformity_error: its standard error.
        cluster_entropy: entropy in bits of the set over clusters of the pool; at most log2(clusters).
        clusters: how many clusters.
        novelsum: NovelSum with its authors' settings.
        novelsum_error: its standard error; 0 where all rows were summed.
        pair_rows: rows whose pairs with the whole set were summed for energy, uniformity and NovelSum.
    """

    vendi: float | None
    riesz_energy: float | None
    riesz_energy_error: float | None
    uniformity: float | None
    uniformity_error: float | None
    cluster_entropy: float
    clusters: int
    novelsum: float | None
    novelsum_error: float | None
    pair_rows: int


@dataclass(frozen=True)
class Standing:
    """One quantity of the set beside the same quantity of random subsets of the same size.

    Attributes:
        value: of the set.
        random: of each draw.
        random_mean: over the draws.
        ratio: value / random_mean; None where that is 0 or infinite.
        draws_below: draws with a smaller value.
        higher_is_more_even: which way is more even.
    """

    value: float
    random: tuple[float, ...]
    random_mean: float
    ratio: float | None
    draws_below: int
    higher_is_more_even: bool

    @staticmethod
    def of(value: float, random: list[float], *, higher_is_more_even: bool) -> Standing:
        mean = float(np.mean(random))
        usable = mean != 0 and math.isfinite(mean) and math.isfinite(value)
        below = sum(draw < value for draw in random)
        return Standing(
            value, tuple(random), mean, value / mean if usable else None, below, higher_is_more_even
        )


@dataclass(frozen=True, eq=False)
class RandomSets:
    """Random subsets of the pool, each as large as the set.

    Attributes:
        draws: how many.
        values: by name (h_min, mean_nearest, fill and whatever else was asked for), one of each draw.
        nearest: distances of the rows of the first draw to their nearest other row there.
    """

    draws: int
    values: dict[str, list[float]]
    nearest: Float64Array


@dataclass(frozen=True)
class AgainstRandom:
    """The set among random subsets of the same size from the same pool.

    Attributes:
        draws: how many.
        standings: by name: h_min, mean_nearest, fill and, where diversity was asked for, vendi, riesz_energy,
            uniformity, cluster_entropy.
        nearest: quantiles of the nearest-neighbour distances of the first draw, levels as `Exact.nearest`.
    """

    draws: int
    standings: dict[str, Standing]
    nearest: Quantiles


@dataclass(frozen=True)
class Measures:
    """What `evenly.measures.measure` found.

    Attributes:
        metric: of all distances in ``exact``.
        pool_rows: N.
        rows: k, rows of the set.
        dimension: d, numbers per row.
        seed: of samples and random subsets.
        diversity: None where not asked for.
        random: None where the set is the pool, has one row, or no draws were asked for.
    """

    metric: Metric
    pool_rows: int
    rows: int
    dimension: int
    seed: int
    exact: Exact
    normalised: Normalised
    diversity: Diversity | None
    random: AgainstRandom | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; see the top of this file for infinite and undefined numbers."""
        return cast(dict[str, Any], plain(self))
