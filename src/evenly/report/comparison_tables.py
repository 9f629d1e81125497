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
    return [head, *_zero_shot_cells(variant), *(_arm_cells(arm) for arm in variant["arms"])]


def _zero_shot_cells(variant: Variant) -> list[list[str]]:
    """The model before any training, without which the losses of arms say little; nothing in older results."""
    before = variant.get("zero_shot")
    if before is None:
        return []
    losses = (in_figures(before[name], 4) for name in ("random_test", "even_test"))
    return [["zero-shot", "-", "-", "-", "-", "-", *losses, "-", "-"]]


def look_rows(variant: Variant, part: str = "random_test") -> list[list[str]]:
    """One row per arm, a head first: a test loss at equal steps, at equal epochs and at equal answer tokens.

    Args:
        variant: the point of the axes.
        part: ``random_test`` or ``even_test``.
    """
    looks = ("", "_epochs", "_answers")
    head = ["arm", "answer tokens", "equal steps", "equal epochs", "equal answer tokens"]
    rows = [
        [
            arm["arm"],
            f"{np.mean(arm['answers']):,.0f}",
            *(_spread(arm[part + look]) if arm[part + look] else "-" for look in looks),
        ]
        for arm in variant["arms"]
        if arm.get("answers")
    ]
    before = variant.get("zero_shot")
    first = [["zero-shot", "0", *[in_figures(before[part], 4)] * len(looks)]] if before else []
    return [head, *first, *rows] if rows else []


def curve_rows(variants: list[Variant]) -> list[list[str]]:
    """One row per size and arm, a head first: the learning curve, at each arm's own epochs; none with one size."""
    rows = [
        [
            arm["arm"],
            f"{np.mean(arm['rows']):,.0f}",
            f"{np.mean(arm['answers']):,.0f}",
            f"{np.mean(arm['tokens']):,.0f}",
            f"{np.mean(arm['seconds']):,.1f}",
            _spread(arm["random_test_epochs"]),
            _spread(arm["even_test_epochs"]),
        ]
        for variant in variants
        if ", keep " in variant["variant"] or " epochs" in variant["variant"]
        for arm in variant["arms"]
    ]
    head = ["arm", "rows", "answer tokens", "tokens", "seconds", "random test", "even test"]
    return [head, *sorted(rows, key=lambda row: (row[0] == "full", row[0]))] if rows else []


def source_rows(variant: Variant) -> list[list[str]]:
    """One row per arm, a head first: the loss on the random test's rows of each source; none with one source."""
    before = variant.get("zero_shot")
    if not before or not before["by_source"]:
        return []
    names = list(before["by_source"])
    rows = [[arm["arm"], *(_spread(arm["by_source"][name]) for name in names)] for arm in variant["arms"]]
    return [
        ["arm", *names],
        ["zero-shot", *(in_figures(before["by_source"][name], 4) for name in names)],
        *rows,
    ]


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
