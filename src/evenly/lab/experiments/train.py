"""Training on half: max-min against random, clumped and full, by optimiser, loss, network and label model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from evenly.lab import descent, designs, labels, networks
from evenly.lab.figures import ARM_COLOURS, COLOURS, INK, panels
from evenly.lab.labels import LABEL_MODELS
from evenly.lab.networks import Network
from evenly.lab.result import Cell, Result, Table, span
from evenly.types import Float64Array, Int64Array, Progress, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POOL, HALF = 64, 32
DIMENSION = 4
HALVES = ("max-min", "random", "clumped")
ARMS = (*HALVES, "full")
THRESHOLDS = (0.3, 0.03)
BATCH = 8


@dataclass(frozen=True)
class Setting:
    """One network under one optimiser and one loss."""

    label: str
    network: Network
    optimiser: descent.Optimiser
    rate: float
    loss: descent.LossName = "squared"


_MLP = networks.mlp(DIMENSION, width=32)
SETTINGS = (
    Setting("MLP, gradient descent", _MLP, "gd", 0.2),
    Setting("MLP, Adam", _MLP, "adam", 5e-3),
    Setting("residual MLP, Adam", networks.residual(DIMENSION, width=24), "adam", 5e-3),
    Setting("transformer, Adam", networks.transformer(DIMENSION), "adam", 5e-3),
    Setting("MLP, Adam, cross-entropy", _MLP, "adam", 5e-3, "logistic"),
)


@dataclass(frozen=True, eq=False)
class Problem:
    """The pool of one seed with its labels under one label model, and the rows of each arm."""

    points: Float64Array
    labels: labels.Labels
    even: Float64Array  # 64 fresh max-min points, to test on
    rows: dict[str, Int64Array]

    @staticmethod
    def draw(model: str, seed: int) -> Problem:
        random = designs.generator(81, seed)
        points = designs.uniform(random, POOL, DIMENSION)
        chosen = random.choice(POOL, HALF, replace=False).astype(np.int64)
        rows = {"max-min": designs.max_min(points, HALF), "random": chosen, "full": np.arange(POOL)}
        rows["clumped"] = designs.clumped(random, points, HALF)
        drawn = labels.draw_labels(model, designs.generator(82, seed), points)
        fresh = designs.uniform(designs.generator(83, seed), 8 * POOL, DIMENSION)
        return Problem(points, drawn, fresh[designs.max_min(fresh, POOL)], rows)


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Steps to thresholds by arm, setting and label model; then test errors at equal steps and epochs."""
    seeds = seeds or (3 if quick else 6)
    steps = 500 if quick else 1500
    settings = SETTINGS[1:2] if quick else SETTINGS
    problems: dict[str, list[Problem]] = {
        model: [Problem.draw(model, seed) for seed in range(seeds)] for model in LABEL_MODELS
    }
    taken: dict[str, Float64Array] = {}
    for setting in settings:
        found = _steps(setting, problems, steps, device, progress)
        taken |= {f"{setting.label}, {model}": found[index] for index, model in enumerate(LABEL_MODELS)}
    quality = _quality(problems, 200 if quick else 400, device, progress)
    ratios = {name: _ratio(each[:, :, -1, 0], steps) for name, each in taken.items()}
    numbers = {f"random / max-min, {name}": ratio.value for name, ratio in ratios.items()}
    numbers |= {f"wins of max-min, {name}": float(ratio.wins) for name, ratio in ratios.items()}
    gain = {model: [r.value for name, r in ratios.items() if name.endswith(model)] for model in LABEL_MODELS}
    tested = {arm: float(np.median(quality["smooth"][index, :, 1])) for index, arm in enumerate(ARMS)}
    numbers |= {f"error on the pool, smooth, {arm}": error for arm, error in tested.items()}
    return Result(
        name="train",
        title="Does an even half train faster?",
        claim="Training on the max-min half reaches a loss in fewer steps than on a random half (paper).",
        settings={"pool": POOL, "half": HALF, "d": DIMENSION, "seeds": seeds, "steps": steps}
        | {"rates": {setting.label: setting.rate for setting in settings}},
        tables=(
            _steps_table(taken, ratios, steps, seeds),
            _own_table(taken, steps),
            _quality_table(quality),
        ),
        verdict="the labels decide: random / max-min in steps to 3 % of the loss is "
        + ", ".join(f"{span(each)} for {model} labels" for model, each in gain.items())
        + "; error on the pool at equal steps, smooth labels: "
        + ", ".join(f"{arm} {error:.2g}" for arm, error in tested.items())
        + ".",
        outcome="holds" if min(map(min, gain.values())) > 1 else "holds in part",
        numbers=numbers,
        series={f"steps: {name}": np.median(each[:, :, -1, 0], axis=1) for name, each in taken.items()}
        | {"gain": np.array([gain[model] for model in LABEL_MODELS]), "cap": np.array([float(steps)])}
        | {f"quality: {name}": np.median(each, axis=1) for name, each in quality.items()},
    )


@dataclass(frozen=True)
class Ratio:
    """Random over max-min in steps: of medians, runs cut off counted at the cap; paired wins of max-min."""

    value: float
    wins: int
    bound: str  # "" or the side on which the cap leaves the ratio open

    def __str__(self) -> str:
        return f"{self.bound}{self.value:.2f}"


def _ratio(steps: Float64Array, cap: int) -> Ratio:
    """From (arms, seeds)."""
    even, random = steps[0], steps[1]
    middle_even, middle_random = (float(np.quantile(each, 0.5, method="higher")) for each in (even, random))
    open_above, open_below = not np.isfinite(middle_random), not np.isfinite(middle_even)
    bound = "? " if open_above and open_below else "> " if open_above else "< " if open_below else ""
    return Ratio(min(middle_random, cap) / min(middle_even, cap), int(np.sum(even < random)), bound)


def _arm_data(
    problems: list[Problem], arm: str, loss: descent.LossName, device: str
) -> tuple[Tensor, Tensor]:
    """Points (runs, n, d) and targets (runs, n); signs of the labels for the logistic loss."""
    x = np.array([problem.points[problem.rows[arm]] for problem in problems])
    y = np.array([problem.labels.values[problem.rows[arm]] for problem in problems])
    if loss == "logistic":
        y = np.where(y > 0, 1.0, -1.0)
    return torch.tensor(x, device=device), torch.tensor(y, device=device)


def _steps(
    setting: Setting, problems: dict[str, list[Problem]], steps: int, device: str, progress: Progress
) -> Float64Array:
    """Steps to each threshold: (labels, arms, seeds, thresholds, of the pool's or of the set's own loss)."""
    every = [problem for model in LABEL_MODELS for problem in problems[model]]
    seeds = len(problems[LABEL_MODELS[0]])
    theta = setting.network.init(list(range(seeds)) * len(LABEL_MODELS), device)
    # A constant prediction has loss 1/2 on the pool (labels have variance 1), log 2 under cross-entropy.
    whole = 0.5 if setting.loss == "squared" else float(np.log(2.0))
    taken = []
    for arms in (HALVES, ("full",)):  # sets of one size train in one call
        data = [_arm_data(every, arm, setting.loss, device) for arm in arms]
        x, y = torch.cat([each for each, _ in data]), torch.cat([each for _, each in data])
        own = (
            whole * np.ones(len(y))
            if setting.loss == "logistic"
            else y.var(-1, correction=0).cpu().numpy() / 2
        )
        run = descent.descend(
            setting.network, theta.repeat(len(arms), 1), x, y, rate=setting.rate, steps=steps,
            optimiser=setting.optimiser, loss=setting.loss, until=THRESHOLDS[-1] * np.minimum(own, whole),
            progress=progress, stage=f"train: {setting.label}",
        )  # fmt: skip
        both = [[descent.steps_to(run.losses, share * of) for of in (whole, own)] for share in THRESHOLDS]
        taken.append(np.array(both).reshape(len(THRESHOLDS), 2, len(arms), len(LABEL_MODELS), seeds))
    return np.concatenate(taken, axis=2).transpose(3, 2, 4, 0, 1)


def _quality(
    problems: dict[str, list[Problem]], steps: int, device: str, progress: Progress
) -> dict[str, Float64Array]:
    """Errors of the MLP under mini-batch Adam: name -> (arms, seeds, [own, pool, even] x [steps, epochs]).

    Equal steps gives every arm ``steps`` steps; equal epochs gives it as many passes over its own rows as
    the full arm has made by then, half the steps for a half.
    """
    found = {}
    for model in ("smooth", "mixed"):
        errors = []
        for arm in ARMS:
            x, y = _arm_data(problems[model], arm, "squared", device)
            moments = (steps, steps if arm == "full" else steps // 2)
            kept: dict[int, Tensor] = {}

            def watch(
                step: int, theta: Tensor, moments: tuple[int, int] = moments, kept: dict[int, Tensor] = kept
            ) -> None:
                if step in moments:
                    kept[step] = theta.detach().clone()

            theta = _MLP.init(range(len(x)), device)
            descent.descend(
                _MLP, theta, x, y, rate=5e-3, steps=steps, optimiser="adam", batch=BATCH, watch=watch,
                progress=progress, stage=f"train: {model}, {arm}",
            )  # fmt: skip
            both = [_errors(kept[moment], problems[model], x, y) for moment in moments]
            errors.append(np.concatenate(both, axis=1))
        found[model] = np.array(errors)
    return found


def _errors(theta: Tensor, problems: list[Problem], x: Tensor, y: Tensor) -> Float64Array:
    """Squared errors (labels have variance 1) on the arm's rows, the pool, a fresh even set: (seeds, 3)."""
    pool = torch.tensor(np.array([problem.points for problem in problems]), device=x.device)
    truth = torch.tensor(np.array([problem.labels.values for problem in problems]), device=x.device)
    even = torch.tensor(np.array([problem.even for problem in problems]), device=x.device)
    clean = torch.tensor(
        np.array([problem.labels.clean(problem.even) for problem in problems]), device=x.device
    )
    with torch.no_grad():
        own = (_MLP(theta, x) - y).square().mean(-1)
        on_pool = (_MLP(theta, pool) - truth).square().mean(-1)
        parts = [own, on_pool, (_MLP(theta, even) - clean).square().mean(-1)]
    errors: Float64Array = torch.stack(parts, dim=1).cpu().numpy()
    return errors


def _steps_table(taken: dict[str, Float64Array], ratios: dict[str, Ratio], cap: int, seeds: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in taken.items():
        cells = [descent.censored_median(each[arm, :, 1, 0], cap) for arm in range(len(ARMS))]
        early = _ratio(each[:, :, 0, 0], cap)
        wins = f"{ratios[name].wins}/{seeds}"
        rows.append((name, *cells, str(ratios[name]), wins, str(early)))
    columns = ("network, optimiser, labels", *ARMS, "random / max-min", "wins", "at 30 %")
    return Table("Median steps to 3 % of the pool's loss", columns, tuple(rows))


def _own_table(taken: dict[str, Float64Array], cap: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in taken.items():
        cells = [descent.censored_median(each[arm, :, 1, 1], cap) for arm in range(len(ARMS))]
        rows.append((name, *cells, str(_ratio(each[:, :, 1, 1], cap))))
    columns = ("network, optimiser, labels", *ARMS, "random / max-min")
    return Table("The same against 3 % of each set's own loss", columns, tuple(rows))


def _quality_table(quality: dict[str, Float64Array]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for model, errors in quality.items():
        middle = np.median(errors, axis=1)
        rows += [(f"{model}, {arm}", *map(float, middle[index])) for index, arm in enumerate(ARMS)]
    parts = ("own rows", "pool", "fresh even set")
    columns = ("labels, arm", *[f"{part}, equal {kind}" for kind in ("steps", "epochs") for part in parts])
    return Table(f"Mean squared error / variance, MLP, Adam, batches of {BATCH}", columns, tuple(rows))


def draw(result: Result) -> Figure:
    """Steps to 3 % by arm for each label model, the ratios, and the test errors."""
    figure, axes = panels(3)
    settings = list(result.settings["rates"])
    cap = float(result.series["cap"][0])
    width = 0.8 / len(ARMS)
    for index, arm in enumerate(ARMS):
        values = [float(result.series[f"steps: MLP, Adam, {model}"][index]) for model in LABEL_MODELS]
        axes[0].bar(
            np.arange(3) + (index - 1.5) * width,
            np.minimum(values, cap),
            width,
            color=ARM_COLOURS[arm],
            label=arm,
        )
    axes[0].set_xticks(range(3), LABEL_MODELS)
    axes[0].set(ylabel=f"median steps to 3 % (cut off at {cap:,.0f})", title="MLP, Adam, squared loss")
    axes[0].legend(ncols=2, loc="upper left")
    gains = result.series["gain"]
    for index, setting in enumerate(settings):
        axes[1].plot(range(3), gains[:, index], "o-", label=setting, color=COLOURS[index])
    axes[1].axhline(1.0, color=INK, linewidth=1.0)
    axes[1].set_xticks(range(3), LABEL_MODELS)
    axes[1].set(ylabel="steps, random / max-min", title="Above 1: the even half is faster")
    axes[1].legend(loc="upper left", fontsize=7.5)
    for index, arm in enumerate(ARMS):
        errors = [float(result.series[f"quality: {model}"][index, 1]) for model in ("smooth", "mixed")]
        axes[2].bar(np.arange(2) + (index - 1.5) * width, errors, width, color=ARM_COLOURS[arm], label=arm)
    axes[2].set_xticks(range(2), ("smooth", "mixed"))
    axes[2].set(ylabel="error on the pool / variance", title="Test error at equal steps")
    return figure
