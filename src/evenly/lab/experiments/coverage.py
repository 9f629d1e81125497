"""The objections raised in peer review, each answered by a measurement: N, far clusters, outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from evenly.lab import descent, designs, labels, networks
from evenly.lab.experiments.law import Density, ball_volume, expected_h_min
from evenly.lab.figures import COLOURS, MARKERS, panels, plain_ticks
from evenly.lab.geometry import fill_distance, nearest_distances, separation
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Int64Array, Progress, silent
from evenly.words import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (64, 128, 256, 512, 1024)
DIMENSION = 2
CROWDED = Density(DIMENSION, share=0.7, side=0.2)
PICKS = 64  # of the far-clusters pool
BRIDGE = 40  # its points between the clusters
CLEAN, GARBAGE, KEPT = 470, 30, 250  # the outlier pool: 6 % garbage, half kept
NEIGHBOURS, TRIMMED = 8, 0.10  # the guard: the loneliest tenth by the distance to the 8th neighbour


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Measures h_min against N, two far clusters with a bridge, and outliers without and with a guard."""
    seeds = seeds or (6 if quick else 24)
    sizes = _over_sizes(seeds)
    progress("coverage", 1, 3)
    far = _far_clusters(seeds)
    progress("coverage", 2, 3)
    guard = _outliers(min(seeds, 3 if quick else 8), 300 if quick else 1000, device)
    progress("coverage", 3, 3)
    raw, normal = sizes["uniform: h_min"], sizes["uniform: normalised"]
    numbers = {
        "raw h_min falls by": float(raw[0] / raw[-1]),
        "normalised h_min, least": float(normal.min()),
        "normalised h_min, most": float(normal.max()),
        "normalised h_min of crowded, most": float(sizes["crowded: normalised"].max()),
        "far clusters: fill, max-min": far.fill_max_min,
        "far clusters: fill, random": far.fill_random,
        "far clusters: bridge share of picks": far.bridge_share,
    }
    for arm, seen in guard.items():
        numbers |= {f"outliers: share taken, {arm}": seen.share, f"outliers: test error, {arm}": seen.error}
    normalised = numbers["normalised h_min, least"] > 0.5 and numbers["normalised h_min, most"] < 2.0
    guarded = guard["max-min, guarded"].share < 0.3 * guard["max-min"].share
    return Result(
        name="coverage",
        title="The objections of peer review",
        claim="h_min shrinks with N; far clusters trap the greedy order; max-min picks outliers (reviewers).",
        settings={"N": SIZES, "d": DIMENSION, "seeds": seeds, "picks": PICKS, "trimmed": TRIMMED},
        tables=(_size_table(sizes), _far_table(far), _guard_table(guard)),
        verdict=f"raw h_min falls {numbers['raw h_min falls by']:.0f}x with N, the normalised one stays "
        f"{normal.min():.2f}–{normal.max():.2f}; far clusters do not trap the order (fill "
        f"{far.fill_max_min:.2f} against {far.fill_random:.2f} of random picks); max-min does take "
        f"{guard['max-min'].share:.0%} of the garbage, with the guard {guard['max-min, guarded'].share:.0%}.",
        outcome="holds" if normalised and guarded and far.fill_max_min < far.fill_random else "holds in part",
        numbers=numbers,
        series={**sizes, "pool": far.pool, "max-min picks": far.picks, "random picks": far.random},
    )


def _over_sizes(seeds: int) -> dict[str, Float64Array]:
    """For each design, means over the seeds of h_min and its normalised forms, (sizes,) each."""
    series: dict[str, Float64Array] = {}
    for name in ("uniform", "crowded", "max-min"):
        table = np.array([[_evenness(_sized(name, n, seed)) for seed in range(seeds)] for n in SIZES])
        for column, measure in enumerate(("h_min", "normalised", "Clark-Evans", "mesh ratio", "scaled fill")):
            series[f"{name}: {measure}"] = np.mean(table[:, :, column], axis=1)
    return series


def _sized(name: str, count: int, seed: int) -> Float64Array:
    random = designs.generator(41, count, seed)
    if name == "crowded":
        return 2.0 * CROWDED.draw(random, count) - 1.0
    pool = designs.uniform(random, 2 * count, DIMENSION)
    return pool[designs.max_min(pool, count)] if name == "max-min" else pool[:count]


def _evenness(points: Float64Array) -> tuple[float, ...]:
    """h_min, h_min / E h_min(uniform), Clark-Evans ratio, mesh ratio, fill * N^(1/d)."""
    count, d = points.shape
    axis = np.linspace(-1.0, 1.0, 65)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, d)
    h_min, fill = separation(points), fill_distance(grid, points)
    side = 2.0  # of the cube, against the law's unit cube
    expected_nearest = math.gamma(1 + 1 / d) * (side**d / (count * ball_volume(d))) ** (1 / d)
    clark_evans = float(nearest_distances(points).mean()) / expected_nearest
    return (
        h_min,
        h_min / (side * expected_h_min(count, d)),
        clark_evans,
        fill / h_min,
        fill * count ** (1 / d),
    )


@dataclass(frozen=True, eq=False)
class FarClusters:
    """Two dense far clusters joined by a sparse bridge: what greedy and random picks make of them."""

    fill_max_min: float
    fill_random: float
    bridge_share: float
    oscillation: float
    pool: Float64Array
    picks: Float64Array
    random: Float64Array


def _far_clusters(seeds: int) -> FarClusters:
    """Medians over the seeds; the points kept for the figure are those of seed 0."""
    rows = []
    for seed in range(seeds):
        random = designs.generator(42, seed)
        pool = _far_pool(random)
        picks = designs.max_min(pool, PICKS)
        chosen = random.choice(len(pool), PICKS, replace=False)
        on_bridge = picks < BRIDGE
        # A switch is two picks in a row in different clusters; an order that only oscillates has share 1.
        side = np.sign(pool[picks, 0])
        switches = np.mean((side[1:] != side[:-1]) & ~on_bridge[1:] & ~on_bridge[:-1])
        fills = (fill_distance(pool, pool[picks]), fill_distance(pool, pool[chosen]))
        rows.append((*fills, on_bridge.sum() / BRIDGE, switches))
        if seed == 0:
            first = (pool, picks, chosen)
    fill_max_min, fill_random, share, jumps = (float(each) for each in np.median(rows, axis=0))
    pool, picks, chosen = first
    return FarClusters(fill_max_min, fill_random, share, jumps, pool, pool[picks], pool[chosen])


def _far_pool(random: designs.Generator) -> Float64Array:
    """40 bridge points first, then two clusters of 480 points at -3 and 3, of standard deviation 0.15."""
    bridge = np.column_stack([random.uniform(-2.5, 2.5, BRIDGE), 0.05 * random.standard_normal(BRIDGE)])
    sides = [np.array([centre, 0.0]) + 0.15 * random.standard_normal((480, 2)) for centre in (-3.0, 3.0)]
    return np.concatenate([bridge, *sides])


@dataclass(frozen=True)
class Outliers:
    """One arm on a pool with garbage: the share taken, the test error over the variance, paired wins."""

    share: float
    error: float
    wins: int
    seeds: int


def _outliers(seeds: int, steps: int, device: str) -> dict[str, Outliers]:
    """What each arm takes of the garbage, and what it costs on clean points."""
    arms = ("random", "max-min", "max-min, guarded")
    points, targets, taken, tests = [], [], [], []
    for arm in arms:
        for seed in range(seeds):
            random = designs.generator(43, seed)
            clean = designs.uniform(random, CLEAN, DIMENSION)
            garbage = designs.uniform(random, GARBAGE, DIMENSION) * 3.0
            pool = np.concatenate([clean, garbage])
            target = labels.smooth_target(random, DIMENSION)
            values = np.concatenate([target(clean), random.standard_normal(GARBAGE)])
            rows = _arm_rows(arm, pool, random)
            taken.append(np.mean(np.isin(np.arange(CLEAN, len(pool)), rows)))
            points.append(pool[rows])
            targets.append(values[rows])
            test = designs.uniform(random, 500, DIMENSION)
            tests.append((test, target(test)))
    network = networks.mlp(DIMENSION)
    x, y = torch.tensor(np.array(points), device=device), torch.tensor(np.array(targets), device=device)
    theta = network.init(list(range(seeds)) * len(arms), device)
    theta = descent.descend(network, theta, x, y, rate=3e-3, steps=steps, optimiser="adam").theta
    with torch.no_grad():
        fitted = network(theta, torch.tensor(np.array([t for t, _ in tests]), device=device)).cpu().numpy()
    truth = np.array([values for _, values in tests])
    error = np.mean((fitted - truth) ** 2, axis=1) / np.var(truth, axis=1)
    shares = np.array(taken).reshape(len(arms), seeds).mean(axis=1)
    errors = error.reshape(len(arms), seeds)
    wins = (errors < errors[1]).sum(axis=1)  # against max-min without the guard, seed by seed
    return {
        arm: Outliers(float(shares[i]), float(np.median(errors[i])), int(wins[i]), seeds)
        for i, arm in enumerate(arms)
    }


def _arm_rows(arm: str, pool: Float64Array, random: designs.Generator) -> Int64Array:
    chosen = random.choice(len(pool), KEPT, replace=False).astype(np.int64)
    if arm == "random":
        return chosen
    if arm == "max-min":
        return designs.max_min(pool, KEPT)
    radius = nearest_distances(pool, NEIGHBOURS)
    inside = np.sort(np.argsort(radius, kind="stable")[: round((1 - TRIMMED) * len(pool))])
    return inside[designs.max_min(pool[inside], KEPT)]


def _size_table(sizes: dict[str, Float64Array]) -> Table:
    measures = ("h_min", "normalised", "Clark-Evans", "mesh ratio", "scaled fill")
    rows: list[tuple[Cell, ...]] = [
        (name, n, *[float(sizes[f"{name}: {measure}"][i]) for measure in measures])
        for name in ("uniform", "crowded", "max-min")
        for i, n in enumerate(SIZES)
    ]
    columns = (
        "points",
        "N",
        "h_min",
        "h_min / E h_min(uniform)",
        "Clark-Evans",
        "mesh ratio",
        "fill N^(1/d)",
    )
    return Table('"h_min shrinks with N": means', columns, tuple(rows))


def _far_table(far: FarClusters) -> Table:
    columns = (
        "picks",
        "fill, max-min",
        "fill, random",
        "bridge points picked",
        "picks that jump between clusters",
    )
    row: tuple[Cell, ...] = (PICKS, far.fill_max_min, far.fill_random, far.bridge_share, far.oscillation)
    return Table('"Two far clusters trap the greedy order": medians', columns, (row,))


def _guard_table(guard: dict[str, Outliers]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (arm, seen.share, seen.error, "–" if arm == "max-min" else f"{seen.wins} of {seen.seeds}")
        for arm, seen in guard.items()
    ]
    columns = ("half kept by", "garbage taken", "median test error / variance", "tests better than max-min")
    return Table('"Max-min picks outliers": 6 % garbage, half kept', columns, tuple(rows))


def draw(result: Result) -> Figure:
    """h_min raw and normalised against N, the far clusters with their picks, and the outliers' arms."""
    figure, axes = panels(3)
    for index, name in enumerate(("uniform", "crowded", "max-min")):
        axes[0].plot(
            SIZES, result.series[f"{name}: h_min"], color=COLOURS[index], linestyle="--", linewidth=1.0
        )
        normal = result.series[f"{name}: normalised"]
        axes[0].plot(SIZES, normal, MARKERS[index] + "-", color=COLOURS[index], label=name)
    axes[0].set(
        xscale="log", yscale="log", xlabel="N", ylabel=r"$h_{\min}$: raw (dashed), normalised (solid)"
    )
    plain_ticks(axes[0].xaxis, SIZES)
    axes[0].set_title("Normalised, it does not shrink with N")
    axes[0].set_ylim(1e-5, 1e3)
    axes[0].legend(loc="upper left", ncols=3)
    pool = result.series["pool"]
    axes[1].plot(*pool.T, ".", color=COLOURS[6], markersize=2, alpha=0.5, label="pool")
    for index, (key, shift) in enumerate((("max-min picks", 0.0), ("random picks", -1.5))):
        picks = result.series[key]
        axes[1].plot(
            picks[:, 0], picks[:, 1] + shift, MARKERS[index], color=COLOURS[index], markersize=3.5, label=key
        )
    axes[1].set(title="The bridge is found (random picks shown below)", yticks=[], xlabel="")
    axes[1].legend(loc="upper center", ncols=3, markerscale=1.4)
    axes[1].set_ylim(-2.2, 1.4)
    _draw_guard(axes[2], result)
    return figure


def _draw_guard(axis: Axes, result: Result) -> None:
    arms = ("random", "max-min", "max-min, guarded")
    shares = [100 * result.numbers[f"outliers: share taken, {arm}"] for arm in arms]
    bars = axis.bar(arms, shares, color=[COLOURS[4], COLOURS[0], COLOURS[2]], width=0.6)
    notes = [f"test error\n{result.numbers[f'outliers: test error, {arm}']:.2g}" for arm in arms]
    axis.bar_label(bars, notes, fontsize=8, padding=2)
    axis.set(ylim=(0, 125), ylabel="garbage taken, %", title="Outliers are taken; the guard helps")
    axis.grid(visible=False, axis="x")
