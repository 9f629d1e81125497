"""The objections raised in peer review, each answered by a measurement: N, far clusters, outliers."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from evenly.lab import designs, labels, networks
from evenly.lab.descent import GradientDescent
from evenly.lab.experiments.law import SIZES, DensityProfile, ball_volume, expected_h_min
from evenly.lab.geometry import fill_distance, nearest_distances, separation
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import COLOURS, frame, look, panels
from evenly.types import Float64Array, Int64Array

DIMENSION = 2
CROWDED = DensityProfile(DIMENSION, share=0.7, side=0.2)
SETS = ("uniform", "crowded", "max-min")
EVENNESS = {  # a measure, and its column
    "h_min": "h_min",
    "normalised": "h_min / E h_min(uniform)",
    "Clark-Evans": "Clark-Evans",
    "mesh ratio": "mesh ratio",
    "scaled fill": "fill N^(1/d)",
}
PICKS = 64  # of the far-clusters pool
BRIDGE = 40  # its points between the clusters
CLEAN, GARBAGE, KEPT = 470, 30, 250  # the outlier pool: 6 % garbage, half kept
NEIGHBOURS, TRIMMED = 8, 0.10  # the guard: the loneliest tenth by the distance to the 8th neighbour
GUARDED = "max-min, guarded"
ARMS = ("random", "max-min", GUARDED)
TRAINER = GradientDescent(networks.mlp(DIMENSION), rate=3e-3)


def run(setup: Setup) -> Result:
    """Measures h_min against N, two far clusters with a bridge, and outliers without and with a guard."""
    seeds = setup.seeds or setup.size(6, 24)
    sizes = _over_sizes(seeds)
    setup.progress("coverage", 1, 3)
    far, shown = _far_clusters(seeds)
    setup.progress("coverage", 2, 3)
    taken, errors = _outliers(min(seeds, setup.size(3, 8)), setup)
    setup.progress("coverage", 3, 3)
    raw, normal = sizes["uniform: h_min"], sizes["uniform: normalised"]
    numbers: dict[str, Number] = {
        "raw h_min falls by": raw[0] / raw[-1],
        "normalised h_min, least": normal.min(),
        "normalised h_min, most": normal.max(),
        "normalised h_min of crowded, most": sizes["crowded: normalised"].max(),
        "far clusters: fill, max-min": far["fill, max-min"],
        "far clusters: fill, random": far["fill, random"],
        "far clusters: bridge share of picks": far["bridge points picked"],
    }
    for arm in ARMS:
        numbers[f"outliers: share taken, {arm}"] = taken[arm]
        numbers[f"outliers: test error, {arm}"] = np.median(errors[arm])
    normalised = normal.min() > 0.5 and normal.max() < 2.0
    guarded = taken[GUARDED] < 0.3 * taken["max-min"]
    found = far["fill, max-min"] < far["fill, random"]
    return Result(
        name="coverage",
        title="The objections of peer review",
        claim="h_min shrinks with N; far clusters trap the greedy order; max-min picks outliers (reviewers).",
        settings={"N": SIZES, "d": DIMENSION, "seeds": seeds, "picks": PICKS, "trimmed": TRIMMED},
        tables=(
            _size_table(sizes),
            ResultTable.of('"Two far clusters trap the greedy order": medians', [{"picks": PICKS} | far]),
            _guard_table(taken, errors),
        ),
        verdict=f"raw h_min falls {raw[0] / raw[-1]:.0f}x with N, the normalised one stays "
        f"{normal.min():.2f}–{normal.max():.2f}; far clusters do not trap the order (fill "
        f"{far['fill, max-min']:.2f} against {far['fill, random']:.2f} of random picks); max-min does take "
        f"{taken['max-min']:.0%} of the garbage, with the guard {taken[GUARDED]:.0%}.",
        outcome="holds" if normalised and guarded and found else "holds in part",
        numbers=numbers,
        series=sizes | shown,
    )


def _over_sizes(seeds: int) -> dict[str, Float64Array]:
    """For each kind of set, means over the seeds of h_min and its normalised forms, (sizes,) each."""
    series: dict[str, Float64Array] = {}
    for name in SETS:
        table = np.array([[_evenness(_sized(name, n, seed)) for seed in range(seeds)] for n in SIZES])
        for column, measure in enumerate(EVENNESS):
            series[f"{name}: {measure}"] = np.mean(table[:, :, column], axis=1)
    return series


def _sized(name: str, count: int, seed: int) -> Float64Array:
    random = designs.generator(41, count, seed)
    if name == "crowded":
        return 2.0 * CROWDED.draw(random, count) - 1.0
    if name == "max-min":
        return designs.even(random, count, DIMENSION, 2)
    return designs.uniform(random, count, DIMENSION)


def _evenness(points: Float64Array) -> tuple[float, ...]:
    """The measures of `EVENNESS`."""
    count, d = points.shape
    h_min, fill = separation(points), fill_distance(designs.lattice(65, d), points)
    side = 2.0  # of the cube, against the law's unit cube
    expected_nearest = math.gamma(1 + 1 / d) * (side**d / (count * ball_volume(d))) ** (1 / d)
    clark_evans = float(nearest_distances(points).mean()) / expected_nearest
    normalised = h_min / (side * expected_h_min(count, d))
    return h_min, normalised, clark_evans, fill / h_min, fill * count ** (1 / d)


def _far_clusters(seeds: int) -> tuple[dict[str, Number], dict[str, Float64Array]]:
    """What greedy and random picks make of two far clusters, medians over the seeds; and the points of seed 0."""
    rows, shown = [], {}
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
            shown = {"pool": pool, "max-min picks": pool[picks], "random picks": pool[chosen]}
    names = ("fill, max-min", "fill, random", "bridge points picked", "picks that jump between clusters")
    return dict(zip(names, np.median(rows, axis=0), strict=True)), shown


def _far_pool(random: designs.Generator) -> Float64Array:
    """40 bridge points first, then two clusters of 480 points at -3 and 3, of standard deviation 0.15."""
    bridge = np.column_stack([random.uniform(-2.5, 2.5, BRIDGE), 0.05 * random.standard_normal(BRIDGE)])
    sides = [np.array([centre, 0.0]) + 0.15 * random.standard_normal((480, 2)) for centre in (-3.0, 3.0)]
    return np.concatenate([bridge, *sides])


def _outliers(seeds: int, setup: Setup) -> tuple[dict[str, Number], dict[str, Float64Array]]:
    """By arm the share of the garbage it takes, and its test errors over the variance on clean points, (seeds,)."""
    points, targets, taken, tests, truth = [], [], [], [], []
    for arm in ARMS:
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
            tests.append(designs.uniform(random, 500, DIMENSION))
            truth.append(target(tests[-1]))
    theta = TRAINER.network.init([*range(seeds)] * len(ARMS), setup.device)
    trained = TRAINER.train(theta, points, targets, steps=setup.size(300, 1000))
    fitted = TRAINER.network.fitted(trained.theta, tests)
    error = np.mean((fitted - np.array(truth)) ** 2, axis=1) / np.var(truth, axis=1)
    shares = np.array(taken).reshape(len(ARMS), seeds).mean(axis=1)
    return dict(zip(ARMS, shares, strict=True)), dict(zip(ARMS, error.reshape(len(ARMS), -1), strict=True))


def _arm_rows(arm: str, pool: Float64Array, random: designs.Generator) -> Int64Array:
    chosen = random.choice(len(pool), KEPT, replace=False).astype(np.int64)
    if arm == "random":
        return chosen
    if arm == "max-min":
        return designs.max_min(pool, KEPT)
    radius = nearest_distances(pool, NEIGHBOURS)
    inside = np.sort(np.argsort(radius, kind="stable")[: round((1 - TRIMMED) * len(pool))])
    return inside[designs.max_min(pool[inside], KEPT)]


def _size_table(sizes: dict[str, Float64Array]) -> ResultTable:
    records = [
        {"points": name, "N": n} | {column: sizes[f"{name}: {key}"][i] for key, column in EVENNESS.items()}
        for name in SETS
        for i, n in enumerate(SIZES)
    ]
    return ResultTable.of('"h_min shrinks with N": means', records)


def _guard_table(taken: dict[str, Number], errors: dict[str, Float64Array]) -> ResultTable:
    plain = errors["max-min"]
    records = [
        {
            "half kept by": arm,
            "garbage taken": taken[arm],
            "median test error / variance": np.median(error),
            "tests better than max-min": "–"
            if error is plain
            else f"{np.sum(error < plain)} of {len(error)}",
        }
        for arm, error in errors.items()
    ]
    return ResultTable.of('"Max-min picks outliers": 6 % garbage, half kept', records)


def draw(result: Result) -> Figure:
    """h_min raw and normalised against N, the far clusters with their picks, and the outliers' arms."""
    figure, (sizes, clusters, guard) = panels(3)
    for index, name in enumerate(SETS):
        raw, normal = result.series[f"{name}: h_min"], result.series[f"{name}: normalised"]
        sizes.plot(SIZES, raw, color=COLOURS[index], linestyle="--", linewidth=1.0)
        sizes.plot(SIZES, normal, label=name, **look(index, "-"))
    title, legend = "Normalised, it does not shrink with N", {"loc": "upper left", "ncols": 3}
    shown = r"$h_{\min}$: raw (dashed), normalised (solid)"
    frame(sizes, title, "N", shown, log="xy", x_ticks=SIZES, legend=legend)
    sizes.set_ylim(1e-5, 1e3)
    clusters.plot(*result.series["pool"].T, ".", color=COLOURS[6], markersize=2, alpha=0.5, label="pool")
    for index, (key, shift) in enumerate((("max-min picks", 0.0), ("random picks", -1.5))):
        x, y = result.series[key].T
        clusters.plot(x, y + shift, label=key, **look(index, markersize=3.5))
    title = "The bridge is found (random picks shown below)"
    frame(clusters, title, "", legend={"loc": "upper center", "ncols": 3, "markerscale": 1.4})
    clusters.set(yticks=[], ylim=(-2.2, 1.4))
    shares = [float(100 * result.numbers[f"outliers: share taken, {arm}"]) for arm in ARMS]
    bars = guard.bar(ARMS, shares, color=[COLOURS[4], COLOURS[0], COLOURS[2]], width=0.6)
    notes = [f"test error\n{result.numbers[f'outliers: test error, {arm}']:.2g}" for arm in ARMS]
    guard.bar_label(bars, notes, fontsize=8, padding=2)
    frame(guard, "Outliers are taken; the guard helps", "", "garbage taken, %")
    guard.set_ylim(0, 125)
    guard.grid(visible=False, axis="x")
    return figure
