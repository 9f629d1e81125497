"""Depth: residual connections keep distinct data apart, a plain composition of the same blocks does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from evenly.lab import designs, kernel, networks
from evenly.lab.geometry import separation
from evenly.lab.result import Number, Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import INK, NOTE, frame, look, panels
from evenly.types import Float64Array
from evenly.words import show

POINTS = 32
DIMENSION = 4
INNER = 2  # the bottleneck of each block: narrow, so that a plain composition loses what it can
DEPTHS = {"tanh": 16, "softplus": 48}
KINDS = ("plain", "residual")
LEAST_SHOWN = 1e-17  # where the figure puts a distance of 0, below the rounding of float64


def run(setup: Setup) -> Result:
    """Follows 32 points through 16 (tanh) and 48 (softplus) blocks at initialisation."""
    seeds = setup.seeds or setup.size(3, 8)
    towers = [(kind, activation) for activation in DEPTHS for kind in KINDS]
    records: list[dict[str, Any]] = []
    numbers: dict[str, Number] = {}
    series: dict[str, Float64Array] = {}
    for kind, activation in setup.each("depth", towers):
        name, depth = f"{kind}, {activation}", DEPTHS[activation]
        seen = [_follow(kind, activation, seed, setup) for seed in range(seeds)]
        middle = {key: np.median([each[key] for each in seen], axis=0) for key in seen[0]}
        apart, kept = middle["apart"], middle["kept"]
        series |= {f"apart: {name}": apart, f"kept: {name}": kept}
        numbers |= {f"separation, {name}": apart[-1], f"rank, {name}": middle["rank"]}
        records.append(
            {
                "blocks": name,
                "depth": depth,
                "closest pair: features / input": apart[-1],
                f"rank of K (of {POINTS})": middle["rank"],
                "lambda_min / lambda_max": middle["smallest"],
                "bound from the product of 1 - L_b": kept[-1],
                "bound broken": sum(int(each["broken"]) for each in seen),
            }
        )
    plain, linked = numbers["separation, plain, tanh"], numbers["separation, residual, tanh"]
    return Result(
        name="depth",
        title="Residual connections keep data apart",
        claim="Blocks x + phi(tau_eps(x)) compose without bringing distinct points together (paper).",
        settings={"N": POINTS, "d": DIMENSION, "width": 32, "inner width": INNER, "seeds": seeds},
        tables=(ResultTable.of(f"Medians over {seeds} seeds, at initialisation", records),),
        verdict=f"after 16 blocks of inner width 2 the closest pair is at {linked:.2g} of its input distance "
        f"with residual connections and at {plain:.1e} without; after 48 softplus blocks at "
        f"{numbers['separation, residual, softplus']:.2g} against "
        f"{show(float(numbers['separation, plain, softplus']))}, rank "
        f"{numbers['rank, residual, softplus']:.0f} against {numbers['rank, plain, softplus']:.0f}.",
        outcome="holds" if plain < 1e-2 and linked > 0.5 else "holds in part",
        numbers=numbers,
        series=series,
    )


def _follow(kind: str, activation: str, seed: int, setup: Setup) -> dict[str, Any]:
    """One composition of blocks on one seed.

    Returns:
        ``apart`` and ``kept`` (depth + 1,): the distance of the closest pair of features over that of the inputs,
        and what `_kept_apart` guarantees of it (NaN without residual connections); the numerical ``rank`` of the
        tangent kernel; its ``smallest`` eigenvalue over the largest; how often the guarantee was ``broken``.
    """
    residual = kind == "residual"
    network = networks.residual(
        DIMENSION, inner=INNER, depth=DEPTHS[activation], activation=activation, connect=residual
    )
    points = designs.even(designs.generator(61, seed), POINTS, DIMENSION, 4)
    theta = network.init([seed], setup.device)[0]
    features = network.features(theta, points)
    apart = np.array([separation(each) for each in features]) / separation(points)
    kept, broken = _kept_apart(features) if residual else (np.full(len(features), np.nan), 0)
    eigenvalues = kernel.eigenvalues(kernel.jacobian(network, theta, points))
    rank = np.sum(np.sqrt(eigenvalues) > POINTS * np.finfo(float).eps * np.sqrt(eigenvalues[0]))
    smallest = eigenvalues[-1] / eigenvalues[0]
    return {"apart": apart, "kept": kept * apart[0], "rank": rank, "smallest": smallest, "broken": broken}


def _kept_apart(features: list[Float64Array]) -> tuple[Float64Array, int]:
    """What residual blocks keep of every distance at least, (depth + 1,), and how often a pair fell below it.

    It is the product over the blocks of max(0, 1 - L_b), L_b the largest stretch of the branch over the pairs,
    and holds by the triangle inequality.
    """
    distances = [pdist(each) for each in features]
    kept, broken = [1.0], 0
    for before, after, was, now in zip(features, features[1:], distances, distances[1:], strict=False):
        branch = pdist(after - before)  # |phi(x) - phi(x')|, as the block is x + phi(x)
        kept.append(kept[-1] * max(0.0, 1.0 - float((branch / was).max())))
        broken += int(np.sum(now < kept[-1] * distances[0] * (1 - 1e-9)))
    return np.array(kept), broken


def draw(result: Result) -> Figure:
    """The closest pair through depth, for both towers, with the floor that composition guarantees."""
    figure, axes = panels(2)
    for axis, (activation, depth) in zip(axes, DEPTHS.items(), strict=True):
        blocks = np.arange(depth + 1)
        for index, kind in enumerate(reversed(KINDS)):
            apart = np.maximum(result.series[f"apart: {kind}, {activation}"], LEAST_SHOWN)
            axis.plot(blocks, apart, label=kind, markevery=max(1, depth // 8), **look(index, "-"))
        kept = result.series[f"kept: residual, {activation}"]
        kept = np.where(kept > 0, kept, np.nan)
        axis.plot(blocks, kept, color=INK, linestyle=":", label=r"$\prod_b (1-L_b)$")
        title = f"{activation}, {depth} blocks of inner width {INNER}"
        frame(axis, title, "block", "closest pair: features / input", log="y")
        axis.set(ylim=(LEAST_SHOWN / 10, 100), xticks=np.linspace(0, depth, 5).astype(int))
    axes[0].legend(loc="lower left")
    axes[1].annotate("distance 0: the same features", (48, LEAST_SHOWN), (0, 8), ha="right", **NOTE)
    return figure
