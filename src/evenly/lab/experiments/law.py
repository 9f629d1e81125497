"""The law of h_min: how the smallest distance of random points falls with N, d and the density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenly.lab.designs import Generator, check_distinct, check_points, generator
from evenly.lab.figures import COLOURS, INK, MARKERS, panels, plain_ticks
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (64, 128, 256, 512, 1024)
DIMENSIONS = (1, 2, 3, 5, 8)
DELTA = 0.1  # the level at which the paper's two bounds are asked


@dataclass(frozen=True)
class Density:
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


def ball_volume(dimension: int) -> float:
    """V_d, the volume of the unit ball."""
    return float(math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1))


def expected_h_min(count: int, dimension: int, density: float = 1.0) -> float:
    """E h_min = Gamma(1 + 1/d) (2 / (N (N-1) V_d c))^(1/d), c the integral of pi^2 (docs/theory.md, 1)."""
    check_points(count)
    return float(math.gamma(1 + 1 / dimension) * _scale(count, dimension, density))


def lower_bound(count: int, dimension: int, peak: float, delta: float = DELTA) -> float:
    """The paper's Theorem 4: h_min is at least this with probability at least 1 - delta."""
    return float(delta ** (1 / dimension) * _scale(count, dimension, peak))


def upper_bound(count: int, dimension: int, peak: float, delta: float = DELTA) -> float:
    """The paper's upper bound for biased densities, with its constant C (which is not public) set to 1."""
    return float((-math.log(delta) / (peak * (count - 1) * ball_volume(dimension))) ** (1 / dimension))


def _scale(count: int, dimension: int, density: float) -> float:
    return float((2 / (count * (count - 1) * ball_volume(dimension) * density)) ** (1 / dimension))


def torus_h_min(points: Float64Array, guess: float) -> float:
    """The smallest distance between two points of the unit torus.

    Args:
        points: (N, d) in [0, 1)^d, distinct.
        guess: about the answer; only speed depends on it.

    Raises:
        InputError: fewer than two points, or equal ones.
    """
    from scipy.spatial import cKDTree

    check_points(len(points))
    check_distinct(points)
    tree = cKDTree(points, boxsize=1.0)
    reach = guess
    while True:
        pairs = tree.query_pairs(reach, output_type="ndarray")
        if len(pairs):
            gap = np.abs(points[pairs[:, 0]] - points[pairs[:, 1]])
            gap = np.minimum(gap, 1.0 - gap)
            return float(np.sqrt((gap**2).sum(axis=1).min()))
        reach *= 1.5


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Measures h_min over N, d and 24 densities on the torus, where there are no edges to bias it.

    Args:
        seeds: independent sets per cell; by default as many as bring the mean's error to 4 % (8 % if quick).
    """
    spread = 0.08 if quick else 0.04
    grid = _measure_grid(seeds, spread, progress)
    densities, ratios, peaks = _measure_densities(seeds, spread, progress)
    lines = [_line(d, row) for d, row in zip(DIMENSIONS, grid, strict=True)]
    pooled = _exponential(grid)
    low, high = min(line.ratio_low for line in lines), max(line.ratio_high for line in lines)
    return Result(
        name="law",
        title="What h_min to expect of random points",
        claim="N (N-1) V_d h_min^d (integral of pi^2) / 2 tends to Exp(1) (ours).",
        settings={"sizes": SIZES, "dimensions": DIMENSIONS, "delta": DELTA, "seeds": seeds},
        tables=(_uniform_table(lines), _density_table(densities, ratios, peaks)),
        verdict=f"the sharp law holds within {low:.2f}–{high:.2f} (uniform) and {span(ratios)} (biased; pi_max in "
        f"its place errs up to {peaks.max():.1f}x); the paper's lower bound is tight, its upper bound holds but "
        "has the wrong order in N.",
        outcome="holds" if low > 0.8 and high < 1.2 else "holds in part",
        numbers={
            "worst slope error": max(abs(line.slope + 2 / line.dimension) for line in lines),
            "law ratio, least": low,
            "law ratio, most": high,
            "collision ratio, least": float(ratios.min()),
            "collision ratio, most": float(ratios.max()),
            "peak ratio, most": float(peaks.max()),
            "lower bound broken, most": max(line.below for line in lines),
            "Kolmogorov distance to Exp(1)": _kolmogorov(pooled),
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


@dataclass(frozen=True)
class Line:
    """Uniform points in one dimension d, over all N.

    Attributes:
        dimension: d.
        sets: independent sets per N.
        slope: of log mean h_min on log N.
        ratio_low, ratio_high: least and most of mean h_min over the law.
        below: share of the sets below the paper's lower bound.
        loose: the paper's upper bound over mean h_min at the largest N.
    """

    dimension: int
    sets: int
    slope: float
    ratio_low: float
    ratio_high: float
    below: float
    loose: float


def _line(d: int, row: list[Float64Array]) -> Line:
    means = np.array([h.mean() for h in row])
    ratio = means / np.array([expected_h_min(n, d) for n in SIZES])
    below = [np.mean(h < lower_bound(n, d, 1.0)) for n, h in zip(SIZES, row, strict=True)]
    return Line(
        dimension=d,
        sets=len(row[0]),
        slope=float(np.polyfit(np.log(SIZES), np.log(means), 1)[0]),
        ratio_low=float(ratio.min()),
        ratio_high=float(ratio.max()),
        below=float(np.mean(below)),
        loose=upper_bound(SIZES[-1], d, 1.0) / float(means[-1]),
    )


def _uniform_table(lines: list[Line]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (e.dimension, e.sets, e.slope, -2 / e.dimension, e.ratio_low, e.ratio_high, e.below, e.loose)
        for e in lines
    ]
    columns = ("d", "sets per N", "slope of log h_min on log N", "-2/d", "measured / law, least", "most")
    bounds = (f"below the paper's lower bound (at most {DELTA:g})", "upper bound / measured at N = 1024")
    return Table("Uniform points on the torus", columns + bounds, tuple(rows))


def _density_table(densities: list[Density], ratios: Float64Array, peaks: Float64Array) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (each.dimension, each.share, each.side, float(ratio), float(peak))
        for each, ratio, peak in zip(densities, ratios, peaks, strict=True)
    ]
    columns = ("d", "share in the cube", "side", "collision entropy", "pi_max in its place")
    return Table("Biased densities, N = 512: measured mean / law", columns, tuple(rows))


def _sets(seeds: int | None, dimension: int, spread: float) -> int:
    """How many sets give the mean an error of ``spread``: h_min varies by about 1.28 / d of itself."""
    return seeds or max(12, math.ceil((1.28 / dimension / spread) ** 2))


def _measure_grid(seeds: int | None, spread: float, progress: Progress) -> list[list[Float64Array]]:
    """h_min of every set: [dimension][size] -> (sets,)."""
    grid: list[list[Float64Array]] = []
    for done, d in enumerate(DIMENSIONS):
        uniform = Density(d)
        row = []
        for n in SIZES:
            sets = range(_sets(seeds, d, spread))
            guess = 1.5 * expected_h_min(n, d)
            row.append(np.array([torus_h_min(uniform.draw(generator(21, d, n, s), n), guess) for s in sets]))
        grid.append(row)
        progress("law: uniform", done + 1, len(DIMENSIONS))
    return grid


def _measure_densities(
    seeds: int | None, spread: float, progress: Progress
) -> tuple[list[Density], Float64Array, Float64Array]:
    """24 densities, with the mean h_min over the law of the collision entropy, and over that of pi_max."""
    densities = [Density(d, p, s) for d in (1, 2, 3) for p in (0.1, 0.3, 0.6, 0.9) for s in (0.1, 0.5)]
    ratios, peaks = [], []
    for done, density in enumerate(densities):
        law = expected_h_min(512, density.dimension, density.collision)
        sets = range(_sets(seeds, density.dimension, spread))
        mean = np.mean([torus_h_min(density.draw(generator(22, done, s), 512), 1.5 * law) for s in sets])
        ratios.append(mean / law)
        peaks.append(mean / expected_h_min(512, density.dimension, density.peak))
        progress("law: biased", done + 1, len(densities))
    return densities, np.array(ratios), np.array(peaks)


def _exponential(grid: list[list[Float64Array]]) -> Float64Array:
    """N (N-1) V_d h^d / 2 of every set: Exp(1) by the law. Every cell gives equally many values."""
    share = min(len(h) for row in grid for h in row)
    scaled = [
        n * (n - 1) * ball_volume(d) * h[:share] ** d / 2
        for d, row in zip(DIMENSIONS, grid, strict=True)
        for n, h in zip(SIZES, row, strict=True)
    ]
    return np.sort(np.concatenate(scaled))


def _kolmogorov(values: Float64Array) -> float:
    """The largest gap between the distribution of the values and Exp(1)."""
    law = 1.0 - np.exp(-values)
    rank = np.arange(len(values) + 1) / len(values)
    return float(np.maximum(np.abs(law - rank[1:]), np.abs(law - rank[:-1])).max())


def draw(result: Result) -> Figure:
    """h_min against N with law and bounds, the exponential limit, and the two laws on biased densities."""
    figure, axes = panels(3)
    _draw_sizes(axes[0], result)
    scaled = result.series["scaled"]
    axes[1].plot(scaled, np.linspace(0, 1, 201)[1:-1], color=COLOURS[0], label="measured, all N and d")
    axes[1].plot(scaled, 1 - np.exp(-scaled), color=INK, linestyle="--", linewidth=1.1, label="Exp(1)")
    axes[1].set(
        xlabel=r"$N(N-1)\,V_d\,h_{\min}^d\,/\,2$",
        ylabel="share of sets below",
        title="The limit is exponential",
    )
    axes[1].legend(loc="lower right")
    order = np.argsort(result.series["peak ratio"])
    for key, name, index in (
        ("collision ratio", r"$\int\pi^2$ (ours)", 0),
        ("peak ratio", r"$\pi_{\max}$", 1),
    ):
        axes[2].plot(result.series[key][order], MARKERS[index], color=COLOURS[index], label=name)
    axes[2].axhline(1.0, color=INK, linewidth=1.0)
    axes[2].set(
        xlabel="24 biased densities", ylabel="measured / law", title="Collision entropy decides, not the peak"
    )
    axes[2].legend(loc="upper left", title="law with")
    return figure


def _draw_sizes(axis: Axes, result: Result) -> None:
    for index, d in enumerate(DIMENSIONS):
        colour = COLOURS[index]
        axis.fill_between(
            SIZES,
            result.series["low"][index],
            result.series["high"][index],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
        axis.plot(SIZES, result.series["mean"][index], MARKERS[index], color=colour, label=f"d = {d}")
        axis.plot(SIZES, [expected_h_min(n, d) for n in SIZES], color=colour, linewidth=1.1)
        axis.plot(SIZES, [lower_bound(n, d, 1.0) for n in SIZES], color=colour, linewidth=0.9, linestyle=":")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="N",
        ylabel=r"$h_{\min}$",
        title="Points: measured; line: sharp law; dots: lower bound",
    )
    plain_ticks(axis.xaxis, SIZES)
    axis.legend(loc="lower left", ncols=2)
