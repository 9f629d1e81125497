"""From finished runs to answers: paired over seeds, judged together, nothing extrapolated.

Three questions are the main ones for a pair of arms: steps to the same loss on their own rows (the question
of the paper), and the loss on the random and on the even test at equal steps. They are judged together at the
5 % level (Holm), and another difference is only called where one of them stands. So two equal arms are called
different, in anything, in at most one of twenty comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from evenly.train.outcome import AXES, Curve, Outcome, common_level
from evenly.train.plan import EVEN_TEST, RANDOM_TEST
from evenly.train.result import Answer, ArmSummary, Called, Pair, Threshold, VariantResult
from evenly.train.statistics import LEVEL, Paired, holm, paired_difference, row_error, t_quantile
from evenly.types import Float64Array

SHARES = (0.5, 0.75, 0.95)
"""Thresholds lie at these shares of the way from the start to the lowest loss that all runs reach."""
MAIN_SHARE = 0.75

MAIN_QUESTIONS = ("steps to equal own loss", "random test at equal steps", "even test at equal steps")
QUESTIONS = (
    *MAIN_QUESTIONS,
    "tokens to equal own loss",
    "seconds to equal own loss",
    "total cost to equal own loss",
    "steps to equal own drop",
    "steps to equal random-test loss",
    "random test at equal epochs",
    "even test at equal epochs",
    "random test at equal tokens",
    "even test at equal tokens",
    "random test at its best",
    "even test at its best",
    "shared rows at equal steps",
    "initial loss of own rows",
    "response tokens per row",
)
"""Every question about a pair, in the order of tables. Lower is better; the last two only explain."""


def judge_variant(
    variant: str, outcomes: Sequence[Outcome], pairs: Sequence[tuple[str, str]]
) -> VariantResult:
    """Answers every question about the runs of one point of the axes.

    Args:
        variant: its name.
        outcomes: its runs, finished or not.
        pairs: which arms to hold against which.
    """
    done = {(each.record.arm, each.record.seed): each for each in outcomes if each.record.done}
    arms = list(dict.fromkeys(arm for arm, _ in done))
    failed = [
        f"{each.record.arm}, seed {each.record.seed}: {each.record.status}"
        for each in outcomes
        if not each.record.done
    ]
    runs = {arm: [each for (name, _), each in sorted(done.items()) if name == arm] for arm in arms}
    return VariantResult(
        variant=variant,
        arms=[_summary(arm, runs[arm]) for arm in arms],
        thresholds=_thresholds(runs),
        pairs=[
            _judge_pair(first, second, done) for first, second in pairs if first in arms and second in arms
        ],
        failed=failed,
    )


def decide(answers: Sequence[Answer]) -> list[Answer]:
    """Says which differences stand: the main ones by Holm, the others at 5 % each if a main one stands."""
    main = [answer for answer in answers if answer.main]
    stands = dict(zip((answer.question for answer in main), holm([answer.p for answer in main]), strict=True))
    any_main = any(stands.values())
    return [
        answer.model_copy(
            update={"called": _call(answer, stands.get(answer.question, any_main and answer.p <= LEVEL))}
        )
        for answer in answers
    ]


def ask(
    question: str, first: Float64Array, second: Float64Array, *, ratio: bool, rows: float = 0.0
) -> Answer:
    """Makes the answer to one question, not yet called.

    Args:
        question: one of `QUESTIONS`.
        first, second: (S,) float64, the arms' values by paired seed; NaN where a seed has none.
        ratio: compare logarithms and report first / second.
        rows: standard error that comes from the test rows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (np.log(first), np.log(second)) if ratio else (first, second)
        pair = paired_difference(a, b, rows)
    back: Callable[[float], float] = math.exp if ratio else float
    both = np.isfinite(a) & np.isfinite(b)
    main = question in MAIN_QUESTIONS
    return Answer(
        question=question,
        main=main,
        scale="ratio" if ratio else "difference",
        first=back(float(a[both].mean())) if both.any() else None,
        second=back(float(b[both].mean())) if both.any() else None,
        value=back(pair.mean) if pair.seeds else None,
        standard_error=pair.standard_error if math.isfinite(pair.standard_error) else None,
        low=back(pair.low) if math.isfinite(pair.low) else None,
        high=back(pair.high) if math.isfinite(pair.high) else None,
        p=pair.p,
        seeds=pair.seeds,
        called="no difference",
        detectable=_detectable(pair, main, back),
    )


def _detectable(pair: Paired, main: bool, back: Callable[[float], float]) -> float | None:
    if pair.seeds < 2:
        return None
    level = LEVEL / len(MAIN_QUESTIONS) if main else LEVEL
    size = t_quantile(1.0 - level / 2.0, pair.seeds - 1) * pair.standard_error
    return back(size) if size < 700.0 else None  # beyond that exp overflows: nothing is detectable


def _call(answer: Answer, stands: bool) -> Called:
    if answer.seeds < 2 or answer.value is None:
        return "cannot be told"
    if not stands:
        return "no difference"
    return "lower" if answer.value < (1.0 if answer.scale == "ratio" else 0.0) else "higher"


def _judge_pair(first: str, second: str, done: dict[tuple[str, int], Outcome]) -> Pair:
    seeds = [seed for arm, seed in sorted(done) if arm == first and (second, seed) in done]
    a = [done[first, seed] for seed in seeds]
    b = [done[second, seed] for seed in seeds]
    if not seeds:
        return Pair(first=first, second=second, answers=[])
    answers = [
        *_speed(a, b),
        *_held_out(a, b, RANDOM_TEST, "random test"),
        *_held_out(a, b, EVEN_TEST, "even test"),
    ]
    shared = np.array([_shared_difference(x, y) for x, y in zip(a, b, strict=True)])
    answers.append(ask("shared rows at equal steps", shared, np.zeros(len(shared)), ratio=False))
    answers.append(ask("initial loss of own rows", *_of_records(a, b, "initial_loss"), ratio=False))
    answers.append(ask("response tokens per row", *_of_records(a, b, "response_tokens_per_row"), ratio=True))
    ordered = sorted(answers, key=lambda answer: QUESTIONS.index(answer.question))
    return Pair(first=first, second=second, answers=decide(ordered))


def _of_records(a: Sequence[Outcome], b: Sequence[Outcome], name: str) -> tuple[Float64Array, Float64Array]:
    first, second = (
        np.array([getattr(each.record, name) for each in side], dtype=np.float64) for side in (a, b)
    )
    return first, second


def _speed(a: Sequence[Outcome], b: Sequence[Outcome]) -> list[Answer]:
    own = [[each.own_curve() for each in side] for side in (a, b)]
    curves = [curve for side in own for curve in side]
    level = _levels(curves, (MAIN_SHARE,))[0]
    drop = MAIN_SHARE * common_level(curves, as_drop=True)
    test = [[each.curve(RANDOM_TEST) for each in side] for side in (a, b)]
    test_level = _levels([curve for side in test for curve in side], (MAIN_SHARE,))[0]
    names = {"steps": "steps", "tokens": "tokens", "seconds": "seconds", "total": "total cost"}
    answers = []
    for axis in AXES:
        first, second = (
            np.array([c.reached(level, axis, o.record.cost_seconds) for c, o in zip(side, runs, strict=True)])
            for side, runs in zip(own, (a, b), strict=True)
        )
        answers.append(ask(f"{names[axis]} to equal own loss", first, second, ratio=True))
    by_drop = [np.array([c.reached(c.loss[0] - drop, "steps") for c in side]) for side in own]
    by_test = [np.array([c.reached(test_level, "steps") for c in side]) for side in test]
    answers.append(ask("steps to equal own drop", by_drop[0], by_drop[1], ratio=True))
    answers.append(ask("steps to equal random-test loss", by_test[0], by_test[1], ratio=True))
    return answers


def _levels(curves: Sequence[Curve], shares: Sequence[float]) -> list[float]:
    top = min(float(curve.loss[0]) for curve in curves)
    bottom = common_level(curves)
    return [top - share * (top - bottom) for share in shares]


def _held_out(a: Sequence[Outcome], b: Sequence[Outcome], part: str, name: str) -> list[Answer]:
    curves = [[each.curve(part) for each in side] for side in (a, b)]
    rows = [[each.row_losses(part, each.record.steps) for each in side] for side in (a, b)]
    tokens = rows[0][0][2]
    sums = [np.stack([row[1] for row in side]) for side in rows]
    error = row_error(sums[0], sums[1], tokens)
    equal_tokens = min(int(curve.tokens[-1]) for side in curves for curve in side)

    def answer(when: str, read: Callable[[Outcome, Curve], float]) -> Answer:
        first, second = (
            np.array([read(o, c) for o, c in zip(runs, side, strict=True)])
            for runs, side in zip((a, b), curves, strict=True)
        )
        return ask(f"{name} {when}", first, second, ratio=False, rows=error)

    return [
        answer("at equal steps", lambda _, curve: float(curve.loss[-1])),
        answer("at equal epochs", lambda run, curve: curve.loss_at("steps", run.record.epoch_step)),
        answer("at equal tokens", lambda _, curve: curve.loss_at("tokens", equal_tokens)),
        answer("at its best", lambda _, curve: float(curve.loss.min())),
    ]


def _shared_difference(first: Outcome, second: Outcome) -> float:
    """Difference in loss per token on the rows of both arms at the end; NaN where they share none."""
    (rows_a, sums_a, tokens), (rows_b, sums_b, _) = (
        each.row_losses("arm", each.record.steps) for each in (first, second)
    )
    shared, at_a, at_b = np.intersect1d(rows_a, rows_b, return_indices=True)
    if len(shared) == 0:
        return math.nan
    return float((sums_a[at_a].sum() - sums_b[at_b].sum()) / tokens[at_a].sum())


def _thresholds(runs: dict[str, list[Outcome]]) -> list[Threshold]:
    curves = {arm: [each.own_curve() for each in outcomes] for arm, outcomes in runs.items()}
    everything = [curve for side in curves.values() for curve in side]
    if not everything:
        return []
    drop = common_level(everything, as_drop=True)
    found = []
    for arm, outcomes in runs.items():
        costs = [each.record.cost_seconds for each in outcomes]
        for share, level in zip(SHARES, _levels(everything, SHARES), strict=True):
            found.append(_threshold(arm, "loss", level, curves[arm], costs, [level] * len(costs)))
            wanted = [float(curve.loss[0]) - share * drop for curve in curves[arm]]
            found.append(_threshold(arm, "drop", share * drop, curves[arm], costs, wanted))
    return found


def _threshold(
    arm: str, kind: str, level: float, curves: Sequence[Curve], costs: list[float], wanted: list[float]
) -> Threshold:
    reached = {
        axis: [
            _or_none(curve.reached(loss, axis, cost))
            for curve, cost, loss in zip(curves, costs, wanted, strict=True)
        ]
        for axis in AXES
    }
    return Threshold.model_validate({"arm": arm, "kind": kind, "level": level, **reached})


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _summary(arm: str, outcomes: Sequence[Outcome]) -> ArmSummary:
    records = [each.record for each in outcomes]
    ends = {part: [each.curve(part) for each in outcomes] for part in ("arm", RANDOM_TEST, EVEN_TEST)}

    def mean(name: str) -> float:
        return float(np.mean([getattr(record, name) for record in records]))

    return ArmSummary(
        arm=arm,
        seeds=[record.seed for record in records],
        rows=[record.rows for record in records],
        tokens_per_row=mean("tokens_per_row"),
        response_tokens_per_row=mean("response_tokens_per_row"),
        truncated=mean("truncated"),
        dropped=max(record.dropped for record in records),
        initial_loss=[float(record.initial_loss or math.nan) for record in records],
        own_loss=[float(curve.loss[-1]) for curve in ends["arm"]],
        random_test=[float(curve.loss[-1]) for curve in ends[RANDOM_TEST]],
        even_test=[float(curve.loss[-1]) for curve in ends[EVEN_TEST]],
        start_accuracy=float(ends[RANDOM_TEST][0].accuracy[0]),
        random_test_accuracy=[float(curve.accuracy[-1]) for curve in ends[RANDOM_TEST]],
        even_test_accuracy=[float(curve.accuracy[-1]) for curve in ends[EVEN_TEST]],
        batch=[record.batch for record in records],
        steps=records[0].steps,
        tokens=[int(curve.tokens[-1]) for curve in ends[RANDOM_TEST]],
        seconds=[float(curve.seconds[-1]) for curve in ends[RANDOM_TEST]],
        cost_seconds=[record.cost_seconds for record in records],
    )
