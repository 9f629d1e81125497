"""The forecast fitted on comparisons: its features by their definitions, the fit, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.lab import labels
from evenly.lab.evidence import FEATURES, SHRINK, fitted, forecast_evidence
from evenly.lab.userdata import trapped_shares
from evenly.measures.roughness import nearest_others, roughness_over, trapped_share


def test_roughness_and_trapped_share_are_those_of_the_forecast() -> None:
    random = np.random.default_rng(0)
    points, answers = random.normal(size=(80, 5)), random.normal(size=(80, 3))
    points[:20] = points[20:40] + 1e-3 * random.normal(size=(20, 5))
    distance, neighbour = nearest_others(points)
    assert roughness_over(neighbour, answers) == pytest.approx(labels.roughness(points, answers))
    close = next(
        row for row in trapped_shares(points, answers) if row["P / N"] and "0.25" in map(str, row.values())
    )
    found = trapped_share(distance, neighbour, answers, 0.25 * float(np.median(distance)))
    assert found == pytest.approx(close["trapped share"])


def test_copies_are_at_distance_0() -> None:
    points = np.random.default_rng(0).normal(size=(6, 4)) * 1e4
    points[3] = points[0]
    distance, neighbour = nearest_others(points)
    assert distance[0] == distance[3] == 0.0
    assert neighbour[0] == 3


def test_the_rule_is_ridge_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    inputs, measured = random.normal(size=(9, 3)) * [1.0, 5.0, 0.1], random.normal(size=9)
    weights = fitted(inputs, measured)
    standard = (inputs - inputs.mean(0)) / inputs.std(0)

    def penalised(slopes: np.ndarray) -> float:
        left = measured - measured.mean() - standard @ slopes
        return float(left @ left + SHRINK * slopes @ slopes)

    best = weights[:3] * inputs.std(0)
    assert all(penalised(best) <= penalised(best + step) for step in 0.01 * random.normal(size=(50, 3)))
    assert weights[3] == pytest.approx(measured.mean() - inputs.mean(0) @ weights[:3])


def comparison(folder: Path, features: tuple[float, ...], ratio: float) -> str:
    answer = {"question": "steps to equal own loss", "value": ratio, "low": ratio / 2, "high": ratio * 2}
    pair = {"first": "uniform", "second": "random", "answers": [answer]}
    evidence = dict(zip(FEATURES, features, strict=True), rows=100)
    folder.mkdir()
    (folder / "comparison.json").write_text(
        json.dumps({"variants": [{"pairs": [pair]}], "evidence": evidence})
    )
    return str(folder)


def test_each_comparison_is_predicted_from_the_others(tmp_path: Path) -> None:
    """Random / max-min in steps goes with roughness here, so the rule finds what always naming one arm does not."""
    shares = (0.0, 0.1, 0.3, 0.6, 0.8, 1.0)
    folders = [
        comparison(tmp_path / f"c{n}", (rough, 0.1, 0.2), math.exp(rough - 0.45))
        for n, rough in enumerate(shares)
    ]
    result = forecast_evidence(folders)
    assert result.numbers["right"] > result.numbers["always"]
    assert result.outcome == "holds"
    np.testing.assert_allclose(result.series["measured"], [math.exp(0.45 - rough) for rough in shares])
    assert [row[0] for row in result.tables[0].rows] == [f"c{n}" for n in range(6)]
    assert result.tables[0].rows[0][6:] == (
        pytest.approx(math.exp(0.45) / 2),
        pytest.approx(math.exp(0.45) * 2),
    )


def test_what_is_no_evidence_is_said(tmp_path: Path) -> None:
    two = [comparison(tmp_path / name, (0.1, 0.1, 0.1), 1.1) for name in "ab"]
    with pytest.raises(InputError, match="fitted on 3 comparisons or more; got 2"):
        forecast_evidence(two)
    with pytest.raises(InputError, match="holds no comparison"):
        forecast_evidence([str(tmp_path)])
    (tmp_path / "a" / "comparison.json").write_text(json.dumps({"variants": []}))
    with pytest.raises(InputError, match="has no stored evidence"):
        forecast_evidence(two)
