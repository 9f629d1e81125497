"""Trapped loss: near copies with labels of their own hold back a share of the loss, and it is P / N."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evenly.lab import designs, labels, networks
from evenly.lab.descent import GradientDescent, censored_median, median_steps, steps_to
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import COLOURS, NOTE, frame, panels
from evenly.types import Float64Array, Int64Array

POINTS = 64
DIMENSION = 8
DISTANCE = 0.01
PAIRS = (0, 1, 4, 16)
THRESHOLDS = (0.3, 0.1, 0.01)
TRAINERS = {
    "MLP, Adam": GradientDescent(networks.mlp(DIMENSION), 3e-3),
    "MLP, gradient descent": GradientDescent(networks.mlp(DIMENSION), 0.1, "gd"),
    "residual MLP, Adam": GradientDescent(networks.residual(DIMENSION), 1e-2),
    "transformer, Adam": GradientDescent(networks.transformer(DIMENSION), 1e-2),
}


def run(setup: Setup) -> Result:
    """Trains 64 points with 0, 1, 4 or 16 near copies among them and watches where the loss stays."""
    seeds, steps = setup.seeds or setup.size(3, 5), setup.size(800, 1200)
    names = list(TRAINERS)[: setup.size(1, None)]
    drawn = [(_points(pairs, seed), seed) for pairs in PAIRS for seed in range(seeds)]
    points = [x for x, _ in drawn]
    targets = np.array([_labels(x, seed) for x, seed in drawn]).reshape(len(PAIRS), seeds, POINTS)
    floors = _share_on_pairs(targets)
    moments = np.unique(np.geomspace(1, steps, 60).astype(int))
    records: list[dict[str, Any]] = []
    series: dict[str, Float64Array] = {"floor": floors, "moments": moments.astype(np.float64)}
    numbers: dict[str, Number] = {}
    for name in names:
        share, on_pairs = _train(name, points, targets, moments, setup)
        series[f"loss: {name}"] = np.median(share[moments], axis=2)
        series[f"on pairs: {name}"] = np.median(on_pairs, axis=2)
        records += [{"network": name} | each for each in _records(share, on_pairs[-1], floors)]
        for column, pairs in enumerate(PAIRS):
            tenth = median_steps(steps_to(share[:, column], 0.1))
            numbers[f"{name}: steps to 10 %, {pairs} pairs"] = float(tenth)
    none, most = (
        np.array([numbers[f"{name}: steps to 10 %, {pairs} pairs"] for name in names])
        for pairs in (PAIRS[0], PAIRS[-1])
    )
    # A run cut off at the cap was at least this many times slower, so the cap stands in for it.
    slower = np.minimum(most, steps) / none
    sign = "" if np.isfinite(most[0]) else "more than "
    return Result(
        name="trap",
        title="Near copies trap loss",
        claim="P near copies with independent labels hold back a share P/N of the label variance (ours).",
        settings={"N": POINTS, "d": DIMENSION, "distance": DISTANCE, "seeds": seeds, "steps": steps}
        | {"labels": "independent", "rates": {name: TRAINERS[name].rate for name in names}},
        tables=(ResultTable.of(f"Median steps to a share of the label variance, {seeds} seeds", records),),
        verdict="with 16 near copies among 64 points, 10 % of the loss is reached "
        f"{sign}{slower[0]:.0f} times later than with none (MLP, Adam); above the floor P/N copies cost little, "
        "below it nearly all residual is theirs.",
        outcome="holds" if slower.min() >= 3 else "holds in part",
        numbers=numbers | {"slowdown, 16 pairs": slower[0]},
        series=series,
    )


def _points(pairs: int, seed: int) -> Float64Array:
    random = designs.generator(11, seed)
    return designs.near_copies(random, POINTS, DIMENSION, pairs=pairs, distance=DISTANCE)


def _labels(points: Float64Array, seed: int) -> Float64Array:
    """Independent labels; a seed's labels are the same for every P."""
    return labels.draw_labels("independent", designs.generator(12, seed), points).values


def _share_on_pairs(residual: Float64Array) -> Float64Array:
    """The share of |r|^2 of (P, seeds, N) residuals along the differences of the pairs, (P, seeds).

    Of the labels it is the floor: what equal outputs on a pair cannot fit, about P / N.
    """
    shares = []
    for r, pairs in zip(residual, PAIRS, strict=True):
        difference = r[:, 0 : 2 * pairs : 2] - r[:, 1 : 2 * pairs : 2]
        shares.append(np.sum(difference**2, axis=-1) / 2.0 / np.sum(r**2, axis=-1))
    return np.array(shares)


def _train(
    name: str, points: list[Float64Array], targets: Float64Array, moments: Int64Array, setup: Setup
) -> tuple[Float64Array, Float64Array]:
    """Loss over label variance (steps + 1, P, seeds), and at the moments the share of it on the pairs.

    Points are P * seeds sets, targets (P, seeds, N).
    """
    trainer, shape = TRAINERS[name], targets.shape
    theta = trainer.network.init([*range(shape[1])] * len(PAIRS), setup.device)
    y = targets.reshape(len(points), POINTS)
    told = partial(setup.progress, f"trap: {name}")
    trained = trainer.train(theta, points, y, steps=int(moments[-1]), keep=moments, told=told)
    residuals = (trainer.network.fitted(theta, points) - y for theta in trained.kept.values())
    shares = [_share_on_pairs(residual.reshape(shape)) for residual in residuals]
    variance = np.mean(y**2, axis=-1) / 2
    return (trained.losses / variance).reshape(-1, *shape[:2]), np.array(shares)


def _records(share: Float64Array, on_pairs: Float64Array, floors: Float64Array) -> list[dict[str, Any]]:
    """One line per P: the floor, the median steps to each threshold, and where the last loss sits."""
    records = []
    for column, pairs in enumerate(PAIRS):
        reached = {f"{each:.0%}": steps_to(share[:, column], each) for each in THRESHOLDS}
        records.append(
            {"pairs P": pairs, "P/N": pairs / POINTS, "floor drawn": floors[column].mean()}
            | {name: censored_median(steps, len(share) - 1) for name, steps in reached.items()}
            | {
                "last loss / floor": np.median(share[-1, column] / floors[column]) if pairs else None,
                "residual on pairs": np.median(on_pairs[column]) if pairs else None,
            }
        )
    return records


def draw(result: Result) -> Figure:
    """The losses with their floors, one panel per network, and the share of the residual on the pairs."""
    losses, on_pairs = result.series_of("loss: "), result.series_of("on pairs: ")
    names = list(losses)
    shown = names if len(names) == 1 else [names[0], names[-1]]  # of these also the residual on the pairs
    count = len(names) + len(shown)
    figure, axes = panels(min(count, 3), -(-count // 3))
    steps = result.series["moments"]
    for axis, name in zip(axes, names, strict=False):
        _draw_losses(axis, steps, losses[name], name)
    axes[0].legend(title="near copies P", loc="lower left", ncols=2, alignment="left")
    for axis, name in zip(axes[len(names) :], shown, strict=True):
        for index, pairs in enumerate(PAIRS[1:], start=1):
            axis.plot(steps, on_pairs[name][:, index], color=COLOURS[index], label=f"P = {pairs}")
        title = f"What is left sits on the pairs ({name})"
        frame(axis, title, "step", "share of the residual on the pairs", log="x", legend="upper left")
        axis.set_ylim(0, 1.03)
    return figure


def _draw_losses(axis: Axes, steps: Float64Array, loss: Float64Array, name: str) -> None:
    for index, pairs in enumerate(PAIRS):
        axis.plot(steps, np.maximum(loss[:, index], 1e-4), color=COLOURS[index], label=str(pairs))
        if pairs:
            floor = pairs / POINTS
            axis.axhline(floor, color=COLOURS[index], linestyle=":", linewidth=1.2)
            axis.annotate(f"P/N = {pairs}/{POINTS}", (steps[0], floor), (0, 3), **NOTE)
    frame(axis, name, "step", "loss / label variance", log="xy")
    axis.set_ylim(8e-4, 3)
