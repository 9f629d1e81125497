"""The forecast on one's own data: what the theory expects of an even half before anyone pays for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenly.engine.tiles import steady_torch
from evenly.errors import InputError
from evenly.lab import designs, geometry, labels
from evenly.lab.experiments import forecast
from evenly.lab.figures import ARM_COLOURS, COLOURS, INK, panels, render
from evenly.lab.result import Result, Table
from evenly.types import Float64Array, Progress, silent
from evenly.words import Cell, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANDOM_HALVES = 5
CLOSENESS = (0.0, 0.1, 0.25, 0.5)  # of the median distance to the nearest prompt: what counts as a near copy


def forecast_source(
    sources: Sequence[str],
    out: Path,
    *,
    encoder: str = "minilm",
    rows: int = 1000,
    device: str | None = None,
    progress: Progress = silent,
) -> Result:
    """Embeds prompts and responses of a training set and forecasts whether its even half trains faster.

    Args:
        sources: as `evenly select` takes them.
        out: folder for ``forecast-data.json`` and the figure.
        encoder: a name `evenly.vectors.load_encoder` knows.
        rows: how many rows to draw (with seed 0) where there are more; the kernel costs rows^3.
        device: for the encoder.
        progress: told of the stages.

    Raises:
        InputError: a source that cannot be read, or fewer than 8 rows with both a prompt and a response.
    """
    from evenly.rows.sources import read_rows
    from evenly.vectors import Cache, embed_texts, load_encoder

    read = read_rows(sources, progress=progress)
    prompts, responses = read.prompts(), read.responses()
    whole = [row for row in range(len(read)) if prompts[row].strip() and responses[row].strip()]
    if len(whole) < 8:
        raise InputError(
            f"{sources[0]} holds {len(whole)} rows with both a prompt and a response; a forecast needs 8: "
            "name a source of prompts and responses"
        )
    drawn = np.sort(designs.generator(0).choice(whole, min(rows, len(whole)), replace=False))
    loaded, cache = load_encoder(encoder, device=device), Cache.open()
    vectors = [
        embed_texts([texts[row] for row in drawn], loaded, cache=cache, progress=progress).vectors
        for texts in (prompts, responses)
    ]
    note = f"{len(drawn):,} of {len(read):,} rows ({len(read) - len(whole):,} without prompt or response left out)"
    with steady_torch():
        result = forecast_vectors(
            *(each.astype(np.float64) for each in vectors), note=note, progress=progress
        )
    result.save(out)
    render(draw, result, out)
    return result


def forecast_vectors(
    prompts: Float64Array, responses: Float64Array, *, note: str = "", progress: Progress = silent
) -> Result:
    """The forecast from vectors alone.

    Args:
        prompts: (N, d), N at least 8.
        responses: (N, e), in the same order: the labels.
        note: what the rows are.
        progress: told of the stages of the calibration.
    """
    rough = labels.roughness(prompts, responses)
    half = len(prompts) // 2
    even = prompts[designs.max_min(prompts, _distinct(prompts, half))]
    randoms = [
        prompts[designs.generator(95, draw).choice(len(prompts), half, replace=False)]
        for draw in range(RANDOM_HALVES)
    ]
    inputs = np.array([forecast.features(random, even, rough) for random in randoms])
    skills = {
        name: forecast.measure_skill(name, forecast.SEEDS, forecast.STEPS, progress=progress)
        for name in forecast.NETWORKS
    }
    expected = {name: float(np.exp(inputs @ skill.weights).mean()) for name, skill in skills.items()}
    seen, middle = next(iter(skills.values())), inputs.mean(axis=0)
    outside = bool(np.any(middle < seen.low) or np.any(middle > seen.high))
    caution = "; these data lie outside the range it was fitted on, so take it as a guess" if outside else ""
    return Result(
        name="forecast-data",
        title="Will an even half train faster on these data?",
        claim="A forecast from pair distances and label roughness, calibrated on small networks (ours).",
        settings={"rows": note, "random halves": RANDOM_HALVES, "outside the fitted range": outside},
        tables=(
            _halves_table(prompts, randoms, even, min(rough, 1.0)),
            _trapped_table(prompts, responses),
            _forecast_table(expected, skills),
        ),
        verdict=f"label roughness {rough:.2f} (0 smooth, 1 independent); kernel time alone says a random half takes "
        f"{np.exp(middle[0]):.2f} times the steps of the even half, the fitted forecasts "
        f"{span(expected.values())}; on pools it had not seen it named the "
        f"faster half in {span([skill.right for skill in skills.values()], '.0%')}{caution}.",
        outcome="holds in part",
        numbers={"roughness": rough, "outside": float(outside)}
        | {f"forecast, {name}": value for name, value in expected.items()},
        series={
            "nearest": geometry.nearest_distances(prompts),
            "forecast": np.array(list(expected.values())),
        },
    )


def trapped_shares(prompts: Float64Array, responses: Float64Array) -> tuple[tuple[Cell, ...], ...]:
    """For each closeness: the share, P, P / N, and the share of the loss on pairs of mutual nearest prompts.

    Mutual nearest neighbours are disjoint pairs, so their trapped parts |r_i - r_j|^2 / 2 add up exactly.
    """
    from scipy.spatial import cKDTree

    distance, found = cKDTree(prompts).query(prompts, k=2)
    own = np.arange(len(prompts))
    neighbour = np.where(found[:, 1] == own, found[:, 0], found[:, 1])
    first = np.flatnonzero((neighbour[neighbour] == own) & (own < neighbour))
    gap = np.sum((responses[first] - responses[neighbour[first]]) ** 2, axis=1) / 2.0
    total = np.var(responses, axis=0).sum() * len(responses)
    limits = [(share, share * float(np.median(distance[:, 1]))) for share in CLOSENESS]
    rows = []
    for share, limit in limits:
        close = distance[first, 1] <= limit
        pairs = int(close.sum())
        rows.append(
            (f"{share:g}" if share else "copies", pairs, pairs / len(own), float(gap[close].sum() / total))
        )
    return tuple(rows)


def _distinct(prompts: Float64Array, wanted: int) -> int:
    """How many picks to ask for: all distinct prompts where they are fewer than the half."""
    return min(wanted, len(np.unique(prompts, axis=0)))


def _measure(points: Float64Array, rough: float) -> tuple[float, float, float]:
    """h_min, Riesz-2 energy and spectral time of one subset."""
    eigenvalues = geometry.kernel_eigenvalues(points)
    time = geometry.spectral_time(eigenvalues, rough, forecast.SHARE)
    return geometry.separation(points), geometry.riesz_energy(points), time


def _halves_table(
    prompts: Float64Array, randoms: list[Float64Array], even: Float64Array, rough: float
) -> Table:
    middle = np.median([_measure(random, rough) for random in randoms], axis=0)
    rows: list[tuple[Cell, ...]] = [
        ("full", *_measure(prompts, rough)),
        (f"random half (median of {RANDOM_HALVES})", *map(float, middle)),
        ("max-min half", *_measure(even, rough)),
    ]
    columns = ("rows", "h_min", "Riesz-2 energy", "spectral time to 3 % of the loss")
    return Table("What the prompts' geometry says (Euclidean distances)", columns, tuple(rows))


def _trapped_table(prompts: Float64Array, responses: Float64Array) -> Table:
    title = "Loss that near copies hold back (share of the variance of the responses)"
    columns = ("pairs closer than, of the median nearest distance", "pairs P", "P / N", "trapped share")
    return Table(title, columns, trapped_shares(prompts, responses))


def _forecast_table(expected: dict[str, float], skills: dict[str, forecast.Skill]) -> Table:
    columns = ("network", "steps, random / max-min", "rank correlation", "right about the half")
    rows = tuple((name, expected[name], s.correlation, s.right) for name, s in skills.items())
    return Table("Forecast, and how well it did on pools it was not fitted on", columns, rows)


def draw(result: Result) -> Figure:
    """The distances to the nearest prompt, and the forecast of each network."""
    figure, axes = panels(2)
    axes[0].hist(result.series["nearest"], bins=40, color=ARM_COLOURS["full"])
    axes[0].set(xlabel="distance to the nearest prompt", ylabel="rows", title="How close the prompts lie")
    names = list(forecast.NETWORKS)
    axes[1].barh(names, result.series["forecast"], color=COLOURS[0], height=0.5)
    axes[1].axvline(1.0, color=INK, linewidth=1.0)
    axes[1].set(
        xlabel="forecast: steps of a random half / of the even half", title="Above 1: the even half is faster"
    )
    axes[1].grid(visible=False, axis="y")
    return figure
