"""Trapped loss: near copies with labels of their own hold back a share of the loss, and it is P / N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from evenly.lab import descent, designs, labels, networks
from evenly.lab.figures import COLOURS, NOTE, panels
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 64
DIMENSION = 8
DISTANCE = 0.01
PAIRS = (0, 1, 4, 16)
THRESHOLDS = (0.3, 0.1, 0.01)
COLUMNS = (
    "network", "pairs P", "P/N", "floor drawn", *[f"{share:.0%}" for share in THRESHOLDS], "last loss / floor",
    "residual on pairs",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One architecture under one optimiser."""

    label: str
    network: networks.Network
    optimiser: descent.Optimiser
    rate: float


ARMS = (
    Arm("MLP, Adam", networks.mlp(DIMENSION), "adam", 3e-3),
    Arm("MLP, gradient descent", networks.mlp(DIMENSION), "gd", 0.1),
    Arm("residual MLP, Adam", networks.residual(DIMENSION), "adam", 1e-2),
    Arm("transformer, Adam", networks.transformer(DIMENSION), "adam", 1e-2),
)


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Trains 64 points with 0, 1, 4 or 16 near copies among them and watches where the loss stays."""
    seeds = seeds or (3 if quick else 5)
    steps = 800 if quick else 1200
    arms = ARMS[:1] if quick else ARMS
    x, y = _data(seeds, device)
    floors = _floors(y)
    moments = np.unique(np.geomspace(1, steps, 60).astype(int))
    rows: list[tuple[Cell, ...]] = []
    series: dict[str, Float64Array] = {"floor": floors, "moments": moments.astype(np.float64)}
    numbers: dict[str, float] = {}
    for arm in arms:
        share, shares = _train(arm, x, y, seeds, steps, moments, progress)
        series[f"loss: {arm.label}"] = np.median(share[moments], axis=2)
        series[f"on pairs: {arm.label}"] = np.median(shares, axis=2)
        rows += _rows(arm, share, shares[-1], floors)
        to_tenth = descent.steps_to(share.reshape(steps + 1, -1), 0.1).reshape(len(PAIRS), seeds)
        for pairs, taken in zip(PAIRS, np.quantile(to_tenth, 0.5, axis=1, method="higher"), strict=True):
            numbers[f"{arm.label}: steps to 10 %, {pairs} pairs"] = float(taken)
    none, most = ([numbers[f"{arm.label}: steps to 10 %, {p} pairs"] for arm in arms] for p in (0, PAIRS[-1]))
    # A run cut off at the cap was at least this many times slower, so the cap stands in for it.
    slower = np.minimum(most, steps) / np.array(none)
    numbers["slowdown, 16 pairs"] = float(slower[0])
    sign = "" if np.isfinite(most[0]) else "more than "
    return Result(
        name="trap",
        title="Near copies trap loss",
        claim="P near copies with independent labels hold back a share P/N of the label variance (ours).",
        settings={"N": POINTS, "d": DIMENSION, "distance": DISTANCE, "seeds": seeds, "steps": steps}
        | {"labels": "independent", "rates": {arm.label: arm.rate for arm in arms}},
        tables=(
            Table(f"Median steps to a share of the label variance, {seeds} seeds", COLUMNS, tuple(rows)),
        ),
        verdict="with 16 near copies among 64 points, 10 % of the loss is reached "
        f"{sign}{slower[0]:.0f} times later than with none (MLP, Adam); above the floor P/N copies cost little, "
        "below it nearly all residual is theirs.",
        outcome="holds" if slower.min() >= 3 else "holds in part",
        numbers=numbers,
        series=series,
    )


def _rows(
    arm: Arm, share: Float64Array, last_shares: Float64Array, floors: Float64Array
) -> list[tuple[Cell, ...]]:
    """One line per P: the floor, the median steps to each threshold, and where the last loss sits."""
    rows: list[tuple[Cell, ...]] = []
    for column, pairs in enumerate(PAIRS):
        reached = [descent.steps_to(share[:, column], threshold) for threshold in THRESHOLDS]
        cells = [descent.censored_median(each, len(share) - 1) for each in reached]
        last = float(np.median(share[-1, column] / floors[column])) if pairs else None
        on_pairs = float(np.median(last_shares[column])) if pairs else None
        rows.append((arm.label, pairs, pairs / POINTS, float(floors[column].mean()), *cells, last, on_pairs))
    return rows


def _data(seeds: int, device: str) -> tuple[Tensor, Tensor]:
    """Points (pairs * seeds, N, d) and independent labels; a seed's labels are the same for every P."""
    points, targets = [], []
    for pairs in PAIRS:
        for seed in range(seeds):
            x = designs.near_copies(
                designs.generator(11, seed), POINTS, DIMENSION, pairs=pairs, distance=DISTANCE
            )
            points.append(x)
            targets.append(labels.draw_labels("independent", designs.generator(12, seed), x).values)
    return torch.tensor(np.array(points), device=device), torch.tensor(np.array(targets), device=device)


def _floors(y: Tensor) -> Float64Array:
    """sum over pairs (y_i - y_j)^2 / 2 over |y|^2: what equal outputs on a pair cannot fit, about P / N."""
    grouped = y.cpu().numpy().reshape(len(PAIRS), -1, POINTS)
    floors = [
        _on_pairs(values, pairs) / np.sum(values**2, axis=-1)
        for values, pairs in zip(grouped, PAIRS, strict=True)
    ]
    return np.array(floors)


def _on_pairs(residual: Float64Array, pairs: int) -> Float64Array:
    """The squared part of the residual along the differences of the pairs, (…,)."""
    difference = residual[..., 0 : 2 * pairs : 2] - residual[..., 1 : 2 * pairs : 2]
    squared: Float64Array = np.sum(difference**2, axis=-1) / 2.0
    return squared


def _train(
    arm: Arm, x: Tensor, y: Tensor, seeds: int, steps: int, moments: np.ndarray, progress: Progress
) -> tuple[Float64Array, Float64Array]:
    """Loss over label variance (steps + 1, P, seeds), and at the moments the share of it on the pairs."""
    theta = arm.network.init([seed for _ in PAIRS for seed in range(seeds)], str(x.device))
    shares: list[Float64Array] = []
    wanted = set(moments.tolist())

    def watch(step: int, theta: Tensor) -> None:
        if step in wanted:
            with torch.no_grad():
                residual = (arm.network(theta, x) - y).cpu().numpy().reshape(len(PAIRS), seeds, POINTS)
            parts = [
                _on_pairs(r, pairs) / np.sum(r**2, axis=-1) for r, pairs in zip(residual, PAIRS, strict=True)
            ]
            shares.append(np.array(parts))

    run = descent.descend(
        arm.network, theta, x, y, rate=arm.rate, steps=steps, optimiser=arm.optimiser, watch=watch,
        progress=progress, stage=f"trap: {arm.label}",
    )  # fmt: skip
    variance = (y.square().mean(-1) / 2).cpu().numpy()
    return (run.losses / variance).reshape(steps + 1, len(PAIRS), seeds), np.array(shares)


def draw(result: Result) -> Figure:
    """The losses with their floors, one panel per network, and the share of the residual on the pairs."""
    names = [name.removeprefix("loss: ") for name in result.series if name.startswith("loss: ")]
    shown = names if len(names) == 1 else [names[0], names[-1]]  # of these also the residual on the pairs
    count = len(names) + len(shown)
    figure, axes = panels(min(count, 3), -(-count // 3))
    steps = result.series["moments"]
    for axis, name in zip(axes, names, strict=False):
        _draw_losses(axis, steps, result.series[f"loss: {name}"], name)
    axes[0].legend(title="near copies P", loc="lower left", ncols=2, alignment="left")
    for axis, name in zip(axes[len(names) :], shown, strict=True):
        _draw_shares(axis, steps, result.series[f"on pairs: {name}"], name)
    return figure


def _draw_shares(axis: Axes, steps: Float64Array, shares: Float64Array, name: str) -> None:
    for index, pairs in enumerate(PAIRS[1:], start=1):
        axis.plot(steps, shares[:, index], color=COLOURS[index], label=f"P = {pairs}")
    axis.set(xscale="log", ylim=(0, 1.03), xlabel="step", ylabel="share of the residual on the pairs")
    axis.set_title(f"What is left sits on the pairs ({name})")
    axis.legend(loc="upper left")


def _draw_losses(axis: Axes, steps: Float64Array, loss: Float64Array, name: str) -> None:
    for index, pairs in enumerate(PAIRS):
        axis.plot(steps, np.maximum(loss[:, index], 1e-4), color=COLOURS[index], label=str(pairs))
        if pairs:
            axis.axhline(pairs / POINTS, color=COLOURS[index], linestyle=":", linewidth=1.2)
            axis.annotate(
                f"P/N = {pairs}/{POINTS}",
                (steps[0], pairs / POINTS),
                (0, 3),
                **NOTE,
            )
    axis.set(
        xscale="log", yscale="log", ylim=(8e-4, 3), xlabel="step", ylabel="loss / label variance", title=name
    )
