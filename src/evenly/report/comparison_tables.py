"""The tables of a comparison as rows of text, for terminals and pages alike, from ``comparison.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenly.words import in_figures

Variant = dict[str, Any]
"""One entry of ``variants`` in ``comparison.json``."""

_AXIS_DIGITS = (("steps", 0), ("tokens", 0), ("seconds", 1), ("total", 1))


def arm_rows(variant: Variant) -> list[list[str]]:
    """One row per arm, a head first: sizes, then losses as mean ± spread over seeds."""
    head = [
        "arm",
        "rows",
        "tokens/row",
        "cut",
        "start loss",
        "own loss",
        "random test",
        "even test",
        "seconds",
        "cost",
    ]
    return [head, *(_arm_cells(arm) for arm in variant["arms"])]


def _arm_cells(arm: dict[str, Any]) -> list[str]:
    return [
        arm["arm"],
        f"{round(float(np.mean(arm['rows']))):,}",
        f"{arm['tokens_per_row']:.0f}",
        f"{100 * arm['truncated']:.1f} %",
        *(_spread(arm[name]) for name in ("initial_loss", "own_loss", "random_test", "even_test")),
        f"{np.mean(arm['seconds']):.1f}",
        f"{np.mean(arm['cost_seconds']):.1f}",
    ]


def answer_rows(variant: Variant, *, main: bool = False) -> list[list[str]]:
    """One row per pair and question, a head first; * marks the main questions.

    Args:
        variant: the point of the axes.
        main: only the main questions.
    """
    rows = [["arms", "question", "first", "second", "difference", "95 %", "p", "verdict"]]
    for pair in variant["pairs"]:
        arms = f"{pair['first']} : {pair['second']}"
        asked = [answer for answer in pair["answers"] if answer["main"] or not main]
        rows += [[arms, *_answer_cells(answer)] for answer in asked]
    return rows


def threshold_rows(variant: Variant) -> list[list[str]]:
    """One row per arm and threshold, a head first; the mean over seeds, or that it was not reached."""
    rows = [["arm", "threshold", "steps", "tokens", "seconds", "total seconds"]]
    for each in variant["thresholds"]:
        name = f"loss {each['level']:.4g}" if each["kind"] == "loss" else f"drop of {each['level']:.4g}"
        rows.append([each["arm"], name, *(_reached(each[axis], digits) for axis, digits in _AXIS_DIGITS)])
    return rows


def _answer_cells(answer: dict[str, Any]) -> list[str]:
    ratio = answer["scale"] == "ratio"

    def number(value: float | None, sign: str = "") -> str:
        return "-" if value is None else f"{value:{sign},.2f}" if ratio else in_figures(value, 4, sign)

    value = f"× {number(answer['value'])}" if ratio else number(answer["value"], "+")
    interval = "-" if answer["low"] is None else f"{number(answer['low'])} … {number(answer['high'])}"
    return [
        f"{answer['question']}{' *' if answer['main'] else ''}",
        number(answer["first"]),
        number(answer["second"]),
        value,
        interval,
        f"{answer['p']:.3f}",
        answer["called"],
    ]


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return in_figures(values[0], 4)
    return f"{in_figures(float(np.mean(values)), 4)} ± {in_figures(float(np.std(values, ddof=1)), 4)}"


def _reached(values: list[float | None], digits: int) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "not reached"
    mean = f"{np.mean(there):,.{digits}f}"
    return mean if len(there) == len(values) else f"{mean} ({len(there)} of {len(values)} seeds)"
