"""Along gradient descent: what the convergence framework beyond the NTK regime asks for, measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evenly.lab import descent, designs, kernel, labels, networks
from evenly.lab.figures import COLOURS, INK, MARKERS, panels, plain_ticks
from evenly.lab.networks import Network
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Follows gradient descent on 16 points for each network, and how the Hessian grows with the scale."""
    seeds = seeds or (1 if quick else 2)
    steps = 300 if quick else 1000
    followed: dict[str, Followed] = {}
    for done, (name, network) in enumerate(NETWORKS.items()):
        runs = [_follow(network, seed, steps, 6 if quick else 12, device) for seed in range(seeds)]
        followed[name] = _worst(runs)
        progress("trajectory: runs", done + 1, len(NETWORKS))
    growth = {name: _growth(network, seeds, device) for name, network in SMOOTHNESS.items()}
    progress("trajectory: smoothness", 1, 1)
    starts = {name: _starts(varied, seeds if quick else 3 * seeds, device) for name, varied in VARIED.items()}
    exponents = {name: exponent(SCALES, values) for name, values in growth.items()}
    numbers = {f"drift, {name}": each.last_drift for name, each in followed.items()}
    numbers |= {f"norm, most, {name}": each.norm for name, each in followed.items()}
    numbers |= {f"exponent, {name}": p for name, p in exponents.items()}
    numbers |= {
        f"curvature at the start, exponent in {name}": exponent(each, each.values())
        for name, each in starts.items()
    }
    for name, each in followed.items():
        numbers[f"top Hessian over 2/eta, most, {name}"] = float(each.sharpness.max())
    numbers["PL outside"] = float(sum(each.outside for each in followed.values()))
    numbers["PL ratio, least"] = min(float(each.ratio.min()) for each in followed.values())
    holds = numbers["PL outside"] == 0 and numbers["PL ratio, least"] > 0
    return Result(
        name="trajectory",
        title="Convergence beyond the NTK regime",
        claim="An iterate-dependent PL inequality, bounded iterates, polynomial smoothness suffice (paper).",
        settings={"N": POINTS, "d": DIMENSION, "seeds": seeds, "steps": steps}
        | {"rate over 2 / top Hessian": STEP_SHARE},
        tables=(_run_table(followed), _growth_table(exponents), _start_table(starts)),
        verdict=_verdict(followed, exponents, numbers["PL ratio, least"]),
        outcome="holds" if holds else "holds in part",
        numbers=numbers,
        series=_series(followed, growth),
    )


@dataclass(frozen=True, eq=False)
class Followed:
    """One run of gradient descent, measured at ``moments``.

    Attributes:
        moments: (m,) steps at which the kernel was measured.
        ratio, least, most: (m,) the PL ratio, lambda_min / N and lambda_max / N.
        drift: (m,) |K_t - K_0| / |K_0| in Frobenius norm.
        curved: (c,) steps at which the Hessian was measured.
        sharpness: (c,) its top eigenvalue times eta / 2: gradient descent on a quadratic needs it below 1.
        norm: the largest |theta_t| / |theta_0|.
        last_drift: the last of ``drift``.
        outside: at how many moments the PL ratio left [lambda_min / N, lambda_max / N]; 0 by the theorem.
        loss: the least loss over the first.
    """

    moments: Float64Array
    ratio: Float64Array
    least: Float64Array
    most: Float64Array
    drift: Float64Array
    curved: Float64Array
    sharpness: Float64Array
    norm: float
    last_drift: float
    outside: int
    loss: float


def _verdict(followed: dict[str, Followed], exponents: dict[str, float], least: float) -> str:
    lazy, active = (followed[f"one layer, width {width}"].last_drift for width in (WIDTHS[-1], WIDTHS[0]))
    return (
        "the PL ratio stays inside the eigenvalue range at every measured step and above 0 (least "
        f"{least:.1e}); drift runs from {lazy:.3f} (width {WIDTHS[-1]}) to {active:.2f} (width {WIDTHS[0]}); norms "
        f"grow at most {max(each.norm for each in followed.values()):.2f}x; sharpness reaches "
        f"{max(float(each.sharpness.max()) for each in followed.values()):.2f} of 2/eta and the loss falls all the "
        f"same; tau lowers the smoothness exponent from {exponents['residual gelu, without tau']:.1f} to "
        f"{exponents['residual gelu, with tau']:.1f}."
    )


def _problem(seed: int, device: str) -> tuple[Tensor, Tensor]:
    """16 max-min points and smooth labels."""
    random = designs.generator(71, seed)
    pool = designs.uniform(random, 8 * POINTS, DIMENSION)
    x = pool[designs.max_min(pool, POINTS)]
    y = labels.draw_labels("smooth", random, x).values
    return torch.tensor(x, device=device), torch.tensor(y, device=device)


def _follow(network: Network, seed: int, steps: int, curvatures: int, device: str) -> Followed:
    x, y = _problem(seed, device)
    theta = network.init([seed], device)
    rate = STEP_SHARE * 2.0 / kernel.top_curvature(network, theta[0], x, y)
    moments = np.unique(np.geomspace(1, steps + 1, 30).astype(int)) - 1
    curved = moments[:: max(1, len(moments) // curvatures)]
    kept: dict[int, Tensor] = {}

    def watch(step: int, now: Tensor) -> None:
        if step in moments:
            kept[step] = now[0].detach().clone()

    trained = descent.descend(network, theta, x[None], y[None], rate=rate, steps=steps, watch=watch)
    start = _kernel(network, theta[0], x)
    measured = np.array([_measure(network, kept[step], x, y, start) for step in moments])
    ratio, least, most, slack, drift = measured.T
    sharpness = [rate / 2 * kernel.top_curvature(network, kept[step], x, y) for step in curved]
    norms = [float(each.norm() / theta[0].norm()) for each in kept.values()]
    outside = int(np.sum((ratio < least - slack) | (ratio > most * (1 + 1e-12) + slack)))
    loss = float(trained.losses.min() / trained.losses[0, 0])
    return Followed(
        moments.astype(float), ratio, least, most, drift, curved.astype(float), np.array(sharpness),
        max(norms), float(drift[-1]), outside, loss,
    )  # fmt: skip


def _kernel(network: Network, theta: Tensor, x: Tensor) -> Tensor:
    rows = kernel.jacobian(network, theta, x)
    return rows @ rows.T


def _measure(network: Network, theta: Tensor, x: Tensor, y: Tensor, start: Tensor) -> tuple[float, ...]:
    """PL ratio, lambda_min / N, lambda_max / N, the rounding of the first, and the drift of K."""
    rows = kernel.jacobian(network, theta, x)
    eigenvalues = kernel.eigenvalues(rows) / POINTS
    with torch.no_grad():
        ratio = kernel.pl_ratio(rows, network(theta, x) - y)
    drift = float((rows @ rows.T - start).norm() / start.norm())
    return ratio, eigenvalues[-1], eigenvalues[0], kernel.rounding(eigenvalues), drift


def _worst(runs: list[Followed]) -> Followed:
    """The curves of the first seed; in each summary the worst of all seeds (the median for the drift)."""
    return replace(
        runs[0],
        norm=max(each.norm for each in runs),
        last_drift=float(np.median([each.last_drift for each in runs])),
        outside=sum(each.outside for each in runs),
        loss=max(each.loss for each in runs),
    )


def _growth(network: Network, seeds: int, device: str) -> Float64Array:
    """The spectral norm of the Hessian of L at c theta over that at theta, median over seeds, (scales,)."""
    rows = []
    for seed in range(seeds):
        x, y = _problem(seed, device)
        theta = network.init([seed], device)[0]
        norms = [kernel.top_curvature(network, scale * theta, x, y, magnitude=True) for scale in SCALES]
        rows.append(np.array(norms) / norms[0])
    return np.asarray(np.median(rows, axis=0), dtype=np.float64)


def _starts(varied: dict[int, Network], seeds: int, device: str) -> dict[int, float]:
    """The top Hessian eigenvalue under Xavier, median over the seeds: 2 over it is the largest stable rate."""
    problems = [_problem(seed, device) for seed in range(seeds)]
    found = {}
    for n, network in varied.items():
        first = network.init(range(seeds), device)
        tops = [
            kernel.top_curvature(network, theta, x, y) for theta, (x, y) in zip(first, problems, strict=True)
        ]
        found[n] = float(np.median(tops))
    return found


def exponent(sizes: Iterable[float], values: Iterable[float]) -> float:
    """p where values go as sizes^p: the slope of the logarithms."""
    return float(np.polyfit(np.log(list(sizes)), np.log(list(values)), 1)[0])


def _run_table(followed: dict[str, Followed]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, float(r.ratio.min()), r.outside, float(r.sharpness.max()), r.norm, r.last_drift, r.loss)
        for name, r in followed.items()
    ]
    columns = ("network", "PL ratio, least", "steps outside its range", "top Hessian * eta / 2, most")
    more = ("|theta| / |theta_0|, most", "kernel drift at the end", "least loss / first")
    return Table("Along gradient descent", columns + more, tuple(rows))


def _growth_table(exponents: dict[str, float]) -> Table:
    rows: list[tuple[Cell, ...]] = list(exponents.items())
    return Table("Polynomial smoothness: |Hess L(c theta)| ~ c^p", ("network", "p"), tuple(rows))


def _start_table(starts: dict[str, dict[int, float]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, ", ".join(map(str, each)), ", ".join(map(show, each.values())), exponent(each, each.values()))
        for name, each in starts.items()
    ]
    columns = ("varied", "over", "top Hessian eigenvalue", "exponent")
    return Table("The learning-rate scale under Xavier: residual MLPs at the start", columns, tuple(rows))


def _series(followed: dict[str, Followed], growth: dict[str, Float64Array]) -> dict[str, Float64Array]:
    series: dict[str, Float64Array] = {}
    for name, each in followed.items():
        for part in ("moments", "ratio", "least", "most", "drift", "curved", "sharpness"):
            series[f"{part}: {name}"] = getattr(each, part)
    return series | {f"growth: {name}": values for name, values in growth.items()}


def draw(result: Result) -> Figure:
    """The PL ratio in its range, sharpness against 2 / eta, the kernel's drift, the growth of the Hessian."""
    figure, axes = panels(2, 2)
    _draw_range(axes[0], result, "residual MLP")
    for index, name in enumerate(NETWORKS):
        look: dict[str, Any] = {"color": COLOURS[index], "label": name}
        axes[1].plot(1 + result.series[f"curved: {name}"], result.series[f"sharpness: {name}"], **look)
        drift = result.series[f"drift: {name}"][1:]
        axes[2].plot(1 + result.series[f"moments: {name}"][1:], drift, **look)
    axes[1].axhline(1.0, color=INK, linestyle="--", linewidth=1.0)
    axes[1].set(
        xscale="log", xlabel="step", ylabel=r"top Hessian eigenvalue $\cdot\ \eta/2$", ylim=(0.3, 2.2)
    )
    axes[1].set_title(r"Sharpness rises to $2/\eta$ where features move")
    axes[2].set(xscale="log", yscale="log", ylim=(1e-3, 10), xlabel="step", ylabel=r"$|K_t-K_0|\,/\,|K_0|$")
    axes[2].set_title("Kernel drift: lazy to feature learning")
    axes[1].legend(loc="upper left", fontsize=7.5, ncols=2)
    for index, name in enumerate(SMOOTHNESS):
        label = f"{name}: p = {result.numbers[f'exponent, {name}']:.1f}"
        growth = result.series[f"growth: {name}"]
        axes[3].plot(SCALES, growth, MARKERS[index] + "-", color=COLOURS[index], label=label)
    axes[3].set(xscale="log", yscale="log", xlabel=r"scale $c$ of the parameters")
    axes[3].set(
        ylabel=r"$|\nabla^2 L(c\theta)|\,/\,|\nabla^2 L(\theta)|$",
        title="Smoothness is polynomial, not bounded",
    )
    plain_ticks(axes[3].xaxis, (1, 2, 4, 8))
    axes[3].legend(loc="upper left", fontsize=7.5)
    return figure


def _draw_range(axis: Axes, result: Result, name: str) -> None:
    steps = 1 + result.series[f"moments: {name}"]
    least, most = result.series[f"least: {name}"], result.series[f"most: {name}"]
    axis.fill_between(
        steps, least, most, color=COLOURS[5], alpha=0.3, linewidth=0, label="eigenvalues of K / N"
    )
    axis.plot(steps, result.series[f"ratio: {name}"], color=COLOURS[0], label="PL ratio")
    axis.set(xscale="log", yscale="log", xlabel="step", ylabel=r"$|\nabla L|^2\,/\,2L$")
    axis.set_title(f"The PL ratio stays inside its range ({name})")
    axis.legend(loc="lower left")
