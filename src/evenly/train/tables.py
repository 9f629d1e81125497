"""The tables of a comparison as rows of text, for terminals and pages alike."""

from __future__ import annotations

import numpy as np

from evenly.train.result import Answer, VariantResult


def arm_rows(variant: VariantResult) -> list[list[str]]:
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
    rows = [head]
    for arm in variant.arms:
        rows.append(
            [
                arm.arm,
                f"{round(float(np.mean(arm.rows))):,}",
                f"{arm.tokens_per_row:.0f}",
                f"{100 * arm.truncated:.1f} %",
                _spread(arm.initial_loss),
                _spread(arm.own_loss),
                _spread(arm.random_test),
                _spread(arm.even_test),
                f"{np.mean(arm.seconds):.1f}",
                f"{np.mean(arm.cost_seconds):.1f}",
            ]
        )
    return rows


def answer_rows(variant: VariantResult) -> list[list[str]]:
    """One row per pair and question, a head first; * marks the main questions."""
    rows = [["arms", "question", "first", "second", "difference", "95 %", "p", "verdict"]]
    for pair in variant.pairs:
        rows += [[f"{pair.first} : {pair.second}", *_answer_cells(answer)] for answer in pair.answers]
    return rows


def threshold_rows(variant: VariantResult) -> list[list[str]]:
    """One row per arm and threshold, a head first; the mean over seeds, or how many got there."""
    rows = [["arm", "threshold", "steps", "tokens", "seconds", "total seconds"]]
    for each in variant.thresholds:
        name = f"loss {each.level:.3f}" if each.kind == "loss" else f"drop of {each.level:.3f}"
        cells = [_reached(getattr(each, axis), digits) for axis, digits in AXIS_DIGITS]
        rows.append([each.arm, name, *cells])
    return rows


AXIS_DIGITS = (("steps", 0), ("tokens", 0), ("seconds", 1), ("total", 1))


def _answer_cells(answer: Answer) -> list[str]:
    ratio = answer.scale == "ratio"
    digits = 4 if not ratio else 2

    def number(value: float | None, sign: str = "") -> str:
        return "-" if value is None else f"{value:{sign},.{digits}f}"

    value = f"x {number(answer.value)}" if ratio else number(answer.value, "+")
    interval = "-" if answer.low is None else f"{number(answer.low)} … {number(answer.high)}"
    name = f"{answer.question}{' *' if answer.main else ''}"
    return [
        name,
        number(answer.first),
        number(answer.second),
        value,
        interval,
        f"{answer.p:.3f}",
        answer.called,
    ]


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"


def _reached(values: list[float | None], digits: int) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "not reached"
    mean = f"{np.mean(there):,.{digits}f}"
    return mean if len(there) == len(values) else f"{mean} ({len(there)} of {len(values)} seeds)"
