"""The spectrum: how the smallest eigenvalue of the tangent kernel follows the closest pair's distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evenly.lab import descent, designs, kernel, labels, networks
from evenly.lab.figures import COLOURS, INK, MARKERS, panels, plain_ticks
from evenly.lab.geometry import rank_correlation, separation
from evenly.lab.networks import Network
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 16
DIMENSION = 6
COLLAPSE: Float64Array = np.exp2(-np.arange(12.0))  # the distance of the pair
FITTED = COLLAPSE <= 2.0**-5  # where the slope is taken: closer than the rest of the points
STEP_DISTANCES = np.array([0.7, 0.5, 0.35, 0.25, 0.18])
NETWORKS: dict[str, Network] = {
    "MLP, tanh": networks.mlp(DIMENSION),
    "MLP, gelu": networks.mlp(DIMENSION, activation="gelu"),
    "residual MLP, tanh": networks.residual(DIMENSION),
    "transformer, gelu": networks.transformer(DIMENSION),
    "MLP, relu (not analytic)": networks.mlp(DIMENSION, activation="relu"),
}
TRAINED = {  # learning rates of gradient descent and of Adam
    "MLP, tanh": (0.3, 3e-3),
    "residual MLP, tanh": (0.1, 3e-3),
    "transformer, gelu": (0.03, 3e-3),
}


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Lets one pair of 16 points collapse and follows lambda_min; then random sets; then its steps."""
    seeds = seeds or (2 if quick else 4)
    collapse: dict[str, tuple[Float64Array, Float64Array]] = {}
    for done, (name, network) in enumerate(NETWORKS.items()):
        collapse[name] = _collapse(network, seeds, device)
        progress("spectrum: collapsing pair", done + 1, len(NETWORKS))
    scatter = _random_sets(16 if quick else 40, device)
    progress("spectrum: random sets", 1, 1)
    steps = 800 if quick else 3000
    price = _price(seeds, steps, device, progress, quick)
    table, numbers = _collapse_table(collapse, scatter)
    numbers |= {f"exponent of steps, {name}": each[0] for name, each in price.items()}
    analytic = [numbers[f"slope, {name}"] for name in NETWORKS if "relu" not in name]
    kept = max(numbers[f"lambda_min over bound, most, {name}"] for name in NETWORKS) <= 1.0
    holds = kept and all(1.9 <= slope <= 2.1 for slope in analytic)
    correlations = [numbers[f"rank correlation, {name}"] for name in NETWORKS]
    return Result(
        name="spectrum",
        title="A close pair slows the slowest mode",
        claim="lambda_min(K) <= |g_i - g_j|^2 / 2 <= Lip^2 h_ij^2 / 2 for a pair (ours): it falls as h^2.",
        settings={"N": POINTS, "d": DIMENSION, "seeds": seeds, "rates (gd, adam)": TRAINED},
        tables=(table, _price_table(price, steps)),
        verdict=f"the pair bound was never broken; analytic networks fall as h^{span(analytic)}; "
        f"across random sets h_min alone orders lambda_min poorly (rank correlation "
        f"{span(correlations)}); steps rise only where labels differ.",
        outcome="holds" if holds else "holds in part",
        numbers=numbers,
        series={f"lambda_min: {name}": np.median(each[0], axis=0) for name, each in collapse.items()}
        | {f"bound: {name}": np.median(each[1], axis=0) for name, each in collapse.items()}
        | {f"random: {name}": values for name, values in scatter.items()}
        | {f"steps: {name}": each[1] for name, each in price.items()},
    )


def _collapse_table(
    collapse: dict[str, tuple[Float64Array, Float64Array]], scatter: dict[str, Float64Array]
) -> tuple[Table, dict[str, float]]:
    """Slope, tightness of the pair bound, and rank correlation across random sets, of each network."""
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, float] = {}
    for name, (smallest, bound) in collapse.items():
        slopes = [_slope(COLLAPSE[FITTED], np.asarray(each)[FITTED]) for each in smallest]
        share = smallest / bound
        correlation = rank_correlation(scatter["h_min"], scatter[name])
        numbers |= {f"slope, {name}": float(np.mean(slopes)), f"rank correlation, {name}": correlation}
        numbers |= {f"lambda_min over bound, most, {name}": float(share.max())}
        cells = (np.mean(slopes), min(slopes), max(slopes), share.max(), np.median(share[:, FITTED]))
        rows.append((name, *map(float, cells), correlation))
    columns = ("network", "slope", "least", "most", "lambda_min / bound, most", "median")
    across = "random sets: rank correlation of h_min and lambda_min"
    title = "One pair collapses: the slope of log lambda_min on log h, and the pair bound"
    return Table(title, (*columns, across), tuple(rows)), numbers


def _slope(x: Float64Array, y: Float64Array) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def pair_set(random: designs.Generator, distance: float) -> Float64Array:
    """16 max-min points of which the second has moved to ``distance`` from the first."""
    pool = designs.uniform(random, 8 * POINTS, DIMENSION)
    points = pool[designs.max_min(pool, POINTS)]
    direction = random.standard_normal(DIMENSION)
    points[1] = points[0] + distance * direction / np.linalg.norm(direction)
    return points


def _collapse(network: Network, seeds: int, device: str) -> tuple[Float64Array, Float64Array]:
    """lambda_min and the least pair bound, (seeds, distances) each."""
    smallest, bound = np.empty((2, seeds, len(COLLAPSE)))
    for seed in range(seeds):
        theta = network.init([seed], device)[0]
        for column, distance in enumerate(COLLAPSE):
            x = torch.tensor(pair_set(designs.generator(51, seed), distance), device=device)
            rows = kernel.jacobian(network, theta, x)
            smallest[seed, column] = kernel.eigenvalues(rows)[-1]
            bound[seed, column] = kernel.pair_bounds(rows).min()
    return smallest, bound


def _random_sets(sets: int, device: str) -> dict[str, Float64Array]:
    """h_min of random sets, and lambda_min of each network on them, (sets,) each."""
    points = [designs.uniform(designs.generator(52, index), POINTS, DIMENSION) for index in range(sets)]
    found = {"h_min": np.array([separation(x) for x in points])}
    for name, network in NETWORKS.items():
        theta = network.init([0], device)[0]
        jacobians = (kernel.jacobian(network, theta, torch.tensor(x, device=device)) for x in points)
        found[name] = np.array([kernel.eigenvalues(rows)[-1] for rows in jacobians])
    return found


def _price(
    seeds: int, steps: int, device: str, progress: Progress, quick: bool
) -> dict[str, tuple[float, Float64Array]]:
    """Steps until a close pair is fitted, by network: the exponent in h, and the steps (distances, seeds)."""
    drawn = [(h, seed) for h in STEP_DISTANCES for seed in range(seeds)]
    points = np.array([pair_set(designs.generator(53, seed), h) for h, seed in drawn])
    values = np.array([_smooth(seed)(x) for (_, seed), x in zip(drawn, points, strict=True)])
    apart = values.copy()
    middle = apart[:, :2].mean(axis=1)
    apart[:, 0], apart[:, 1] = middle - 0.5, middle + 0.5
    # Equal outputs on the pair leave (1/2)^2 + (1/2)^2 of squared residual; fitted: a tenth is left.
    threshold = 0.1 * 0.5 / (2 * POINTS)
    found = {}
    for name, rates in list(TRAINED.items())[: 1 if quick else None]:
        network = NETWORKS[name]
        for optimiser, rate in zip(("gd", "adam"), rates, strict=True):
            for kind, targets in (("labels 1 apart", apart), ("smooth labels", values)):
                run = descent.descend(
                    network,
                    network.init([seed for _, seed in drawn], device),
                    torch.tensor(points, device=device),
                    torch.tensor(targets, device=device),
                    rate=rate,
                    steps=steps,
                    optimiser=optimiser,  # type: ignore[arg-type]
                    until=threshold,
                    progress=progress,
                    stage=f"spectrum: {name}, {optimiser}",
                )
                taken = descent.steps_to(run.losses, threshold).reshape(len(STEP_DISTANCES), seeds)
                found[f"{name}, {optimiser}, {kind}"] = (_exponent(taken), taken)
    return found


def _smooth(seed: int) -> labels.Target:
    return labels.smooth_target(designs.generator(54, seed), DIMENSION, frequency=1.0)


def _exponent(taken: Float64Array) -> float:
    """The slope of log steps on log h where most seeds finished; NaN for fewer than two distances."""
    middle = np.quantile(taken, 0.5, axis=1, method="higher")
    done = np.isfinite(middle)
    return _slope(STEP_DISTANCES[done], middle[done]) if done.sum() >= 2 else float("nan")


def _price_table(price: dict[str, tuple[float, Float64Array]], cap: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, *[descent.censored_median(each, cap) for each in taken], exponent)
        for name, (exponent, taken) in price.items()
    ]
    columns = ("network, optimiser, labels", *[f"h = {h:g}" for h in STEP_DISTANCES], "exponent in h")
    return Table("Median steps to fit the close pair to a tenth of its residual", columns, tuple(rows))


def draw(result: Result) -> Figure:
    """lambda_min against the collapsing distance, the random sets, and the steps it costs."""
    figure, axes = panels(3)
    for index, name in enumerate(NETWORKS):
        values = result.series[f"lambda_min: {name}"]
        look: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
        axes[0].plot(COLLAPSE, values, label=name, **look)
        axes[0].plot(
            COLLAPSE, result.series[f"bound: {name}"], color=COLOURS[index], linestyle=":", linewidth=1.0
        )
        axes[1].plot(result.series["random: h_min"], result.series[f"random: {name}"], linestyle="", **look)
    axes[0].plot(COLLAPSE, COLLAPSE**2, color=INK, linestyle="--", linewidth=1.0, label=r"$h^2$")
    axes[0].set(xscale="log", yscale="log", xlabel="distance h of the pair", ylabel=r"$\lambda_{\min}(K)$")
    axes[0].set_title(r"One pair collapses: $\lambda_{\min}\sim h^2$ (dots: pair bound)")
    axes[0].legend(loc="lower right")
    axes[1].set(
        xscale="log", yscale="log", xlabel=r"$h_{\min}$ of a random set", ylabel=r"$\lambda_{\min}(K)$"
    )
    plain_ticks(axes[1].xaxis, (0.4, 0.6, 0.8, 1))
    axes[1].set_title(r"Across random sets $h_{\min}$ says less")
    _draw_price(axes[2], result)
    return figure


def _draw_price(axis: Axes, result: Result) -> None:
    names = [name.removeprefix("steps: ") for name in result.series if name.startswith("steps: ")]
    for name in names:
        network, kind, model = name.rsplit(", ", 2)
        index = list(NETWORKS).index(network)
        middle = np.quantile(result.series[f"steps: {name}"], 0.5, axis=1, method="higher")
        if model == "smooth labels":
            axis.plot(STEP_DISTANCES, middle, color=COLOURS[6], linewidth=0.9, alpha=0.7)
            continue
        line = "-" if kind == "gd" else "--"
        label = f"{network}, {kind}"
        axis.plot(STEP_DISTANCES, middle, MARKERS[index] + line, color=COLOURS[index], label=label)
    axis.plot([], [], color=COLOURS[6], linewidth=0.9, label="smooth labels")
    axis.set(xscale="log", yscale="log", xlabel="distance h of the pair", ylabel="steps to fit it")
    plain_ticks(axis.xaxis, STEP_DISTANCES.tolist())
    axis.set_title("Labels 1 apart cost steps, smooth ones none")
    axis.set_ylim(50, 2e4)
    axis.legend(loc="upper left", ncols=2, fontsize=7.5)
