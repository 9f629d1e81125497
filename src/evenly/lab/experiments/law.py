"""The law of h_min: how the smallest distance of random points falls with N, d and the density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import cKDTree
from scipy.stats import kstest

from evenly.errors import InputError
from evenly.lab.designs import Generator, generator
from evenly.lab.geometry import exponent
from evenly.lab.result import Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import COLOURS, INK, frame, look, panels
from evenly.types import Float64Array
from evenly.words import span

SIZES = (64, 128, 256, 512, 1024)
DIMENSIONS = (1, 2, 3, 5, 8)
DELTA = 0.1  # the level at which the paper's two bounds are asked
# Columns that the verdict reads.
SLOPE, LEAST = "slope of log h_min on log N", "measured / law, least"
BELOW = f"below the paper's lower bound (at most {DELTA:g})"
COLLISION, PEAK = "collision entropy", "pi_max in its place"


@dataclass(frozen=True)
class DensityProfile:
    """A density on the unit torus: a share of the points lies in a small cube, on top of a uniform rest.

    Args:
        dimension: d.
        share: the share p of points drawn in the cube; 0 is the uniform density.
        side: s, of the cube.
    """

    dimension: int
    share: float = 0.0
    side: float = 0.5

    def draw(self, random: Generator, count: int) -> Float64Array:
        """Independent points, (count, d)."""
        scale = np.where(random.uniform(size=count) < self.share, self.side, 1.0)
        return random.uniform(size=(count, self.dimension)) * scale[:, None]

    @property
    def peak(self) -> float:
        """pi_max, the largest value of the density."""
        return float((1.0 - self.share) + self.share / self.side**self.dimension)

    @property
    def collision(self) -> float:
        """The integral of pi^2, the exponential of minus the collision entropy (Renyi's of order 2)."""
        rest = 1.0 - self.share
        return float(rest**2 + 2.0 * rest * self.share + self.share**2 / self.side**self.dimension)


DENSITIES = [DensityProfile(d, p, s) for d in (1, 2, 3) for p in (0.1, 0.3, 0.6, 0.9) for s in (0.1, 0.5)]


def ball_volume(dimension: int) -> float:
    """V_d, the volume of the unit ball."""
    return float(math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1))


def expected_h_min(count: int, dimension: int, density: float = 1.0) -> float:
    """E h_min = Gamma(1 + 1/d) (2 / (N (N-1) V_d c))^(1/d), c the integral of pi^2 (docs/theory.md, 1)."""
    if count < 2:
        raise InputError(f"N must be at least 2, so that there is a pair; got {count}")
    return float(math.gamma(1 + 1 / dimension) * _scale(count, dimension, density))


def lower_bound(count: int, dimension: int, peak: float) -> float:
    """The paper's Theorem 4: h_min is at least this with probability at least 1 - DELTA."""
    return float(DELTA ** (1 / dimension) * _scale(count, dimension, peak))


def upper_bound(count: int, dimension: int, peak: float) -> float:
    """The paper's upper bound for biased densities, with its constant C (which is not public) set to 1."""
    return float((-math.log(DELTA) / (peak * (count - 1) * ball_volume(dimension))) ** (1 / dimension))


def _scale(count: int, dimension: int, density: float) -> float:
    return float((2 / (count * (count - 1) * ball_volume(dimension) * density)) ** (1 / dimension))


def torus_h_min(points: Float64Array, expected: float) -> float:
    """The smallest distance between two points of the unit torus.

    Args:
        points: (N, d) in [0, 1)^d, N at least 2.
        expected: about the answer; only speed depends on it.
    """
    tree = cKDTree(points, boxsize=1.0)
    reach = 1.5 * expected  # enough for a pair in most draws
    while True:
        pairs = tree.query_pairs(reach, output_type="ndarray")
        if len(pairs):
            gap = np.abs(points[pairs[:, 0]] - points[pairs[:, 1]])
            gap = np.minimum(gap, 1.0 - gap)
            return float(np.sqrt((gap**2).sum(axis=1).min()))
        reach *= 1.5


def run(setup: Setup) -> Result:
    """Measures h_min over N, d and 24 densities on the torus, where there are no edges to bias it.

    Seeds are independent sets per cell; by default as many as bring the mean's error to 4 % (8 % if quick).
    """
    grid = [
        [_h_min(DensityProfile(d), n, (21, d, n), setup) for n in SIZES]
        for d in setup.each("law: uniform", DIMENSIONS)
    ]
    biased = [_density_record(index, setup) for index in setup.each("law: biased", range(len(DENSITIES)))]
    uniform = [_uniform_record(d, row) for d, row in zip(DIMENSIONS, grid, strict=True)]
    ratios, peaks = (np.array([each[name] for each in biased]) for name in (COLLISION, PEAK))
    pooled = _exponential(grid)
    low, high = min(each[LEAST] for each in uniform), max(each["most"] for each in uniform)
    return Result(
        name="law",
        title="What h_min to expect of random points",
        claim="N (N-1) V_d h_min^d (integral of pi^2) / 2 tends to Exp(1) (ours).",
        settings={"sizes": SIZES, "dimensions": DIMENSIONS, "delta": DELTA, "seeds": setup.seeds},
        tables=(
            ResultTable.of("Uniform points on the torus", uniform),
            ResultTable.of("Biased densities, N = 512: measured mean / law", biased),
        ),
        verdict=f"the sharp law holds within {low:.2f}–{high:.2f} (uniform) and {span(ratios)} (biased; pi_max in "
        f"its place errs up to {peaks.max():.1f}x); the paper's lower bound is tight, its upper bound holds but "
        "has the wrong order in N.",
        outcome="holds" if low > 0.8 and high < 1.2 else "holds in part",
        numbers={
            "worst slope error": max(abs(each[SLOPE] - each["-2/d"]) for each in uniform),
            "law ratio, least": low,
            "law ratio, most": high,
            "collision ratio, least": ratios.min(),
            "collision ratio, most": ratios.max(),
            "peak ratio, most": peaks.max(),
            "lower bound broken, most": max(each[BELOW] for each in uniform),
            "Kolmogorov distance to Exp(1)": kstest(pooled, "expon").statistic,
        },
        series={
            "mean": np.array([[h.mean() for h in row] for row in grid]),
            "low": np.array([[np.quantile(h, 0.05) for h in row] for row in grid]),
            "high": np.array([[np.quantile(h, 0.95) for h in row] for row in grid]),
            "collision ratio": ratios,
            "peak ratio": peaks,
            "scaled": np.quantile(pooled, np.linspace(0, 1, 201)[1:-1]),
        },
    )


def _uniform_record(d: int, row: list[Float64Array]) -> dict[str, Any]:
    """Uniform points in one dimension d, over all N: how h_min falls, and how the law and the bounds sit to it."""
    means = np.array([h.mean() for h in row])
    ratio = means / np.array([expected_h_min(n, d) for n in SIZES])
    below = [np.mean(h < lower_bound(n, d, 1.0)) for n, h in zip(SIZES, row, strict=True)]
    return {
        "d": d,
        "sets per N": len(row[0]),
        SLOPE: exponent(SIZES, means),
        "-2/d": -2 / d,
        LEAST: ratio.min(),
        "most": ratio.max(),
        BELOW: np.mean(below),
        "upper bound / measured at N = 1024": upper_bound(SIZES[-1], d, 1.0) / means[-1],
    }


def _h_min(density: DensityProfile, count: int, key: tuple[int, ...], setup: Setup) -> Float64Array:
    """h_min of independent sets of ``count`` points, (sets,).

    There are so many sets that their mean has an error of 4 % (8 %): h_min varies by about 1.28 / d of itself.
    """
    sets = setup.seeds or max(12, math.ceil((1.28 / density.dimension / setup.size(0.08, 0.04)) ** 2))
    expected = expected_h_min(count, density.dimension, density.collision)
    return np.array([torus_h_min(density.draw(generator(*key, s), count), expected) for s in range(sets)])


def _density_record(index: int, setup: Setup) -> dict[str, Any]:
    """The mean h_min under a density over the law of its collision entropy, and over that of its peak."""
    density = DENSITIES[index]
    d, mean = density.dimension, np.mean(_h_min(density, 512, (22, index), setup))
    return {
        "d": d,
        "share in the cube": density.share,
        "side": density.side,
        COLLISION: mean / expected_h_min(512, d, density.collision),
        PEAK: mean / expected_h_min(512, d, density.peak),
    }


def _exponential(grid: list[list[Float64Array]]) -> Float64Array:
    """N (N-1) V_d h^d / 2 of every set: Exp(1) by the law. Every cell gives equally many values."""
    share = min(len(h) for row in grid for h in row)
    scaled = [
        n * (n - 1) * ball_volume(d) * h[:share] ** d / 2
        for d, row in zip(DIMENSIONS, grid, strict=True)
        for n, h in zip(SIZES, row, strict=True)
    ]
    return np.sort(np.concatenate(scaled))


def draw(result: Result) -> Figure:
    """h_min against N with law and bounds, the exponential limit, and the two laws on biased densities."""
    figure, (sizes, limit, densities) = panels(3)
    _draw_sizes(sizes, result)
    scaled = result.series["scaled"]
    limit.plot(scaled, np.linspace(0, 1, 201)[1:-1], color=COLOURS[0], label="measured, all N and d")
    limit.plot(scaled, 1 - np.exp(-scaled), color=INK, linestyle="--", linewidth=1.1, label="Exp(1)")
    quantity = r"$N(N-1)\,V_d\,h_{\min}^d\,/\,2$"
    frame(limit, "The limit is exponential", quantity, "share of sets below", legend="lower right")
    order = np.argsort(result.series["peak ratio"])
    for index, (key, name) in enumerate((("collision", r"$\int\pi^2$ (ours)"), ("peak", r"$\pi_{\max}$"))):
        densities.plot(result.series[f"{key} ratio"][order], label=name, **look(index))
    densities.axhline(1.0, color=INK, linewidth=1.0)
    title, legend = "Collision entropy decides, not the peak", {"loc": "upper left", "title": "law with"}
    frame(densities, title, "24 biased densities", "measured / law", legend=legend)
    return figure


def _draw_sizes(axis: Axes, result: Result) -> None:
    low, mean, high = (result.series[key] for key in ("low", "mean", "high"))
    for index, d in enumerate(DIMENSIONS):
        colour = COLOURS[index]
        axis.fill_between(SIZES, low[index], high[index], color=colour, alpha=0.15, linewidth=0)
        axis.plot(SIZES, mean[index], label=f"d = {d}", **look(index))
        axis.plot(SIZES, [expected_h_min(n, d) for n in SIZES], color=colour, linewidth=1.1)
        axis.plot(SIZES, [lower_bound(n, d, 1.0) for n in SIZES], color=colour, linewidth=0.9, linestyle=":")
    title = "Points: measured; line: sharp law; dots: lower bound"
    frame(axis, title, "N", r"$h_{\min}$", log="xy", x_ticks=SIZES, legend={"loc": "lower left", "ncols": 2})
