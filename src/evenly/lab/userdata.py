"""The forecast on one's own data: what the theory expects of an even half before anyone pays for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evenly.engine.blocks import steady_torch
from evenly.errors import InputError
from evenly.lab import designs, geometry, labels
from evenly.lab.experiments import forecast
from evenly.lab.result import Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import ARM_COLOURS, COLOURS, INK, frame, panels
from evenly.types import Float64Array
from evenly.words import span

RANDOM_HALVES = 5
LEAST_ROWS = 8  # halves of four: below, a rank or a spectrum says nothing
CLOSENESS = (0.0, 0.1, 0.25, 0.5)  # of the median distance to the nearest prompt: what counts as a near copy


def forecast_source(sources: Sequence[str], encoder: str, rows: int, setup: Setup) -> Result:
    """Embeds prompts and responses of a training set and forecasts whether its even half trains faster.

    Args:
        sources: as `evenly select` takes them.
        encoder: a name `evenly.vectors.registry.load_encoder` knows.
        rows: how many rows to draw (with seed 0) where there are more; the kernel costs rows^3.
        setup: the device is the encoder's.

    Raises:
        InputError: a source that cannot be read, or fewer than 8 rows with both a prompt and a response.
    """
    from evenly.rows.sources import read_rows
    from evenly.vectors.cache import Cache
    from evenly.vectors.embedding import embed_texts
    from evenly.vectors.registry import load_encoder

    read = read_rows(sources, progress=setup.progress)
    prompts, responses = read.prompts(), read.responses()
    whole = [row for row in range(len(read)) if prompts[row].strip() and responses[row].strip()]
    if len(whole) < LEAST_ROWS:
        raise InputError(
            f"{sources[0]} holds {len(whole)} rows with both a prompt and a response; a forecast needs "
            f"{LEAST_ROWS}: name a source of prompts and responses"
        )
    drawn = np.sort(designs.generator(0).choice(whole, min(rows, len(whole)), replace=False))
    loaded, cache = load_encoder(encoder, device=setup.device, use_cache=True), Cache.open()
    vectors = [
        embed_texts([texts[row] for row in drawn], loaded, cache=cache, progress=setup.progress).vectors
        for texts in (prompts, responses)
    ]
    note = f"{len(drawn):,} of {len(read):,} rows ({len(read) - len(whole):,} without prompt or response left out)"
    asked, answered = (each.astype(np.float64) for each in vectors)
    with steady_torch():
        return forecast_vectors(asked, answered, note, setup)


def forecast_vectors(prompts: Float64Array, responses: Float64Array, note: str, setup: Setup) -> Result:
    """The forecast from vectors alone.

    Args:
        prompts: (N, d), N at least 8.
        responses: (N, e), in the same order: the labels.
        note: what the rows are.
        setup: told of the stages of the calibration, which the processor computes.
    """
    rough = labels.roughness(prompts, responses)
    half = len(prompts) // 2
    distinct = len(np.unique(prompts, axis=0))  # fewer than the half where copies abound
    even = prompts[designs.max_min(prompts, min(half, distinct))]
    randoms = [
        prompts[designs.generator(95, draw).choice(len(prompts), half, replace=False)]
        for draw in range(RANDOM_HALVES)
    ]
    inputs = np.array([forecast.features(random, even, rough) for random in randoms])
    calibration = replace(setup, device="cpu")
    skills = {name: forecast.measure_skill(name, calibration) for name in forecast.TRAINERS}
    expected = {name: float(np.exp(inputs @ skill.weights).mean()) for name, skill in skills.items()}
    records = {name: skill.record() for name, skill in skills.items()}
    seen, middle = next(iter(skills.values())), inputs.mean(axis=0)
    outside = bool(np.any(middle < seen.low) or np.any(middle > seen.high))
    caution = "; these data lie outside the range it was fitted on, so take it as a guess" if outside else ""
    forecasts = [
        {"network": name, "steps, random / max-min": expected[name]}
        | {key: record[key] for key in (forecast.RANK, forecast.RIGHT)}
        for name, record in records.items()
    ]
    trapped = trapped_shares(prompts, responses)
    return Result(
        name="forecast-data",
        title="Will an even half train faster on these data?",
        claim="A forecast from pair distances and label roughness, calibrated on small networks (ours).",
        settings={"rows": note, "random halves": RANDOM_HALVES, "outside the fitted range": outside},
        tables=(
            _halves_table(prompts, randoms, even, min(rough, 1.0)),
            ResultTable.of(
                "Loss that near copies hold back (share of the variance of the responses)", trapped
            ),
            ResultTable.of("Forecast, and how well it did on pools it was not fitted on", forecasts),
        ),
        verdict=f"label roughness {rough:.2f} (0 smooth, 1 independent); kernel time alone says a random half takes "
        f"{np.exp(middle[0]):.2f} times the steps of the even half, the fitted forecasts "
        f"{span(expected.values())}; on pools it had not seen it named the "
        f"faster half in {span([record[forecast.RIGHT] for record in records.values()], '.0%')}{caution}.",
        outcome="holds in part",
        numbers={"roughness": rough, "outside": float(outside)}
        | {f"forecast, {name}": value for name, value in expected.items()},
        series={"nearest": geometry.nearest_other(prompts)[0], "forecast": np.array([*expected.values()])},
    )


def trapped_shares(prompts: Float64Array, responses: Float64Array) -> list[dict[str, Any]]:
    """For each closeness P, P / N, and the share of the loss on pairs of mutual nearest prompts.

    Mutual nearest neighbours are disjoint pairs, so their trapped parts |r_i - r_j|^2 / 2 add up exactly.
    """
    distance, neighbour = geometry.nearest_other(prompts)
    own = np.arange(len(prompts))
    first = np.flatnonzero((neighbour[neighbour] == own) & (own < neighbour))
    gap = np.sum((responses[first] - responses[neighbour[first]]) ** 2, axis=1) / 2.0
    total = np.var(responses, axis=0).sum() * len(responses)
    records = []
    for share in CLOSENESS:
        close = distance[first] <= share * np.median(distance)
        records.append(
            {
                "pairs closer than, of the median nearest distance": f"{share:g}" if share else "copies",
                "pairs P": close.sum(),
                "P / N": close.sum() / len(own),
                "trapped share": gap[close].sum() / total,
            }
        )
    return records


def _halves_table(
    prompts: Float64Array, randoms: list[Float64Array], even: Float64Array, rough: float
) -> ResultTable:
    """h_min, Riesz-2 energy and spectral time of the whole and of its halves."""

    def measured(points: Float64Array) -> dict[str, float]:
        eigenvalues = geometry.kernel_eigenvalues(points)
        return {
            "h_min": geometry.separation(points),
            "Riesz-2 energy": geometry.riesz_energy(points),
            "spectral time to 3 % of the loss": geometry.spectral_time(eigenvalues, rough, forecast.SHARE),
        }

    drawn = [measured(random) for random in randoms]
    records = [
        {"rows": "full"} | measured(prompts),
        {"rows": f"random half (median of {RANDOM_HALVES})"}
        | {name: np.median([each[name] for each in drawn]) for name in drawn[0]},
        {"rows": "max-min half"} | measured(even),
    ]
    return ResultTable.of("What the prompts' geometry says (Euclidean distances)", records)


def draw(result: Result) -> Figure:
    """The distances to the nearest prompt, and the forecast of each network."""
    figure, (near, steps) = panels(2)
    near.hist(result.series["nearest"], bins=40, color=ARM_COLOURS["full"])
    frame(near, "How close the prompts lie", "distance to the nearest prompt", "rows")
    steps.barh(list(forecast.TRAINERS), result.series["forecast"], color=COLOURS[0], height=0.5)
    steps.axvline(1.0, color=INK, linewidth=1.0)
    ratio = "forecast: steps of a random half / of the even half"
    frame(steps, "Above 1: the even half is faster", ratio)
    steps.grid(visible=False, axis="y")
    return figure
