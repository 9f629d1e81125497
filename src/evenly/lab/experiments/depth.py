"""Depth: residual connections keep distinct data apart, a plain composition of the same blocks does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from evenly.lab import designs, kernel, networks
from evenly.lab.figures import COLOURS, INK, MARKERS, NOTE, panels
from evenly.lab.geometry import separation
from evenly.lab.networks import Network
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 32
DIMENSION = 4
INNER = 2
COLUMNS = (
    "blocks", "depth", "closest pair: features / input", f"rank of K (of {POINTS})", "lambda_min / lambda_max",
    "bound from the product of 1 - L_b", "bound broken",
)  # fmt: skip
LEAST_SHOWN = 1e-17  # where the figure puts a distance of 0, below the rounding of float64


@dataclass(frozen=True)
class Tower:
    """A composition of blocks with bottleneck 2, with or without the residual connection."""

    label: str
    depth: int
    activation: str
    connect: bool

    def network(self) -> Network:
        return networks.residual(
            DIMENSION, inner=INNER, depth=self.depth, activation=self.activation, connect=self.connect
        )


TOWERS = (
    Tower("plain, tanh", 16, "tanh", False),
    Tower("residual, tanh", 16, "tanh", True),
    Tower("plain, softplus", 48, "softplus", False),
    Tower("residual, softplus", 48, "softplus", True),
)


def run(
    *, seeds: int | None = None, quick: bool = False, device: str = "cpu", progress: Progress = silent
) -> Result:
    """Follows 32 points through 16 (tanh) and 48 (softplus) blocks at initialisation."""
    seeds = seeds or (3 if quick else 8)
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, float] = {}
    series: dict[str, Float64Array] = {}
    for done, tower in enumerate(TOWERS):
        seen = [_follow(tower, seed, device) for seed in range(seeds)]
        apart = np.median([each.apart for each in seen], axis=0)
        kept = np.median([each.kept for each in seen], axis=0)
        rank, least = np.median([[each.rank, each.smallest] for each in seen], axis=0)
        series |= {f"apart: {tower.label}": apart, f"kept: {tower.label}": kept}
        numbers |= {f"separation, {tower.label}": float(apart[-1]), f"rank, {tower.label}": float(rank)}
        broken = int(sum(each.broken for each in seen))
        cells = (float(apart[-1]), float(rank), float(least), float(kept[-1]), broken)
        rows.append((tower.label, tower.depth, *cells))
        progress("depth", done + 1, len(TOWERS))
    plain, linked = numbers["separation, plain, tanh"], numbers["separation, residual, tanh"]
    return Result(
        name="depth",
        title="Residual connections keep data apart",
        claim="Blocks x + phi(tau_eps(x)) compose without bringing distinct points together (paper).",
        settings={"N": POINTS, "d": DIMENSION, "width": 32, "inner width": INNER, "seeds": seeds},
        tables=(Table(f"Medians over {seeds} seeds, at initialisation", COLUMNS, tuple(rows)),),
        verdict=f"after 16 blocks of inner width 2 the closest pair is at {linked:.2g} of its input distance "
        f"with residual connections and at {plain:.1e} without; after 48 softplus blocks at "
        f"{numbers['separation, residual, softplus']:.2g} against "
        f"{show(numbers['separation, plain, softplus'])}, rank {numbers['rank, residual, softplus']:.0f} "
        f"against {numbers['rank, plain, softplus']:.0f}.",
        outcome="holds" if plain < 1e-2 and linked > 0.5 else "holds in part",
        numbers=numbers,
        series=series,
    )


@dataclass(frozen=True, eq=False)
class Followed:
    """One tower on one seed.

    Attributes:
        apart: (depth + 1,) distance of the closest pair of features over that of the inputs.
        kept: (depth + 1,) a lower bound of ``apart``: its first value times the product over the blocks of
            max(0, 1 - L_b), L_b the largest stretch of the branch over the pairs. NaN without residual.
        rank: numerical rank of the tangent kernel.
        smallest: lambda_min / lambda_max of it.
        broken: pairs and blocks at which the bound failed; 0 by the triangle inequality.
    """

    apart: Float64Array
    kept: Float64Array
    rank: int
    smallest: float
    broken: int


def _follow(tower: Tower, seed: int, device: str) -> Followed:
    network = tower.network()
    pool = designs.uniform(designs.generator(61, seed), 4 * POINTS, DIMENSION)
    points = pool[designs.max_min(pool, POINTS)]
    x = torch.tensor(points, device=device)
    theta = network.init([seed], device)[0]
    with torch.no_grad():
        features = [each.cpu().numpy() for each in network.features(theta, x)]
    apart = np.array([separation(each) for each in features]) / separation(points)
    nothing = (np.full(tower.depth + 1, np.nan), 0)
    kept, broken = _composition(features) if tower.connect else nothing
    eigenvalues = kernel.eigenvalues(kernel.jacobian(network, theta, x))
    rank = int(np.sum(np.sqrt(eigenvalues) > POINTS * np.finfo(float).eps * np.sqrt(eigenvalues[0])))
    return Followed(apart, kept * apart[0], rank, float(eigenvalues[-1] / eigenvalues[0]), broken)


def _composition(features: list[Float64Array]) -> tuple[Float64Array, int]:
    """The product of 1 - L_b after each block, and how often a pair fell below it."""
    from scipy.spatial.distance import pdist

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
    for axis, activation, depth in ((axes[0], "tanh", 16), (axes[1], "softplus", 48)):
        blocks = np.arange(depth + 1)
        for index, kind in enumerate(("residual", "plain")):
            apart = np.maximum(result.series[f"apart: {kind}, {activation}"], LEAST_SHOWN)
            every = max(1, depth // 8)
            axis.plot(blocks, apart, MARKERS[index] + "-", color=COLOURS[index], label=kind, markevery=every)
        kept = result.series[f"kept: residual, {activation}"]
        axis.plot(
            blocks, np.where(kept > 0, kept, np.nan), color=INK, linestyle=":", label=r"$\prod_b (1-L_b)$"
        )
        axis.set(yscale="log", ylim=(LEAST_SHOWN / 10, 100), xlabel="block")
        axis.set_ylabel("closest pair: features / input")
        axis.set_title(f"{activation}, {depth} blocks of inner width {INNER}")
        axis.set_xticks(np.linspace(0, depth, 5).astype(int))
    axes[0].legend(loc="lower left")
    axes[1].annotate("distance 0: the same features", (48, LEAST_SHOWN), (0, 8), ha="right", **NOTE)
    return figure
