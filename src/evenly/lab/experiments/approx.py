"""Approximation: how the error of a trained network on the whole cube follows the evenness of its points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from evenly.lab import descent, designs, labels, networks
from evenly.lab.figures import COLOURS, MARKERS, panels, plain_ticks
from evenly.lab.geometry import fill_distance, rank_correlation, separation
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 48
DIMENSION = 2
RATE = 3e-3
DESIGNS = (
    "max-min", "Sobol", "random", "biased, power 2", "biased, power 4", "one near copy", "corner lattice"
)  # fmt: skip


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Trains one network per design and seed on the same smooth targets, N = 48, and tests it on a grid."""
    seeds = seeds or (3 if quick else 6)
    steps = 1000 if quick else 1800
    grid = _grid()
    points = [_design(name, seed) for name in DESIGNS for seed in range(seeds)]
    targets = [labels.smooth_target(designs.generator(32, seed), DIMENSION) for seed in range(seeds)]
    values = [target(x) for x, target in zip(points, targets * len(DESIGNS), strict=True)]
    network = networks.mlp(DIMENSION)
    run = descent.descend(
        network,
        network.init(list(range(seeds)) * len(DESIGNS), device),
        torch.tensor(np.array(points), device=device),
        torch.tensor(np.array(values), device=device),
        rate=RATE,
        steps=steps,
        optimiser="adam",
        progress=progress,
        stage="approx",
    )
    with torch.no_grad():
        fitted = network(run.theta, torch.tensor(grid, device=device)).cpu().numpy()
    truth = np.array([target(grid) for target in targets] * len(DESIGNS))
    error = np.sqrt(np.mean((fitted - truth) ** 2, axis=1))
    h_min = np.array([separation(x) for x in points])
    fill = np.array([fill_distance(grid, x) for x in points])
    return _result(seeds, steps, error, h_min, fill, np.sqrt(2 * run.losses[-1]))


def _result(
    seeds: int,
    steps: int,
    error: Float64Array,
    h_min: Float64Array,
    fill: Float64Array,
    training: Float64Array,
) -> Result:
    columns = {"RMSE on the cube": error, "fill": fill, "h_min": h_min, "mesh ratio": fill / h_min}
    columns["RMSE on the points"] = training
    medians = {
        name: np.median(values.reshape(-1, seeds), axis=1).tolist() for name, values in columns.items()
    }
    rows: list[tuple[Cell, ...]] = list(zip(DESIGNS, *medians.values(), strict=True))
    measures = {"fill": fill, "1 / h_min": 1 / h_min, "mesh ratio": fill / h_min}
    correlations = {name: rank_correlation(values, error) for name, values in measures.items()}
    numbers = {f"rank correlation of {name} with error": value for name, value in correlations.items()}
    rmse = dict(zip(DESIGNS, medians["RMSE on the cube"], strict=True))
    numbers |= {f"RMSE, {name}": value for name, value in rmse.items()}
    holds = correlations["fill"] > 0.7 and rmse["max-min"] <= max(rmse["Sobol"], rmse["random"])
    return Result(
        name="approx",
        title="Even points approximate better",
        claim="At fixed N the error of a trained network falls with the fill distance of its points (paper).",
        settings={"N": POINTS, "d": DIMENSION, "seeds": seeds, "steps": steps, "rate": RATE},
        tables=(
            Table(f"Medians over {seeds} seeds, smooth targets", ("design", *columns), tuple(rows)),
            Table("Rank correlation with the error", tuple(measures), (tuple(correlations.values()),)),
        ),
        verdict=f"fill carries the error (rank correlation {correlations['fill']:+.2f}); 1 / h_min alone "
        f"({correlations['1 / h_min']:+.2f}) is fooled by a near copy or a corner lattice. RMSE: "
        + ", ".join(f"{name} {rmse[name]:.3f}" for name in ("max-min", "Sobol", "random"))
        + ".",
        outcome="holds" if holds else "holds in part",
        numbers=numbers,
        series={"error": error, "fill": fill, "h_min": h_min},
    )


def _design(name: str, seed: int) -> Float64Array:
    """The points of one design, (N, 2); the same seed draws the same random pool for all of them."""
    random = designs.generator(31, seed)
    if name == "Sobol":
        return designs.sobol(random, POINTS, DIMENSION)
    if name == "random":
        return designs.uniform(random, POINTS, DIMENSION)
    if name.startswith("biased"):
        return designs.biased(random, POINTS, DIMENSION, float(name.split()[-1]))
    if name == "corner lattice":
        return designs.corner_lattice(POINTS, DIMENSION, side=0.8)
    pool = designs.uniform(random, 20 * POINTS, DIMENSION)
    even = pool[designs.max_min(pool, POINTS)]
    return designs.one_duplicate(even, 1e-3) if name == "one near copy" else even


def _grid() -> Float64Array:
    """41 x 41 points on which error and fill are taken, (1681, 2)."""
    axis = np.linspace(-1.0, 1.0, 41)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def draw(result: Result) -> Figure:
    """The error against fill and against h_min, every design and seed."""
    figure, axes = panels(2)
    shape = (len(DESIGNS), -1)
    error = result.series["error"].reshape(shape)
    for axis, key, label in ((axes[0], "fill", "fill distance"), (axes[1], "h_min", r"$h_{\min}$")):
        values = result.series[key].reshape(shape)
        for index, name in enumerate(DESIGNS):
            axis.plot(
                values[index], error[index], MARKERS[index], color=COLOURS[index], label=name, alpha=0.85
            )
        axis.set(xscale="log", yscale="log", xlabel=label, ylabel="RMSE on the cube")
    plain_ticks(axes[0].xaxis, (0.25, 0.5, 1, 2))
    axes[0].set_title("Fill carries the error")
    axes[1].set_title(r"$h_{\min}$ alone is fooled")
    axes[0].legend(loc="upper left")
    return figure
