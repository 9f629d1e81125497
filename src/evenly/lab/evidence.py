"""The forecast fitted again on comparisons that were made: predicted against measured, each left out in turn."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evenly.errors import InputError
from evenly.lab.result import Result, ResultTable
from evenly.report.drawing import INK, frame, look, panels
from evenly.types import Float64Array

FEATURES = ("roughness", "trapped", "redundancy")
LEAST = 3
"""Comparisons: with two, each is predicted from the other alone."""
SHRINK = 1.0
"""Weight of the penalty on standardised features: with a handful of comparisons, three free weights would fit noise; a
penalty of one comparison's weight leaves the mean where the features say nothing."""
SPEED = "steps to equal own loss"


def forecast_evidence(folders: Sequence[str]) -> Result:
    """Fits random / max-min steps to the evidence that comparisons have stored, and predicts each from the others.

    Args:
        folders: of comparisons with a uniform and a random arm.

    Raises:
        InputError: a folder without such a comparison, or fewer than three of them.
    """
    found = [_read(Path(folder)) for folder in folders]
    if len(found) < LEAST:
        raise InputError(f"a rule is fitted on {LEAST} comparisons or more; got {len(found)}")
    inputs = np.array([[one[name] for name in FEATURES] for one in found])
    measured = np.array([one["measured"] for one in found])
    predicted = np.array([_left_out(inputs, measured, place) for place in range(len(found))])
    weights = fitted(inputs, measured)
    right = float(np.mean(np.sign(predicted) == np.sign(measured)))
    always = float(max(np.mean(measured > 0), np.mean(measured < 0)))
    records = [
        {"comparison": one["name"]}
        | {name: one[name] for name in FEATURES}
        | {"predicted": math.exp(guess), "measured": math.exp(one["measured"])}
        | {"95 % from": one["low"], "to": one["high"]}
        for one, guess in zip(found, predicted, strict=True)
    ]
    return Result(
        name="forecast-evidence",
        title="The forecast on comparisons that were made",
        claim="Label roughness, trapped share and redundancy say whether an even part trains faster (ours).",
        settings={"comparisons": [one["name"] for one in found], "penalty": SHRINK},
        tables=(
            ResultTable.of("Steps of random rows / of max-min rows; each predicted from the others", records),
            ResultTable.of(
                "The rule, of the logarithm", [dict(zip((*FEATURES, "constant"), weights, strict=True))]
            ),
        ),
        verdict=f"fitted on {len(found)} comparisons, the rule named the faster arm in {right:.0%} of those that it "
        f"had not seen; always naming the same arm is right in {always:.0%}.",
        outcome="holds" if right > always else "holds in part" if right == always else "fails",
        numbers={"right": right, "always": always},
        series={"predicted": np.exp(predicted), "measured": np.exp(measured)},
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "comparison.json" if folder.is_dir() else folder
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{folder} holds no comparison; name the folder that compare wrote") from None
    result = whole.get("result", whole)
    evidence = result.get("evidence")
    answer = next(
        (
            answer
            for variant in result.get("variants", ())
            for pair in variant["pairs"]
            if (pair["first"], pair["second"]) == ("uniform", "random")
            for answer in pair["answers"]
            if answer["question"] == SPEED and answer["value"]
        ),
        None,
    )
    if evidence is None or answer is None:
        missing = "stored evidence" if evidence is None else "answer for uniform against random rows"
        raise InputError(
            f"the comparison in {folder} has no {missing}; make it again with both arms and this version"
        )
    low, high = ((1.0 / answer[end] if answer[end] else None) for end in ("high", "low"))
    measured = -math.log(answer["value"])
    return {**evidence, "name": folder.stem, "measured": measured, "low": low, "high": high}


def fitted(inputs: Float64Array, measured: Float64Array) -> Float64Array:
    """(features + 1,) weights in the features' own units, the constant last: ridge regression on standard features."""
    mean, scale = inputs.mean(0), np.where(inputs.std(0) > 0, inputs.std(0), 1.0)
    standard = (inputs - mean) / scale
    gram = standard.T @ standard + SHRINK * np.eye(inputs.shape[1])
    slopes = np.linalg.solve(gram, standard.T @ (measured - measured.mean())) / scale
    weights: Float64Array = np.append(slopes, measured.mean() - mean @ slopes)
    return weights


def _left_out(inputs: Float64Array, measured: Float64Array, place: int) -> float:
    others = np.arange(len(measured)) != place
    weights = fitted(inputs[others], measured[others])
    return float(np.append(inputs[place], 1.0) @ weights)


def draw(result: Result) -> Figure:
    """Predicted against measured, each comparison predicted from the others."""
    figure, (points,) = panels(1)
    points.plot(result.series["predicted"], result.series["measured"], **look(0, alpha=0.8))
    points.axline((1, 1), slope=1, color=INK, linewidth=1.0)
    frame(points, "Random / max-min rows in steps", "predicted from the others", "measured")
    return figure
