"""Measures that compare between sets of different size and dimension; docs/measures.md has the caveats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import on_all_cores
from evenly.engine.codes import BLOCK
from evenly.engine.neighbours import nearest
from evenly.measures.result import Estimate, Exact, Normalised
from evenly.measures.sets import RowSet
from evenly.types import Float64Array, Progress, silent, squared_euclidean

NEIGHBOURS = 10
"""K of the maximum-likelihood dimension and of the density."""

ROWS_SAMPLED = 2000
"""The dimension's standard error is then its value over the root of 2,000: 2.2 %."""

_NORMAL_95 = 1.96
"""Standard errors on either side that hold 95 % of a normal distribution."""


def log_unit_ball_volume(dimension: float) -> float:
    """ln V_d, with V_d = pi^(d/2) / Gamma(d/2 + 1)."""
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)


def two_nn(distance: Float64Array) -> Estimate | None:
    """Intrinsic dimension from the ratio mu of the second to the first nearest distance.

    ln mu is exponential with rate d where the density is constant over two neighbours (Facco et al. 2017,
    Scientific Reports 7:12140). This is the unbiased form (n - 1) / sum(ln mu) of the likelihood estimate
    rather than the fitted line of the paper; the interval is the normal approximation, 1.96 d / sqrt(n).

    Args:
        distance: (n, K) float64 with K at least 2, ascending and above 0.

    Returns:
        The estimate; None for fewer than three rows, or where all two nearest are equally far (a lattice).
    """
    total = float(np.log(distance[:, 1] / distance[:, 0]).sum())
    if len(distance) < 3 or total <= 0:
        return None
    value = (len(distance) - 1) / total
    reach = _NORMAL_95 * value / math.sqrt(len(distance))
    return Estimate(value, max(value - reach, 0.0), value + reach)


def likelihood_dimension(distance: Float64Array) -> Estimate | None:
    """Intrinsic dimension by maximum likelihood over K neighbours.

    Each row's inverse dimension is the mean of ln(T_K / T_j) over j < K (Levina & Bickel 2004);
    the inverses are averaged before inverting (MacKay & Ghahramani 2005). The interval is 1.96 standard
    errors of that mean over rows, carried through the inverse.

    Args:
        distance: (n, K) float64 with K at least 3, ascending and above 0.
    """
    inverse = np.log(distance[:, -1:] / distance[:, :-1]).mean(axis=1)
    mean = float(inverse.mean())
    if len(distance) < 3 or mean <= 0:
        return None
    reach = _NORMAL_95 * float(inverse.std(ddof=1)) / math.sqrt(len(inverse))
    high = 1 / (mean - reach) if mean > reach else math.inf
    return Estimate(1 / mean, 1 / (mean + reach), high)


def log_effective_density(distance: Float64Array, rows: int, dimension: float) -> float:
    """ln of the integral of pi^2, from the K-th nearest distance of each row.

    The estimate is the mean of (K - 1) / ((N - 1) V_d T_K^d) (Leonenko, Pronzato & Savani 2008, q = 2).
    Summed in logarithms, because T^d leaves float64 for large d.

    Args:
        distance: (n, K) float64, the K nearest distances of rows of the pool.
        rows: N, rows of the pool.
        dimension: d.
    """
    terms = -dimension * np.log(distance[:, -1])
    log_mean = float(np.logaddexp.reduce(terms)) - math.log(len(terms))
    return log_mean + math.log((distance.shape[1] - 1) / (rows - 1)) - log_unit_ball_volume(dimension)


def log_expected_h_min(rows: int, dimension: float, log_collision: float) -> float:
    """ln of the expected h_min of random rows: the sharp law.

    N (N-1) V_d h_min^d * integral(pi^2) / 2 tends to an exponential variable of mean 1 (Poisson limit of the
    number of pairs within h), so E h_min = Gamma(1 + 1/d) (2 / (N (N-1) V_d integral(pi^2)))^(1/d).

    Args:
        rows: N, at least 2.
        dimension: d.
        log_collision: ln of the integral of pi^2.
    """
    log_pairs = math.log(rows) + math.log(rows - 1) - math.log(2)
    volume = log_unit_ball_volume(dimension)
    return math.lgamma(1 + 1 / dimension) - (log_pairs + volume + log_collision) / dimension


@dataclass(frozen=True)
class Geometry:
    """What the pool looks like: the yardstick for sets taken from it."""

    two_nn: Estimate | None
    likelihood: Estimate | None
    sampled_rows: int
    spread: float
    log_effective_density: float | None

    @property
    def ball_radius(self) -> float:
        """Radius of the d-dimensional ball whose uniform distribution has the pool's spread: its root mean
        square distance from the centre is R sqrt(d / (d + 2))."""
        dimension = self.likelihood.value if self.likelihood else math.inf
        return self.spread * math.sqrt(1 + 2 / dimension)


def pool_geometry(chosen: RowSet, seed: int, progress: Progress = silent) -> Geometry:
    """Spread of a pool; dimension and density of its distinct rows, from 2,000 of them."""
    blocks = list(chosen.points.tensor.split(BLOCK))
    near_mean = chosen.points.coded.map.centre

    def moments(block: Tensor) -> tuple[Tensor, float]:
        centred = block.double() - near_mean
        return centred.sum(0), float(centred.square_().sum())

    sums, squares = zip(*on_all_cores(moments, blocks), strict=True)
    mean = torch.stack(sums).sum(0) / len(chosen.points)
    spread = math.sqrt(max(sum(squares) / len(chosen.points) - float(mean.square().sum()), 0.0))
    distinct = chosen.points.distinct
    if len(distinct) < NEIGHBOURS + 1:
        return Geometry(None, None, len(distinct), spread, None)
    sample = np.arange(len(distinct))
    if len(distinct) > ROWS_SAMPLED:
        sample = np.sort(np.random.default_rng(seed).choice(len(distinct), ROWS_SAMPLED, replace=False))
    keys, queries = chosen.points.coded_of(distinct), chosen.points.coded_of(distinct[sample])
    found = nearest(queries, keys, NEIGHBOURS, own=sample, progress=progress, stage="dimension")
    distance = np.sqrt(found.squared_distance)
    likelihood = likelihood_dimension(distance)
    density = log_effective_density(distance, len(distinct), likelihood.value) if likelihood else None
    return Geometry(two_nn(distance), likelihood, len(sample), spread, density)


def normalised_measures(chosen: RowSet, exact: Exact, geometry: Geometry) -> Normalised:
    """The set's distances in units of what the pool's geometry leads one to expect."""
    count = len(chosen.rows)
    ratios: dict[str, float | None] = dict.fromkeys(
        ("h_min_to_uniform", "h_min_to_density", "clark_evans", "fill_scaled", "fill_to_ball")
    )
    if geometry.likelihood is not None and geometry.log_effective_density is not None:
        dimension, radius = geometry.likelihood.value, geometry.ball_radius
        log_volume = log_unit_ball_volume(dimension) + dimension * math.log(radius)
        fill = float(np.sqrt(squared_euclidean(exact.fill, chosen.points.metric)))
        fill_scaled = fill * count ** (1 / dimension)
        ratios |= {"fill_scaled": fill_scaled, "fill_to_ball": fill_scaled / radius}
        if count > 1:
            h_min = float(np.sqrt(squared_euclidean(exact.h_min, chosen.points.metric)))
            mean_nearest = float(
                np.sqrt(squared_euclidean(exact.nearest_distance, chosen.points.metric)).mean()
            )
            expected_nearest = math.exp(math.lgamma(1 + 1 / dimension)) * radius * count ** (-1 / dimension)
            uniform = log_expected_h_min(count, dimension, -log_volume)
            random = log_expected_h_min(count, dimension, geometry.log_effective_density)
            ratios["h_min_to_uniform"] = h_min * math.exp(-uniform)
            ratios["h_min_to_density"] = h_min * math.exp(-random)
            ratios["clark_evans"] = mean_nearest / expected_nearest
    return Normalised(
        dimension_two_nn=geometry.two_nn,
        dimension_likelihood=geometry.likelihood,
        sampled_rows=geometry.sampled_rows,
        spread=geometry.spread,
        log_effective_density=geometry.log_effective_density,
        **ratios,
    )
