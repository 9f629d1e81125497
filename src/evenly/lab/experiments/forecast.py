"""The forecast: from geometry and label roughness alone, will an even half train faster here?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from evenly.lab import designs, geometry, labels, networks
from evenly.lab.descent import GradientDescent, steps_to
from evenly.lab.geometry import rank_correlation
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import INK, frame, look, panels
from evenly.types import Float64Array
from evenly.words import span

POINTS = 32
DIMENSION = 4
SHARE = 0.03  # of the loss, at which sets are compared
SETS = 40
RATE = 5e-3
TRAINERS = {name: GradientDescent(network, RATE) for name, network in networks.small(DIMENSION).items()}
REPEATS = (
    6  # trainings of each of the 40 sets, with other labels and first parameters; log steps are averaged
)
SEEDS, STEPS = 4, 1200  # pools per design and label model, and most steps
POOL_REPEATS = 2  # trainings of each half of a pool, with other first parameters

FAMILIES: dict[str, tuple[designs.Design, ...]] = {  # of pools, twice as large as a set
    "uniform and biased": (
        designs.uniform,
        partial(designs.biased, power=2.0),
        partial(designs.biased, power=3.0),
    ),
    "clustered": (
        partial(designs.clusters, centres=4, width=0.3),
        partial(designs.clusters, centres=8, width=0.15),
        partial(designs.near_copies, pairs=POINTS // 2, distance=0.1, apart=False),
    ),
}
FITTED_ON, TESTED_ON = FAMILIES
MEASURES: dict[str, Callable[[Float64Array], float]] = {
    "Riesz-2 energy": geometry.riesz_energy,
    "spectral time": lambda points: geometry.spectral_time(geometry.kernel_eigenvalues(points), 1.0, SHARE),
    "1 / h_min": lambda points: 1.0 / geometry.separation(points),
}
REACHABLE = "a perfect forecast, as the repeats agree"
PARTS = ("forecast", "measured")
RANK, RIGHT, ALWAYS = "rank correlation", "right about the half", "max-min faster in"


@dataclass(frozen=True, eq=False)
class Skill:
    """How well the forecast does for one network on a family of pools that it was not fitted on.

    Attributes:
        weights: (3,) of log spectral-time ratio, roughness, and 1, fitted by least squares on the other family.
        low, high: (3,) the range of the features it was fitted on.
        forecast: (pools,) log (random steps / max-min steps).
        repeats: (repeats, pools) the same, measured.
    """

    weights: Float64Array
    low: Float64Array
    high: Float64Array
    forecast: Float64Array
    repeats: Float64Array

    @property
    def measured(self) -> Float64Array:
        """(pools,) the mean of the repeats."""
        return np.asarray(self.repeats.mean(axis=0), dtype=np.float64)

    def record(self) -> dict[str, float]:
        """Rank correlation of forecast and measurement, what a perfect forecast would reach, the share of the pools
        on which it names the faster half, and on which "max-min" would, which it has to beat."""
        return {
            RANK: rank_correlation(self.forecast, self.measured),
            "reachable": reachable(self.repeats),
            RIGHT: float(np.mean(np.sign(self.forecast) == np.sign(self.measured))),
            ALWAYS: float(np.mean(self.measured > 0)),
        }


def run(setup: Setup) -> Result:
    """Ranks 40 sets by geometry, then forecasts which half is faster: fitted on one family, tested on another.

    Seeds are pools per design and label model in the second part.
    """
    names = list(TRAINERS)[: setup.size(1, None)]
    points = [_mixed_bag(index) for index in range(SETS)]
    scores = {measure: np.array([score(x) for x in points]) for measure, score in MEASURES.items()}
    taken = {name: _set_steps(name, points, setup) for name in names}
    ranking = {
        measure: {name: rank_correlation(score, taken[name].mean(axis=0)) for name in names}
        for measure, score in scores.items()
    } | {REACHABLE: {name: reachable(taken[name]) for name in names}}
    skills = {name: measure_skill(name, setup) for name in names}
    numbers: dict[str, Number] = {
        f"rank correlation, {measure}, {name}": ranking[measure][name]
        for name in names
        for measure in ranking
    }
    records = {name: skill.record() for name, skill in skills.items()}
    for name, record in records.items():
        numbers |= {f"forecast, rank correlation on the other family, {name}": record[RANK]}
        numbers |= {f"forecast, right about which half, {name}": record[RIGHT]}
        numbers |= {f"forecast, max-min faster in, {name}": record[ALWAYS]}
        numbers |= {f"forecast, reachable, {name}": record["reachable"]}
    best = list(ranking["Riesz-2 energy"].values())
    ranks, right, always = ([record[key] for record in records.values()] for key in (RANK, RIGHT, ALWAYS))
    weights = ("weight of spectral time", "of roughness", "constant")
    tested = [
        {"network": name, "pools": len(skill.forecast)}
        | records[name]
        | dict(zip(weights, skill.weights, strict=True))
        for name, skill in skills.items()
    ]
    title = "40 sets, independent labels: rank correlation with the steps to 3 % of the loss"
    return Result(
        name="forecast",
        title="A forecast from geometry and label roughness",
        claim="Pair distances and label roughness say beforehand whether an even half trains faster (ours).",
        settings={"N": POINTS, "d": DIMENSION, "seeds": _seeds(setup)}
        | {"steps": setup.size(600, STEPS), "rate": RATE, "share": SHARE},
        tables=(
            ResultTable.of(title, [{"measure": measure} | each for measure, each in ranking.items()]),
            ResultTable.of(f"Fitted on {FITTED_ON}, tested on {TESTED_ON}", tested),
        ),
        verdict=f"fitted on {FITTED_ON} pools and tested on {TESTED_ON} ones, the forecast of random / max-min "
        f"ranks at {span(ranks)} and names the faster half in {span(right, '.0%')} (always saying max-min: "
        f"{span(always, '.0%')}); with independent labels Riesz-2 energy ranks "
        f"sets by their steps at {span(best)} (aim 0.9; it was chosen among many on sets like these).",
        outcome="holds" if min(best) > 0.9 and min(right) > 0.75 else "holds in part",
        numbers=numbers,
        series={"energy": scores["Riesz-2 energy"]}
        | {f"steps: {name}": each.mean(axis=0) for name, each in taken.items()}
        | {f"{part}: {name}": getattr(skill, part) for name, skill in skills.items() for part in PARTS},
    )


def _seeds(setup: Setup) -> int:
    """Pools per design and label model."""
    return setup.seeds or setup.size(2, SEEDS)


def _mixed_bag(index: int) -> Float64Array:
    """One of 40 sets of 32 points: even, random, biased, clustered, or with near copies."""
    random = designs.generator(94, index)
    kind, level = index % 5, index // 5  # level 0 … 7
    if kind == 0:
        return designs.even(random, POINTS, DIMENSION, 1 + level)
    if kind == 1:
        return designs.uniform(random, POINTS, DIMENSION)
    if kind == 2:
        return designs.biased(random, POINTS, DIMENSION, 1.5 + 0.5 * level)
    if kind == 3:
        return designs.clusters(random, POINTS, DIMENSION, 2 + level, 0.35)
    return designs.near_copies(random, POINTS, DIMENSION, pairs=1 + level, distance=0.2)


def _set_steps(name: str, points: list[Float64Array], setup: Setup) -> Float64Array:
    """Log steps on the 40 sets with independent labels, other ones in each repeat: (repeats, sets)."""
    values = [
        [
            labels.draw_labels("independent", designs.generator(92, index, repeat), x).values
            for index, x in enumerate(points)
        ]
        for repeat in range(setup.size(3, REPEATS))
    ]
    return _log_steps(name, points, values, setup, "40 sets")


def _log_steps(
    name: str, points: list[Float64Array], values: list[list[Float64Array]], setup: Setup, stage: str
) -> Float64Array:
    """Log steps to 3 % of variance 1, log of the cap where cut off, (repeats, sets).

    Points are those of every set, values the labels of every repeat and set; each repeat has first parameters of
    its own.
    """
    trainer, steps = TRAINERS[name], setup.size(600, STEPS)
    theta = trainer.network.init([seed for seed in range(len(values)) for _ in points], setup.device)
    targets = np.array(values).reshape(len(theta), -1)
    told = partial(setup.progress, f"forecast: {stage}, {name}")
    run = trainer.train(theta, points * len(values), targets, steps=steps, until=SHARE / 2, told=told)
    taken: Float64Array = np.log(np.minimum(steps_to(run.losses, SHARE / 2), steps))
    return taken.reshape(len(values), -1)


def reachable(repeats: Float64Array) -> float:
    """The rank correlation that a perfect forecast would have with the mean of noisy repeats (m, sets).

    From the mean rank correlation r of two repeats, by Spearman and Brown: sqrt(m r / (1 + (m - 1) r)).
    """
    pairs = combinations(repeats, 2)
    agreement = max(0.0, float(np.mean([rank_correlation(first, second) for first, second in pairs])))
    return float(np.sqrt(len(repeats) * agreement / (1.0 + (len(repeats) - 1) * agreement)))


def features(random: Float64Array, even: Float64Array, roughness: float) -> Float64Array:
    """What the forecast sees of two halves: the log ratio of their spectral times, the roughness, and 1."""
    times = [
        geometry.spectral_time(geometry.kernel_eigenvalues(half), min(roughness, 1.0), SHARE)
        for half in (random, even)
    ]
    return np.array([np.log(times[0] / times[1]), roughness, 1.0])


def measure_skill(name: str, setup: Setup) -> Skill:
    """Fits the forecast for one network on one family of pools and tests it on the other."""
    fitted, repeats = _family(name, FITTED_ON, setup)
    weights = np.asarray(np.linalg.lstsq(fitted, repeats.mean(axis=0), rcond=None)[0], dtype=np.float64)
    inputs, repeats = _family(name, TESTED_ON, setup)
    return Skill(weights, fitted.min(axis=0), fitted.max(axis=0), inputs @ weights, repeats)


def _family(name: str, family: str, setup: Setup) -> tuple[Float64Array, Float64Array]:
    """Features (pools, 3) and measured log ratios (repeats, pools) of every pool of a family."""
    halves: list[Float64Array] = []
    values: list[Float64Array] = []
    inputs: list[Float64Array] = []
    for key, draw_points in enumerate(FAMILIES[family]):
        for model in labels.LABEL_MODELS:
            for seed in range(_seeds(setup)):
                random = designs.generator(93, list(FAMILIES).index(family), key, seed)
                pool = draw_points(random, 2 * POINTS, DIMENSION)
                drawn = labels.draw_labels(model, random, pool).values
                rows = [random.choice(2 * POINTS, POINTS, replace=False), designs.max_min(pool, POINTS)]
                halves += [pool[each] for each in rows]
                values += [drawn[each] for each in rows]
                inputs.append(features(halves[-2], halves[-1], labels.roughness(pool, drawn)))
    taken = _log_steps(name, halves, [values] * POOL_REPEATS, setup, family)
    return np.array(inputs), taken[:, 0::2] - taken[:, 1::2]


def draw(result: Result) -> Figure:
    """Steps against Riesz energy over 40 sets, and the forecast against what was measured on the other family."""
    figure, (sets, pools) = panels(2)
    forecast, measured = result.series_of("forecast: "), result.series_of("measured: ")
    for index, (name, steps) in enumerate(result.series_of("steps: ").items()):
        rank = result.numbers[f"rank correlation, Riesz-2 energy, {name}"]
        most = result.numbers[f"rank correlation, {REACHABLE}, {name}"]
        line = look(index, alpha=0.8)
        sets.plot(result.series["energy"], np.exp(steps), label=f"{name}: {rank:.2f} of {most:.2f}", **line)
        rank = result.numbers[f"forecast, rank correlation on the other family, {name}"]
        most = result.numbers[f"forecast, reachable, {name}"]
        label = f"{name}: {rank:.2f} of {most:.2f}"
        pools.plot(np.exp(forecast[name]), np.exp(measured[name]), label=label, **line)
    pools.axline((1, 1), slope=1, color=INK, linewidth=1.0)
    pools.axhline(1, color=INK, linewidth=0.8, linestyle=":")
    pools.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    legend = {"loc": "lower right", "title": "rank correlation (of reachable)", "title_fontsize": 8.5}
    energies, steps_shown, ratios = (1.5, 2, 3, 5, 10), (100, 200, 500, 1000), (0.5, 1, 2, 4)
    frame(
        sets, "40 sets with independent labels", "Riesz-2 energy", "steps to 3 % of the loss",
        log="xy", x_ticks=energies, y_ticks=steps_shown, legend=legend,
    )  # fmt: skip
    sets.set_ylim(15, 2000)
    title = "Random / even half in steps, other family"
    frame(pools, title, "forecast", "measured", log="xy", x_ticks=ratios, y_ticks=ratios, legend=legend)
    pools.set_ylim(0.1, 8)
    return figure
