"""Along gradient descent: what the convergence framework beyond the NTK regime asks for, measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from evenly.lab import designs, kernel, labels, networks
from evenly.lab.descent import GradientDescent
from evenly.lab.geometry import exponent
from evenly.lab.networks import Network, on
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import COLOURS, INK, frame, look, panels
from evenly.types import Float64Array
from evenly.words import show

POINTS = 16
DIMENSION = 4
WIDTHS = (16, 64, 256, 1024)
STEP_SHARE = 0.5  # the learning rate, as a share of 2 / (top Hessian eigenvalue at the start)
SCALES = np.geomspace(1.0, 8.0, 7)  # c in theta -> c theta
NETWORKS: dict[str, Network] = {
    **{f"one layer, width {width}": networks.one_layer(DIMENSION, width=width) for width in WIDTHS},
    "MLP": networks.mlp(DIMENSION),
    "residual MLP": networks.residual(DIMENSION),
    "transformer": networks.transformer(DIMENSION),
}
SMOOTHNESS: dict[str, Network] = {
    **{f"tanh, depth {depth}": networks.mlp(DIMENSION, width=16, depth=depth) for depth in (1, 2, 3)},
    "gelu, depth 2": networks.mlp(DIMENSION, width=16, activation="gelu"),
    "residual gelu, with tau": networks.residual(DIMENSION, width=16, activation="gelu"),
    "residual gelu, without tau": networks.residual(DIMENSION, width=16, activation="gelu", normalise=False),
}
VARIED: dict[str, dict[int, Network]] = {  # what the learning-rate scale may depend on: residual MLPs
    "depth": {n: networks.residual(DIMENSION, width=32, inner=8, depth=n) for n in (1, 2, 4, 8)},
    "largest width": {n: networks.residual(DIMENSION, width=n, inner=8) for n in (16, 32, 64, 128)},
    "bottleneck": {n: networks.residual(DIMENSION, width=64, inner=n) for n in (2, 8, 32)},
}
CURVES = ("moments", "ratio", "least", "most", "drift", "curved", "sharpness")
# Columns that the verdict reads.
RATIO, OUTSIDE, TOP = "PL ratio, least", "steps outside its range", "top Hessian * eta / 2, most"
NORM, DRIFT = "|theta| / |theta_0|, most", "kernel drift at the end"


def run(setup: Setup) -> Result:
    """Follows gradient descent on 16 points for each network, and how the Hessian grows with the scale."""
    seeds, steps = setup.seeds or setup.size(1, 2), setup.size(300, 1000)
    runs = {
        name: [_follow(network, seed, steps, setup) for seed in range(seeds)]
        for name, network in setup.each("trajectory: runs", NETWORKS.items())
    }
    each_network = setup.each("trajectory: smoothness", SMOOTHNESS.items())
    growth = {name: _growth(network, seeds, setup) for name, network in each_network}
    worst = {name: _worst(each) for name, each in runs.items()}
    smoothness = {name: exponent(SCALES, values) for name, values in growth.items()}
    starts = [_start(name, setup.size(1, 3) * seeds, setup) for name in VARIED]
    ratio, outside = (
        min(each[RATIO] for each in worst.values()),
        sum(each[OUTSIDE] for each in worst.values()),
    )
    numbers: dict[str, Number] = {f"drift, {name}": each[DRIFT] for name, each in worst.items()}
    numbers |= {f"norm, most, {name}": each[NORM] for name, each in worst.items()}
    numbers |= {f"exponent, {name}": p for name, p in smoothness.items()}
    for each in starts:
        numbers[f"curvature at the start, exponent in {each['varied']}"] = each["exponent"]
    numbers |= {f"top Hessian over 2/eta, most, {name}": each[TOP] for name, each in worst.items()}
    growths = [{"network": name, "p": p} for name, p in smoothness.items()]
    return Result(
        name="trajectory",
        title="Convergence beyond the NTK regime",
        claim="An iterate-dependent PL inequality, bounded iterates, polynomial smoothness suffice (paper).",
        settings={"N": POINTS, "d": DIMENSION, "seeds": seeds, "steps": steps}
        | {"rate over 2 / top Hessian": STEP_SHARE},
        tables=(
            ResultTable.of(
                "Along gradient descent", [{"network": name} | each for name, each in worst.items()]
            ),
            ResultTable.of("Polynomial smoothness: |Hess L(c theta)| ~ c^p", growths),
            ResultTable.of("The learning-rate scale under Xavier: residual MLPs at the start", starts),
        ),
        verdict=_verdict(worst, smoothness),
        outcome="holds" if outside == 0 and ratio > 0 else "holds in part",
        numbers=numbers | {"PL outside": float(outside), "PL ratio, least": ratio},
        series={f"{part}: {name}": each[0][part] for name, each in runs.items() for part in CURVES}
        | {f"growth: {name}": values for name, values in growth.items()},
    )


def _verdict(worst: dict[str, dict[str, Any]], smoothness: dict[str, float]) -> str:
    lazy, active = (worst[f"one layer, width {width}"][DRIFT] for width in (WIDTHS[-1], WIDTHS[0]))
    norm, top = (max(each[column] for each in worst.values()) for column in (NORM, TOP))
    return (
        "the PL ratio stays inside the eigenvalue range at every measured step and above 0 (least "
        f"{min(each[RATIO] for each in worst.values()):.1e}); drift runs from {lazy:.3f} (width {WIDTHS[-1]}) to "
        f"{active:.2f} (width {WIDTHS[0]}); norms grow at most {norm:.2f}x; sharpness reaches {top:.2f} of 2/eta and "
        "the loss falls all the same; tau lowers the smoothness exponent from "
        f"{smoothness['residual gelu, without tau']:.1f} to {smoothness['residual gelu, with tau']:.1f}."
    )


def _problem(seed: int) -> tuple[Float64Array, Float64Array]:
    """16 max-min points and smooth labels."""
    random = designs.generator(71, seed)
    x = designs.even(random, POINTS, DIMENSION, 8)
    return x, labels.draw_labels("smooth", random, x).values


def _follow(network: Network, seed: int, steps: int, setup: Setup) -> dict[str, Any]:
    """Gradient descent with one seed.

    Returns:
        ``moments`` (m,), the steps at which the kernel was measured; there ``ratio``, ``least`` and ``most``, the PL
        ratio, lambda_min / N and lambda_max / N, and ``drift``, |K_t - K_0| / |K_0| in Frobenius norm; ``curved``
        (c,), the steps at which the Hessian was measured, and there ``sharpness``, its top eigenvalue times eta / 2:
        gradient descent on a quadratic needs it below 1. Then ``norm``, the largest |theta_t| / |theta_0|;
        ``outside``, at how many moments the PL ratio left its range (none, by the theorem); ``loss``, the least loss
        over the first.
    """
    x, y = _problem(seed)
    theta = network.init([seed], setup.device)
    rate = STEP_SHARE * 2.0 / kernel.top_curvature(network, theta[0], x, y)
    moments = np.unique(np.geomspace(1, steps + 1, 30).astype(int)) - 1
    curved = moments[:: max(1, len(moments) // setup.size(6, 12))]
    trained = GradientDescent(network, rate, "gd").train(theta, x[None], y[None], steps=steps, keep=moments)
    kept = {step: each[0] for step, each in trained.kept.items()}
    first = kernel.jacobian(network, theta[0], x)
    measured = [_measure(network, each, x, y, first @ first.T) for each in kept.values()]
    ratio, least, most, slack, drift = np.array(measured).T
    sharpness = [rate / 2 * kernel.top_curvature(network, kept[step], x, y) for step in curved]
    return {
        "moments": moments.astype(float),
        "ratio": ratio,
        "least": least,
        "most": most,
        "drift": drift,
        "curved": curved.astype(float),
        "sharpness": np.array(sharpness),
        "norm": max(float(each.norm() / theta[0].norm()) for each in kept.values()),
        "outside": np.sum((ratio < least - slack) | (ratio > most * (1 + 1e-12) + slack)),
        "loss": trained.losses.min() / trained.losses[0, 0],
    }


def _worst(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """PL ratio and sharpness of the first seed, whose curves are shown; the worst norm and loss; the median drift."""
    return {
        RATIO: runs[0]["ratio"].min(),
        OUTSIDE: sum(each["outside"] for each in runs),
        TOP: runs[0]["sharpness"].max(),
        NORM: max(each["norm"] for each in runs),
        DRIFT: np.median([each["drift"][-1] for each in runs]),
        "least loss / first": max(each["loss"] for each in runs),
    }


def _measure(
    network: Network, theta: Tensor, x: Float64Array, y: Float64Array, start: Tensor
) -> tuple[float, ...]:
    """PL ratio, lambda_min / N, lambda_max / N, the rounding of the first, and the drift of K from ``start``."""
    rows = kernel.jacobian(network, theta, x)
    eigenvalues = kernel.eigenvalues(rows) / POINTS
    ratio = kernel.pl_ratio(rows, network(theta, x).detach() - on(theta, y))
    drift = float((rows @ rows.T - start).norm() / start.norm())
    return ratio, eigenvalues[-1], eigenvalues[0], kernel.rounding(eigenvalues), drift


def _growth(network: Network, seeds: int, setup: Setup) -> Float64Array:
    """The spectral norm of the Hessian of L at c theta over that at theta, median over seeds, (scales,)."""
    rows = []
    for seed in range(seeds):
        x, y = _problem(seed)
        theta = network.init([seed], setup.device)[0]
        norms = [kernel.top_curvature(network, scale * theta, x, y, magnitude=True) for scale in SCALES]
        rows.append(np.array(norms) / norms[0])
    return np.asarray(np.median(rows, axis=0), dtype=np.float64)


def _start(varied: str, seeds: int, setup: Setup) -> dict[str, Any]:
    """The top Hessian eigenvalue under Xavier, median over the seeds: 2 over it is the largest stable rate."""
    tops = {}
    for n, network in VARIED[varied].items():
        first = network.init(range(seeds), setup.device)
        tops[n] = float(
            np.median([kernel.top_curvature(network, first[s], *_problem(s)) for s in range(seeds)])
        )
    return {
        "varied": varied,
        "over": ", ".join(map(str, tops)),
        "top Hessian eigenvalue": ", ".join(map(show, tops.values())),
        "exponent": exponent(tops, tops.values()),
    }


def draw(result: Result) -> Figure:
    """The PL ratio in its range, sharpness against 2 / eta, the kernel's drift, the growth of the Hessian."""
    figure, (pl, sharpness, drift, smoothness) = panels(2, 2)
    _draw_range(pl, result, "residual MLP")
    for index, name in enumerate(NETWORKS):
        curve = {part: result.series[f"{part}: {name}"] for part in CURVES}
        line: dict[str, Any] = {"color": COLOURS[index], "label": name}
        sharpness.plot(1 + curve["curved"], curve["sharpness"], **line)
        drift.plot(1 + curve["moments"][1:], curve["drift"][1:], **line)
    sharpness.axhline(1.0, color=INK, linestyle="--", linewidth=1.0)
    legend: dict[str, Any] = {"loc": "upper left", "fontsize": 7.5}
    title = r"Sharpness rises to $2/\eta$ where features move"
    eigenvalue = r"top Hessian eigenvalue $\cdot\ \eta/2$"
    frame(sharpness, title, "step", eigenvalue, log="x", legend=legend | {"ncols": 2})
    sharpness.set_ylim(0.3, 2.2)
    frame(drift, "Kernel drift: lazy to feature learning", "step", r"$|K_t-K_0|\,/\,|K_0|$", log="xy")
    drift.set_ylim(1e-3, 10)
    for index, (name, growth) in enumerate(result.series_of("growth: ").items()):
        label = f"{name}: p = {result.numbers[f'exponent, {name}']:.1f}"
        smoothness.plot(SCALES, growth, label=label, **look(index, "-"))
    title, scale = "Smoothness is polynomial, not bounded", r"scale $c$ of the parameters"
    ratio = r"$|\nabla^2 L(c\theta)|\,/\,|\nabla^2 L(\theta)|$"
    frame(smoothness, title, scale, ratio, log="xy", x_ticks=(1, 2, 4, 8), legend=legend)
    return figure


def _draw_range(axis: Axes, result: Result, name: str) -> None:
    least, most, ratio = (result.series[f"{part}: {name}"] for part in ("least", "most", "ratio"))
    steps = 1 + result.series[f"moments: {name}"]
    label = "eigenvalues of K / N"
    axis.fill_between(steps, least, most, color=COLOURS[5], alpha=0.3, linewidth=0, label=label)
    axis.plot(steps, ratio, color=COLOURS[0], label="PL ratio")
    title = f"The PL ratio stays inside its range ({name})"
    frame(axis, title, "step", r"$|\nabla L|^2\,/\,2L$", log="xy", legend="lower left")
