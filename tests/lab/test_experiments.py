"""Every experiment, run quickly: what must hold with wide margins, and that results are whole and repeatable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenly.engine.blocks import steady_torch
from evenly.errors import InputError
from evenly.lab.result import Result, ResultTable
from evenly.lab.running import EXPERIMENTS, run_one, write, write_page
from evenly.lab.setup import Setup
from evenly.words import show

RESULT = Result(
    name="law",
    title="<b>Title</b>",
    claim="a claim",
    settings={"N": (1, 2), "note": "<script>"},
    tables=(ResultTable("<i>", ("a", "<b>"), (("<x>", 1.0), ("y", float("inf")))),),
    verdict='"quoted" & <verdict>',
    outcome="holds",
    numbers={"x": float("nan")},
    series={"s": np.array([1.0, np.inf])},
)


def test_json_has_no_infinity_and_keeps_the_rest() -> None:
    record = json.loads(RESULT.as_json())
    assert record["numbers"] == {"x": None}
    assert record["series"] == {"s": [1.0, None]}
    assert record["tables"][0]["rows"] == [["<x>", 1.0], ["y", None]]
    assert record["verdict"] == RESULT.verdict


@pytest.mark.parametrize(
    ("cell", "text"),
    [(None, "–"), (float("nan"), "–"), ("> 2,000", "> 2,000"), (1024, "1,024"), (0.0123456, "0.0123"),
     (1234.6, "1,235"), (2.5e-9, "2.5e-09"), (0.0, "0"), (float("inf"), "∞")],
)  # fmt: skip
def test_cells_as_people_read_them(cell: str | float | None, text: str) -> None:
    assert show(cell) == text


def test_page_escapes_everything_and_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "law.svg").write_text("<svg/>")
    text = write_page([RESULT], tmp_path).read_text(encoding="utf-8")
    for hostile in ("<b>Title", "<script>", "<x>", "<verdict>", "<i>"):
        assert hostile not in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert "http:" not in text
    assert "https:" not in text


def test_unknown_experiment_and_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="experiment 'laws' is not known; did you mean law\\?"):
        run_one("laws", tmp_path, Setup())
    with pytest.raises(InputError, match="device 'abacus' does not compute in float64 here"):
        run_one("law", tmp_path, Setup(device="abacus"))


@pytest.fixture(scope="module")
def quick() -> dict[str, Result]:
    """Every experiment once, quickly; on one thread, as the command runs them."""
    with steady_torch():
        return {name: each.run(Setup(quick=True)) for name, each in EXPERIMENTS.items()}


@pytest.mark.slow
def test_results_are_whole(quick: dict[str, Result], tmp_path: Path) -> None:
    for name, result in quick.items():
        assert result.name == name
        assert result.tables
        assert result.verdict.endswith(".")
        for table in result.tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}, table.title
        write(result, EXPERIMENTS[name].draw, tmp_path)
        json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert write_page(list(quick.values()), tmp_path).read_text(encoding="utf-8").count("<section") == len(
        EXPERIMENTS
    )


@pytest.mark.slow
def test_the_same_figures_twice_give_the_same_numbers(quick: dict[str, Result]) -> None:
    with steady_torch():
        for name in ("depth", "trap"):
            assert EXPERIMENTS[name].run(Setup(quick=True)).as_json() == quick[name].as_json()


@pytest.mark.slow
def test_torus_law_within_a_fifth(quick: dict[str, Result]) -> None:
    numbers = quick["law"].numbers
    assert 0.8 < numbers["law ratio, least"] <= numbers["law ratio, most"] < 1.2
    assert 0.8 < numbers["collision ratio, least"] <= numbers["collision ratio, most"] < 1.2
    assert numbers["worst slope error"] < 0.1


@pytest.mark.slow
def test_pair_bound_and_analytic_slope(quick: dict[str, Result]) -> None:
    from evenly.lab.experiments.spectrum import NETWORKS

    for name in NETWORKS:
        assert quick["spectrum"].numbers[f"lambda_min over bound, most, {name}"] <= 1.0
        if "not analytic" not in name:
            assert 1.9 <= quick["spectrum"].numbers[f"slope, {name}"] <= 2.1


@pytest.mark.slow
def test_sixteen_near_copies_are_three_times_slower(quick: dict[str, Result]) -> None:
    assert quick["trap"].numbers["slowdown, 16 pairs"] >= 3


@pytest.mark.slow
def test_fill_ranks_the_error(quick: dict[str, Result]) -> None:
    assert quick["approx"].numbers["rank correlation of fill with error"] > 0.7


@pytest.mark.slow
def test_residual_keeps_apart_what_plain_brings_together(quick: dict[str, Result]) -> None:
    numbers = quick["depth"].numbers
    assert numbers["separation, plain, tanh"] < 1e-2
    assert numbers["separation, residual, tanh"] > 0.5


@pytest.mark.slow
def test_lazy_and_feature_learning_drift(quick: dict[str, Result]) -> None:
    numbers = quick["trajectory"].numbers
    assert numbers["PL outside"] == 0
    assert numbers["PL ratio, least"] > 0
    assert numbers["drift, one layer, width 1024"] < 0.05
    assert numbers["drift, one layer, width 16"] > 0.5
    assert numbers["exponent, residual gelu, with tau"] < numbers["exponent, residual gelu, without tau"]


@pytest.mark.slow
def test_objections(quick: dict[str, Result]) -> None:
    numbers = quick["coverage"].numbers
    assert numbers["raw h_min falls by"] > 3
    assert numbers["normalised h_min, least"] > 0.4
    assert numbers["far clusters: fill, max-min"] < numbers["far clusters: fill, random"] / 3
    assert numbers["outliers: share taken, max-min, guarded"] < 0.3
