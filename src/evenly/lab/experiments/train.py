"""Training on half: max-min against random, clumped and full, by network, optimiser, loss and label model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evenly.lab import descent, designs, labels, networks
from evenly.lab.figures import ARM_COLOURS, COLOURS, INK, MARKERS, panels, plain_ticks
from evenly.lab.labels import LABEL_MODELS
from evenly.lab.networks import Network
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Int64Array, Progress, silent
from evenly.words import Cell, show, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POOL, HALF, FRESH = 64, 32, 256
DIMENSION = 4
HALVES = ("max-min", "random", "clumped")
ARMS = (*HALVES, "full")
SIZES = (HALVES, ("full",))  # arms of one size train in one call
THRESHOLDS = (0.3, 0.03)
BATCH = 8
KINDS = ("equal steps", "equal epochs")
PLACES = ("pool", "even")  # the pool, and 256 fresh max-min points
LABEL_COLOURS = (COLOURS[2], COLOURS[3], COLOURS[5])  # none of them an arm's
TESTED_MODELS = LABEL_MODELS[:2]  # independent labels say nothing about other points

NETWORKS: dict[str, Network] = {
    "MLP": networks.mlp(DIMENSION, width=32),
    "residual MLP": networks.residual(DIMENSION, width=24),
    "transformer": networks.transformer(DIMENSION),
}
# Tuned by hand, to about half of 2 / (top Hessian eigenvalue at the start); Adam has one rate for everything.
DESCENT_RATES = {"MLP": 0.2, "residual MLP": 0.1, "transformer": 0.02}
ADAM_RATE = 5e-3


@dataclass(frozen=True)
class Setting:
    """One network under one optimiser and one loss."""

    name: str
    optimiser: descent.Optimiser
    loss: descent.LossName

    @property
    def network(self) -> Network:
        return NETWORKS[self.name]

    @property
    def label(self) -> str:
        optimiser = {"gd": "GD", "adam": "Adam"}[self.optimiser]
        loss = {"squared": "squared", "logistic": "cross-entropy"}[self.loss]
        return f"{self.name}, {optimiser}, {loss}"

    @property
    def rate(self) -> float:
        """One for all arms, labels and seeds; the logistic loss has at most a quarter of the curvature."""
        if self.optimiser == "adam":
            return ADAM_RATE
        return DESCENT_RATES[self.name] * (1.0 if self.loss == "squared" else 4.0)


SETTINGS = tuple(
    Setting(name, optimiser, loss)
    for name in NETWORKS
    for optimiser in ("gd", "adam")
    for loss in ("squared", "logistic")
)


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
        fresh = designs.uniform(designs.generator(83, seed), 8 * FRESH, DIMENSION)
        return Problem(seed, points, drawn, fresh[designs.max_min(fresh, FRESH)], rows)


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Steps to thresholds and test errors of each arm, by setting and label model."""
    seeds = seeds or (3 if quick else 6)
    cap, test_steps = (500, 200) if quick else (1500, 400)
    settings = [setting for setting in SETTINGS if setting.name == "MLP" or not quick]
    problems = [Problem.draw(model, seed) for model in LABEL_MODELS for seed in range(seeds)]
    tested = problems[: len(TESTED_MODELS) * seeds]
    races: dict[tuple[str, str], Race] = {}
    errors: dict[tuple[str, str], Float64Array] = {}
    for done, setting in enumerate(settings, start=1):
        steps = _steps(setting, problems, cap, device)
        races |= {
            (setting.label, model): Race(steps[..., index * seeds : (index + 1) * seeds], cap)
            for index, model in enumerate(LABEL_MODELS)
        }
        seen = _test_errors(setting, tested, test_steps, device)
        middle = np.median(seen.reshape(*seen.shape[:3], len(TESTED_MODELS), seeds), axis=-1)
        errors |= {(setting.label, model): middle[..., i] for i, model in enumerate(TESTED_MODELS)}
        progress("train", done, len(settings))
    return Result(
        name="train",
        title="Does an even half train faster?",
        claim="Training on the max-min half reaches a loss in fewer steps than on a random half (paper).",
        settings={"pool": POOL, "half": HALF, "d": DIMENSION, "seeds": seeds, "most steps": cap}
        | {"steps before a test": test_steps, "batch": BATCH}
        | {"rates": {setting.label: setting.rate for setting in settings}},
        tables=(
            _steps_table(races, seeds),
            _own_table(races),
            *(_error_table(errors, index) for index in range(len(KINDS))),
        ),
        verdict=_verdict(races, errors),
        outcome="holds" if np.nanmin([race.ratio() for race in races.values()]) > 1 else "holds in part",
        numbers=_numbers(races, errors),
        series=_series(settings, races, errors),
    )


@dataclass(frozen=True, eq=False)
class Race:
    """Steps of each arm to each threshold under one setting and label model.

    Attributes:
        steps: (thresholds, [of the pool's loss, of the set's own], arms, seeds); infinite where never reached.
        cap: after how many steps a run was cut off.
    """

    steps: Float64Array
    cap: int

    def medians(self, threshold: int = -1, of: int = 0) -> Float64Array:
        """(arms,); infinite where half the runs were cut off."""
        middle: Float64Array = np.quantile(self.steps[threshold, of], 0.5, axis=-1, method="higher")
        return middle

    def shown(self, of: int = 0) -> list[str]:
        """The medians to 3 % as a table says them."""
        return [descent.censored_median(each, self.cap) for each in self.steps[-1, of]]

    def ratio(self, threshold: int = -1, of: int = 0) -> float:
        """Random over max-min of the medians, one that was cut off taken at the cap; NaN where both were."""
        even, random = self.medians(threshold, of)[:2]
        if np.isinf(even) and np.isinf(random):
            return float("nan")
        return float(min(random, self.cap) / min(even, self.cap))

    def bound(self, threshold: int = -1, of: int = 0) -> str:
        """On which side the cap leaves the ratio open: ">", "<", or nothing."""
        even, random = np.isinf(self.medians(threshold, of)[:2])
        return "" if even == random else ">" if random else "<"

    def shown_ratio(self, threshold: int = -1, of: int = 0) -> str:
        """The ratio as a table says it; a dash where both medians were cut off."""
        return f"{self.bound(threshold, of)} {show(self.ratio(threshold, of))}".strip()

    def wins(self) -> tuple[int, int]:
        """Seeds on which max-min is the faster to 3 %, and the slower; neither where both were cut off."""
        even, random = self.steps[-1, 0, :2]
        return int(np.sum(even < random)), int(np.sum(even > random))


def _data(
    problems: list[Problem], arms: tuple[str, ...], loss: descent.LossName, device: str
) -> tuple[Tensor, Tensor]:
    """Points (arms * problems, n, d) and targets (arms * problems, n) of arms of one size."""
    x = np.array([problem.points[problem.rows[arm]] for arm in arms for problem in problems])
    y = np.array([problem.labels.values[problem.rows[arm]] for arm in arms for problem in problems])
    return torch.tensor(x, device=device), torch.tensor(_targets(y, loss), device=device)


def _targets(values: Float64Array, loss: descent.LossName) -> Float64Array:
    """The labels, or their signs for the logistic loss."""
    return values if loss == "squared" else np.where(values > 0, 1.0, -1.0)


def _constant_loss(targets: Float64Array, loss: descent.LossName) -> Float64Array:
    """The least loss of a constant prediction on targets (runs, n): variance / 2, or the entropy of the classes."""
    from scipy.special import entr

    share = np.mean(targets > 0, axis=-1)
    least: Float64Array
    least = np.var(targets, axis=-1) / 2.0 if loss == "squared" else entr(share) + entr(1.0 - share)
    return least


def _steps(setting: Setting, problems: list[Problem], cap: int, device: str) -> Float64Array:
    """Steps of full batches: (thresholds, [of the pool's loss, of the set's own], arms, problems)."""
    whole = _constant_loss(
        _targets(np.array([problem.labels.values for problem in problems]), setting.loss), setting.loss
    )
    theta = setting.network.init([problem.seed for problem in problems], device)
    taken = []
    for arms in SIZES:
        x, y = _data(problems, arms, setting.loss, device)
        losses = (np.tile(whole, len(arms)), _constant_loss(y.cpu().numpy(), setting.loss))
        run = descent.descend(
            setting.network, theta.repeat(len(arms), 1), x, y, rate=setting.rate, steps=cap,
            optimiser=setting.optimiser, loss=setting.loss, until=THRESHOLDS[-1] * np.minimum(*losses),
        )  # fmt: skip
        both = [[descent.steps_to(run.losses, share * of) for of in losses] for share in THRESHOLDS]
        taken.append(np.array(both).reshape(len(THRESHOLDS), 2, len(arms), len(problems)))
    return np.concatenate(taken, axis=2)


def _test_errors(setting: Setting, problems: list[Problem], steps: int, device: str) -> Float64Array:
    """Errors after batches of 8: (arms, `KINDS`, `PLACES`, problems).

    Equal steps gives every arm ``steps`` steps; equal epochs gives it as many passes over its own rows as
    the full arm has made by then, half the steps for a half.
    """
    theta = setting.network.init([problem.seed for problem in problems], device)
    errors: list[Float64Array] = []
    for arms in SIZES:
        moments = (steps, steps * len(problems[0].rows[arms[0]]) // POOL)
        kept: dict[int, Tensor] = {}

        def watch(
            step: int, theta: Tensor, moments: tuple[int, int] = moments, kept: dict[int, Tensor] = kept
        ) -> None:
            if step in moments:
                kept[step] = theta.detach().clone()

        x, y = _data(problems, arms, setting.loss, device)
        descent.descend(
            setting.network, theta.repeat(len(arms), 1), x, y, rate=setting.rate, steps=steps,
            optimiser=setting.optimiser, loss=setting.loss, batch=BATCH, watch=watch,
        )  # fmt: skip
        for index in range(len(arms)):
            own = slice(index * len(problems), (index + 1) * len(problems))
            errors.append(np.array([_errors(setting, kept[moment][own], problems) for moment in moments]))
    return np.array(errors)


def _errors(setting: Setting, theta: Tensor, problems: list[Problem]) -> Float64Array:
    """Squared error over variance, or the share of wrong classes, on the pool and a fresh even set: (2, problems)."""
    pool = [(problem.points, problem.labels.values) for problem in problems]
    even = [(problem.even, problem.labels.clean(problem.even)) for problem in problems]
    errors = []
    for place in (pool, even):
        x = torch.tensor(np.array([points for points, _ in place]), device=theta.device)
        values = np.array([values for _, values in place])
        with torch.no_grad():
            outputs = setting.network(theta, x).cpu().numpy()
        wrong = (outputs - values) ** 2 if setting.loss == "squared" else (outputs > 0) != (values > 0)
        errors.append(wrong.mean(axis=-1))
    return np.array(errors)


def _verdict(races: dict[tuple[str, str], Race], errors: dict[tuple[str, str], Float64Array]) -> str:
    parts = []
    for model in LABEL_MODELS:
        found = [race.ratio() for (_, labels_of), race in races.items() if labels_of == model]
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


def _numbers(
    races: dict[tuple[str, str], Race], errors: dict[tuple[str, str], Float64Array]
) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for (label, model), race in races.items():
        numbers[f"random / max-min, {label}, {model}"] = race.ratio()
        numbers[f"wins of max-min, {label}, {model}"] = float(race.wins()[0])
    for (label, model), each in errors.items():
        for index, arm in enumerate(ARMS):
            numbers[f"error on fresh even points, {label}, {model}, {arm}"] = float(each[index, 0, 1])
    return numbers


def _steps_table(races: dict[tuple[str, str], Race], seeds: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            f"{label}, {model}",
            *race.shown(),
            race.shown_ratio(),
            "{}–{}".format(*race.wins()),
            race.shown_ratio(threshold=0),
        )
        for (label, model), race in races.items()
    ]
    columns = ("network, optimiser, loss, labels", *ARMS, "random / max-min", "wins–losses", "at 30 %")
    return Table(f"Median steps to 3 % of the pool's loss, {seeds} seeds", columns, tuple(rows))


def _own_table(races: dict[tuple[str, str], Race]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"{label}, {model}", *race.shown(of=1), race.shown_ratio(of=1))
        for (label, model), race in races.items()
    ]
    columns = ("network, optimiser, loss, labels", *ARMS, "random / max-min")
    return Table("The same against 3 % of each set's own loss", columns, tuple(rows))


def _error_table(errors: dict[tuple[str, str], Float64Array], kind: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"{label}, {model}", *map(float, each[:, kind].T.reshape(-1)))
        for (label, model), each in errors.items()
    ]
    columns = ("network, optimiser, loss, labels", *[f"{place}: {arm}" for place in PLACES for arm in ARMS])
    measure = "squared error / variance, or the share of wrong classes under cross-entropy"
    title = f"Test error at {KINDS[kind]} on the pool and on {FRESH} fresh even points ({measure})"
    return Table(title, columns, tuple(rows))


def _series(
    settings: list[Setting],
    races: dict[tuple[str, str], Race],
    errors: dict[tuple[str, str], Float64Array],
) -> dict[str, Float64Array]:
    """What the figure draws: (settings, labels) ratios, open where cut off, and (settings, arms) errors."""
    names = [setting.label for setting in settings]
    ratios = np.array([[races[name, model].ratio() for model in LABEL_MODELS] for name in names])
    cut = np.array([[races[name, model].bound() != "" for model in LABEL_MODELS] for name in names])
    smooth = np.array([errors[name, "smooth"] for name in names])
    found = {"ratio": ratios, "cut off": cut.astype(np.float64)}
    return found | {f"error, {kind}": smooth[:, :, index, 1] for index, kind in enumerate(KINDS)}


def draw(result: Result) -> Figure:
    """By setting: steps of random over max-min for each label model, and the arms' test errors."""
    settings = list(result.settings["rates"])
    figure, axes = panels(3, width=4.2, height=1.6 + 0.28 * len(settings))
    rows = np.arange(len(settings))[::-1]
    for index, model in enumerate(LABEL_MODELS):
        _draw_ratios(axes[0], rows, result, index, model)
    axes[0].axvline(1.0, color=INK, linewidth=1.0)
    axes[0].set(xscale="log", xlabel="steps, random / max-min", title="Right of 1 the even half is faster")
    plain_ticks(axes[0].xaxis, (0.5, 1, 2, 4))
    for axis, kind in zip(axes[1:], KINDS, strict=True):
        for index, arm in enumerate(ARMS):
            errors = result.series[f"error, {kind}"][:, index]
            axis.plot(errors, rows, MARKERS[index], color=ARM_COLOURS[arm], label=arm, alpha=0.9)
        axis.set(xscale="log", xlabel="error on fresh even points", title=f"Smooth labels, {kind}")
        plain_ticks(axis.xaxis, (0.12, 0.15, 0.2, 0.3, 0.4))
    place: dict[str, Any] = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, -0.4 / figure.get_figheight() * 1.6),
    }
    for axis in axes:
        axis.set_yticks(rows, settings if axis is axes[0] else [])
        axis.legend(**place, ncols=4, columnspacing=0.8, handletextpad=0.1)
    return figure


def _draw_ratios(axis: Axes, rows: Int64Array, result: Result, index: int, model: str) -> None:
    """Filled where both medians were reached, open where one was cut off."""
    ratio, cut = result.series["ratio"][:, index], result.series["cut off"][:, index] > 0
    look: dict[str, Any] = {"color": LABEL_COLOURS[index], "marker": MARKERS[index], "linestyle": ""}
    axis.plot(ratio[~cut], rows[~cut], label=model, **look)
    axis.plot(ratio[cut], rows[cut], markerfacecolor="none", **look)
