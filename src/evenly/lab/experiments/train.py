"""Training on half: max-min against random, clumped and full, by network, optimiser, loss and label model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import entr
from torch import Tensor

from evenly.lab import designs, labels, networks
from evenly.lab.descent import GradientDescent, LossName, Optimiser, censored_median, median_steps, steps_to
from evenly.lab.labels import LABEL_MODELS
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import ARM_COLOURS, COLOURS, INK, MARKERS, frame, panels
from evenly.types import Float64Array, Int64Array
from evenly.words import show, span

POOL, HALF, FRESH = 64, 32, 256
DIMENSION = 4
HALVES = ("max-min", "random", "clumped")
ARMS = (*HALVES, "full")
SIZES = (HALVES, ("full",))  # arms of one size train in one call
LATE, EARLY, OWN = "to 3 %", "to 30 %", "to 3 % of its own"  # of the pool's loss, or of the set's own
BATCH = 8
NAMED = "network, optimiser, loss, labels"
KINDS = ("equal steps", "equal epochs")
PLACES = ("pool", "even")  # the pool, and 256 fresh max-min points
LABEL_COLOURS = (COLOURS[2], COLOURS[3], COLOURS[5])  # none of them an arm's
TESTED_MODELS = LABEL_MODELS[:2]  # independent labels say nothing about other points

NETWORKS = networks.small(DIMENSION)
# Tuned by hand, to about half of 2 / (top Hessian eigenvalue at the start); Adam has one rate for everything.
DESCENT_RATES = {"MLP": 0.2, "residual MLP": 0.1, "transformer": 0.02}
ADAM_RATE = 5e-3
OPTIMISERS: dict[Optimiser, str] = {"gd": "GD", "adam": "Adam"}
LOSSES: dict[LossName, str] = {"squared": "squared", "logistic": "cross-entropy"}


def _trainer(name: str, optimiser: Optimiser, loss: LossName) -> GradientDescent:
    """One rate for all arms, labels and seeds; the logistic loss has at most a quarter of the curvature."""
    descent_rate = DESCENT_RATES[name] * (1.0 if loss == "squared" else 4.0)
    return GradientDescent(
        NETWORKS[name], ADAM_RATE if optimiser == "adam" else descent_rate, optimiser, loss
    )


TRAINERS = {
    f"{name}, {of_optimiser}, {of_loss}": _trainer(name, optimiser, loss)
    for name in NETWORKS
    for optimiser, of_optimiser in OPTIMISERS.items()
    for loss, of_loss in LOSSES.items()
}


@dataclass(frozen=True, eq=False)
class Problem:
    """The pool of one seed with its labels under one label model, and the rows of each arm."""

    seed: int
    points: Float64Array
    labels: labels.Labels
    even: Float64Array  # fresh max-min points, to test on
    rows: dict[str, Int64Array]

    @staticmethod
    def draw(model: str, seed: int) -> Problem:
        random = designs.generator(81, seed)
        points = designs.uniform(random, POOL, DIMENSION)
        chosen = random.choice(POOL, HALF, replace=False).astype(np.int64)
        rows = {"max-min": designs.max_min(points, HALF), "random": chosen, "full": np.arange(POOL)}
        rows["clumped"] = designs.clumped(random, points, HALF)
        drawn = labels.draw_labels(model, designs.generator(82, seed), points)
        return Problem(
            seed, points, drawn, designs.even(designs.generator(83, seed), FRESH, DIMENSION, 8), rows
        )


@dataclass(frozen=True, eq=False)
class Race:
    """Steps of each arm to a loss.

    Attributes:
        steps: (arms, seeds); infinite where never reached.
        cap: after how many steps a run was cut off.
    """

    steps: Float64Array
    cap: int

    def shown(self) -> dict[str, str]:
        """The median of each arm as a table says it."""
        return {arm: censored_median(each, self.cap) for arm, each in zip(ARMS, self.steps, strict=True)}

    def ratio(self) -> float:
        """Random over max-min of the medians, one that was cut off taken at the cap; NaN where both were."""
        even, random = median_steps(self.steps[:2])
        if np.isinf(even) and np.isinf(random):
            return float("nan")
        return float(min(random, self.cap) / min(even, self.cap))

    def bound(self) -> str:
        """On which side the cap leaves the ratio open: ">", "<", or nothing."""
        even, random = np.isinf(median_steps(self.steps[:2]))
        return "" if even == random else ">" if random else "<"

    def shown_ratio(self) -> str:
        """The ratio as a table says it; a dash where both medians were cut off."""
        return f"{self.bound()} {show(self.ratio())}".strip()

    def wins(self) -> tuple[int, int]:
        """Seeds on which max-min is the faster, and the slower; neither where both were cut off."""
        even, random = self.steps[:2]
        return int(np.sum(even < random)), int(np.sum(even > random))


Races = dict[tuple[str, str], dict[str, Race]]  # by trainer and label model, then by goal
Errors = dict[tuple[str, str], Float64Array]  # (arms, `KINDS`, `PLACES`), medians over the seeds


def run(setup: Setup) -> Result:
    """Steps to thresholds and test errors of each arm, by trainer and label model."""
    seeds = setup.seeds or setup.size(3, 6)
    cap, test_steps = setup.size((500, 200), (1500, 400))
    trainers = {label: each for label, each in TRAINERS.items() if label.startswith(setup.size("MLP", ""))}
    problems = [Problem.draw(model, seed) for model in LABEL_MODELS for seed in range(seeds)]
    tested = problems[: len(TESTED_MODELS) * seeds]
    races: Races = {}
    errors: Errors = {}
    for label, trainer in setup.each("train", trainers.items()):
        steps = _steps(trainer, problems, cap, setup)
        for index, model in enumerate(LABEL_MODELS):
            own = slice(index * seeds, (index + 1) * seeds)
            races[label, model] = {goal: Race(each[:, own], cap) for goal, each in steps.items()}
        seen = _test_errors(trainer, tested, test_steps, setup)
        middle = np.median(seen.reshape(*seen.shape[:3], len(TESTED_MODELS), seeds), axis=-1)
        errors |= {(label, model): middle[..., i] for i, model in enumerate(TESTED_MODELS)}
    return Result(
        name="train",
        title="Does an even half train faster?",
        claim="Training on the max-min half reaches a loss in fewer steps than on a random half (paper).",
        settings={"pool": POOL, "half": HALF, "d": DIMENSION, "seeds": seeds, "most steps": cap}
        | {"steps before a test": test_steps, "batch": BATCH}
        | {"rates": {label: trainer.rate for label, trainer in trainers.items()}},
        tables=_tables(races, errors, seeds),
        verdict=_verdict(races, errors),
        outcome="holds"
        if np.nanmin([race[LATE].ratio() for race in races.values()]) > 1
        else "holds in part",
        numbers=_numbers(races, errors),
        series=_series(list(trainers), races, errors),
    )


def _data(
    problems: list[Problem], arms: tuple[str, ...], loss: LossName
) -> tuple[Float64Array, Float64Array]:
    """Points (arms * problems, n, d) and targets (arms * problems, n) of arms of one size."""
    drawn = [(problem, problem.rows[arm]) for arm in arms for problem in problems]
    values = np.array([problem.labels.values[rows] for problem, rows in drawn])
    return np.array([problem.points[rows] for problem, rows in drawn]), _targets(values, loss)


def _targets(values: Float64Array, loss: LossName) -> Float64Array:
    """The labels, or their signs for the logistic loss."""
    return values if loss == "squared" else np.where(values > 0, 1.0, -1.0)


def constant_loss(targets: Float64Array, loss: LossName) -> Float64Array:
    """The least loss of a constant prediction on targets (runs, n): variance / 2, or the entropy of the classes."""
    share = np.mean(targets > 0, axis=-1)
    least: Float64Array
    least = np.var(targets, axis=-1) / 2.0 if loss == "squared" else entr(share) + entr(1.0 - share)
    return least


def _steps(
    trainer: GradientDescent, problems: list[Problem], cap: int, setup: Setup
) -> dict[str, Float64Array]:
    """Steps of full batches to each goal, (arms, problems)."""
    values = np.array([problem.labels.values for problem in problems])
    of_pool = constant_loss(_targets(values, trainer.loss), trainer.loss)
    taken: dict[str, list[Float64Array]] = {LATE: [], EARLY: [], OWN: []}
    for arms in SIZES:
        x, y = _data(problems, arms, trainer.loss)
        theta = trainer.network.init([problem.seed for problem in problems] * len(arms), setup.device)
        whole, own = np.tile(of_pool, len(arms)), constant_loss(y, trainer.loss)
        goals = {LATE: 0.03 * whole, EARLY: 0.3 * whole, OWN: 0.03 * own}
        losses = trainer.train(theta, x, y, steps=cap, until=np.minimum(goals[LATE], goals[OWN])).losses
        for goal, threshold in goals.items():
            taken[goal].append(steps_to(losses, threshold).reshape(len(arms), -1))
    return {goal: np.concatenate(each) for goal, each in taken.items()}


def _test_errors(trainer: GradientDescent, problems: list[Problem], steps: int, setup: Setup) -> Float64Array:
    """Errors after batches of 8: (arms, `KINDS`, `PLACES`, problems).

    Equal steps gives every arm ``steps`` steps; equal epochs gives it as many passes over its own rows as
    the full arm has made by then, half the steps for a half.
    """
    trainer = replace(trainer, batch=BATCH)
    errors: list[Float64Array] = []
    for arms in SIZES:
        moments = (steps, steps * len(problems[0].rows[arms[0]]) // POOL)
        x, y = _data(problems, arms, trainer.loss)
        theta = trainer.network.init([problem.seed for problem in problems] * len(arms), setup.device)
        kept = trainer.train(theta, x, y, steps=steps, keep=moments).kept
        for index in range(len(arms)):
            own = slice(index * len(problems), (index + 1) * len(problems))
            errors.append(np.array([_errors(trainer, kept[m][own], problems) for m in moments]))
    return np.array(errors)


def _errors(trainer: GradientDescent, theta: Tensor, problems: list[Problem]) -> Float64Array:
    """Squared error over variance, or the share of wrong classes, on the pool and a fresh even set: (2, problems)."""
    pool = [(problem.points, problem.labels.values) for problem in problems]
    even = [(problem.even, problem.labels.clean(problem.even)) for problem in problems]
    errors = []
    for place in (pool, even):
        outputs = trainer.network.fitted(theta, [points for points, _ in place])
        values = np.array([values for _, values in place])
        wrong = (outputs - values) ** 2 if trainer.loss == "squared" else (outputs > 0) != (values > 0)
        errors.append(wrong.mean(axis=-1))
    return np.array(errors)


def _verdict(races: Races, errors: Errors) -> str:
    parts = []
    for model in LABEL_MODELS:
        found = [race[LATE].ratio() for (_, drawn), race in races.items() if drawn == model]
        ratios = [ratio for ratio in found if np.isfinite(ratio)]
        faster = sum(ratio > 1 for ratio in ratios)
        parts.append(f"{span(ratios)} for {model} labels (above 1 in {faster} of {len(ratios)} settings)")
    smooth = np.array([each for (_, model), each in errors.items() if model == "smooth"])
    better = [int(np.sum(smooth[:, 0, kind, 1] < smooth[:, 1, kind, 1])) for kind in range(len(KINDS))]
    return (
        f"the labels decide: random / max-min in steps to 3 % of the loss is {', '.join(parts)}; with smooth "
        f"labels the max-min half tests better than the random half on fresh even points in {better[0]} of "
        f"{len(smooth)} settings at equal steps, {better[1]} at equal epochs."
    )


def _numbers(races: Races, errors: Errors) -> dict[str, Number]:
    numbers: dict[str, Number] = {}
    for name, race in races.items():
        numbers[f"random / max-min, {', '.join(name)}"] = race[LATE].ratio()
        numbers[f"wins of max-min, {', '.join(name)}"] = float(race[LATE].wins()[0])
    for name, each in errors.items():
        for arm, error in zip(ARMS, each[:, 0, 1], strict=True):
            numbers[f"error on fresh even points, {', '.join(name)}, {arm}"] = error
    return numbers


def _tables(races: Races, errors: Errors, seeds: int) -> tuple[ResultTable, ...]:
    of_pool, of_own = [], []
    for name, race in races.items():
        first = {NAMED: ", ".join(name)}
        late, own = ({"random / max-min": race[goal].shown_ratio()} for goal in (LATE, OWN))
        wins = {"wins–losses": "{}–{}".format(*race[LATE].wins())}
        of_pool.append(first | race[LATE].shown() | late | wins | {"at 30 %": race[EARLY].shown_ratio()})
        of_own.append(first | race[OWN].shown() | own)
    measure = "squared error / variance, or the share of wrong classes under cross-entropy"
    cells = [(f"{place}: {arm}", i, j) for j, place in enumerate(PLACES) for i, arm in enumerate(ARMS)]
    return (
        ResultTable.of(f"Median steps to 3 % of the pool's loss, {seeds} seeds", of_pool),
        ResultTable.of("The same against 3 % of each set's own loss", of_own),
        *(
            ResultTable.of(
                f"Test error at {kind} on the pool and on {FRESH} fresh even points ({measure})",
                [
                    {NAMED: ", ".join(name)} | {column: each[arm, k, place] for column, arm, place in cells}
                    for name, each in errors.items()
                ],
            )
            for k, kind in enumerate(KINDS)
        ),
    )


def _series(names: list[str], races: Races, errors: Errors) -> dict[str, Float64Array]:
    """What the figure draws: (trainers, labels) ratios, open where cut off, and (trainers, arms) errors."""
    found = [[races[name, model][LATE] for model in LABEL_MODELS] for name in names]
    smooth = np.array([errors[name, "smooth"] for name in names])
    return {
        "ratio": np.array([[race.ratio() for race in row] for row in found]),
        "cut off": np.array([[float(race.bound() != "") for race in row] for row in found]),
    } | {f"error, {kind}": smooth[:, :, index, 1] for index, kind in enumerate(KINDS)}


def draw(result: Result) -> Figure:
    """By trainer: steps of random over max-min for each label model, and the arms' test errors."""
    names = list(result.settings["rates"])
    figure, axes = panels(3, width=4.2, height=1.6 + 0.28 * len(names))
    rows = np.arange(len(names))[::-1]
    _draw_ratios(axes[0], rows, result)
    for axis, kind in zip(axes[1:], KINDS, strict=True):
        for index, arm in enumerate(ARMS):
            errors = result.series[f"error, {kind}"][:, index]
            axis.plot(errors, rows, MARKERS[index], color=ARM_COLOURS[arm], label=arm, alpha=0.9)
        title, ticks = f"Smooth labels, {kind}", (0.12, 0.15, 0.2, 0.3, 0.4)
        frame(axis, title, "error on fresh even points", log="x", x_ticks=ticks)
    below = (0.5, -0.4 / figure.get_figheight() * 1.6)
    for axis in axes:
        axis.set_yticks(rows, names if axis is axes[0] else [])
        axis.legend(loc="upper center", bbox_to_anchor=below, ncols=4, columnspacing=0.8, handletextpad=0.1)
    return figure


def _draw_ratios(axis: Axes, rows: Int64Array, result: Result) -> None:
    """Filled where both medians were reached, open where one was cut off."""
    for index, model in enumerate(LABEL_MODELS):
        ratio, cut = result.series["ratio"][:, index], result.series["cut off"][:, index] > 0
        look: dict[str, Any] = {"color": LABEL_COLOURS[index], "marker": MARKERS[index], "linestyle": ""}
        axis.plot(ratio[~cut], rows[~cut], label=model, **look)
        axis.plot(ratio[cut], rows[cut], markerfacecolor="none", **look)
    axis.axvline(1.0, color=INK, linewidth=1.0)
    title, ticks = "Right of 1 the even half is faster", (0.5, 1, 2, 4)
    frame(axis, title, "steps, random / max-min", log="x", x_ticks=ticks)
