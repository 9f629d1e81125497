"""Approximation: how the error of a trained network on the whole cube follows the evenness of its points."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from evenly.lab import designs, labels, networks
from evenly.lab.descent import GradientDescent
from evenly.lab.geometry import fill_distance, rank_correlation, separation
from evenly.lab.result import Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import frame, look, panels
from evenly.types import Float64Array

POINTS = 48
DIMENSION = 2
TRAINER = GradientDescent(networks.mlp(DIMENSION), rate=3e-3)
NEAR = 1e-3  # the distance of the one near copy, far below the h_min of any other design
DESIGNS: dict[str, designs.Design] = {
    "max-min": partial(designs.even, crowd=20),
    "Sobol": designs.sobol,
    "random": designs.uniform,
    "biased, power 2": partial(designs.biased, power=2.0),
    "biased, power 4": partial(designs.biased, power=4.0),
    "one near copy": lambda random, n, d: designs.one_duplicate(designs.even(random, n, d, 20), NEAR),
    "corner lattice": lambda random, n, d: designs.corner_lattice(n, d, side=0.8),
}


def run(setup: Setup) -> Result:
    """Trains one network per design and seed on the same smooth targets, N = 48, and tests it on a grid."""
    seeds, steps = setup.seeds or setup.size(3, 6), setup.size(1000, 1800)
    grid = designs.lattice(41, DIMENSION)  # on which error and fill are taken
    points = [  # the same seed draws the same random pool for every design
        draw_points(designs.generator(31, seed), POINTS, DIMENSION)
        for draw_points in DESIGNS.values()
        for seed in range(seeds)
    ]
    targets = [labels.smooth_target(designs.generator(32, seed), DIMENSION) for seed in range(seeds)]
    values = [target(x) for x, target in zip(points, targets * len(DESIGNS), strict=True)]
    theta = TRAINER.network.init([*range(seeds)] * len(DESIGNS), setup.device)
    trained = TRAINER.train(theta, points, values, steps=steps, told=partial(setup.progress, "approx"))
    fitted = TRAINER.network.fitted(trained.theta, grid)
    truth = np.array([target(grid) for target in targets] * len(DESIGNS))
    fill, h_min = np.array([(fill_distance(grid, x), separation(x)) for x in points]).T
    measured = {
        "RMSE on the cube": np.sqrt(np.mean((fitted - truth) ** 2, axis=1)),
        "fill": fill,
        "h_min": h_min,
        "mesh ratio": fill / h_min,
        "RMSE on the points": np.sqrt(2 * trained.losses[-1]),
    }
    return _result(seeds, steps, measured)


def _result(seeds: int, steps: int, measured: dict[str, Float64Array]) -> Result:
    error, fill, h_min = (measured[name] for name in ("RMSE on the cube", "fill", "h_min"))
    medians = {name: np.median(each.reshape(-1, seeds), axis=1) for name, each in measured.items()}
    rmse = dict(zip(DESIGNS, medians["RMSE on the cube"], strict=True))
    measures = {"fill": fill, "1 / h_min": 1 / h_min, "mesh ratio": fill / h_min}
    correlation = {name: rank_correlation(values, error) for name, values in measures.items()}
    holds = correlation["fill"] > 0.7 and rmse["max-min"] <= max(rmse["Sobol"], rmse["random"])
    return Result(
        name="approx",
        title="Even points approximate better",
        claim="At fixed N the error of a trained network falls with the fill distance of its points (paper).",
        settings={"N": POINTS, "d": DIMENSION, "seeds": seeds, "steps": steps, "rate": TRAINER.rate},
        tables=(
            ResultTable.of(
                f"Medians over {seeds} seeds, smooth targets",
                [
                    {"design": name} | {column: each[i] for column, each in medians.items()}
                    for i, name in enumerate(DESIGNS)
                ],
            ),
            ResultTable.of("Rank correlation with the error", [correlation]),
        ),
        verdict=f"fill carries the error (rank correlation {correlation['fill']:+.2f}); 1 / h_min alone "
        f"({correlation['1 / h_min']:+.2f}) is fooled by a near copy or a corner lattice. RMSE: "
        + ", ".join(f"{name} {rmse[name]:.3f}" for name in ("max-min", "Sobol", "random"))
        + ".",
        outcome="holds" if holds else "holds in part",
        numbers={f"rank correlation of {name} with error": value for name, value in correlation.items()}
        | {f"RMSE, {name}": value for name, value in rmse.items()},
        series={"error": error, "fill": fill, "h_min": h_min},
    )


def draw(result: Result) -> Figure:
    """The error against fill and against h_min, every design and seed."""
    figure, axes = panels(2)
    error, fill, h_min = (result.series[key].reshape(len(DESIGNS), -1) for key in ("error", "fill", "h_min"))
    for index, name in enumerate(DESIGNS):
        for axis, values in zip(axes, (fill, h_min), strict=True):
            axis.plot(values[index], error[index], label=name, alpha=0.85, **look(index))
    rmse, ticks = "RMSE on the cube", (0.25, 0.5, 1, 2)
    frame(
        axes[0], "Fill carries the error", "fill distance", rmse, log="xy", x_ticks=ticks, legend="upper left"
    )
    frame(axes[1], r"$h_{\min}$ alone is fooled", r"$h_{\min}$", rmse, log="xy")
    return figure
