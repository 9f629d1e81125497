"""From finished runs to answers: paired over seeds, judged together, nothing extrapolated.

Three questions are the main ones for a pair of arms: steps to the same loss on their own rows (the question
of the paper), and the loss on the random and on the even test at equal steps. They are judged together at the
5 % level (Holm), and another difference is only called where one of them stands. So two equal arms are called
different, in anything, in at most one of twenty comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evenly.train.curves import AXES, EVEN_TEST, RANDOM_TEST, Curve, Outcome
from evenly.train.result import (
    COMMON,
    COST,
    RARE,
    SPEED,
    Answer,
    ArmPair,
    ArmSummary,
    Called,
    Threshold,
    VariantResult,
    ZeroShot,
)
from evenly.train.statistics import (
    FIXED,
    LEVEL,
    Judging,
    Paired,
    critical,
    holm,
    paired_difference,
    row_error,
)
from evenly.types import Float64Array

SHARES = (0.5, 0.75, 0.95)
"""Thresholds lie at these shares of the way from the start to the lowest loss that all runs reach."""
MAIN_SHARE = 0.75
"""The share that speed is read at: late enough to matter, early enough that the curve is still steep."""
MAIN_QUESTIONS = (SPEED, COMMON, RARE)


@dataclass(frozen=True)
class Shared:
    """What the runs of two arms have in common, so that both are read at the same place.

    Attributes:
        own, test: loss on own rows and on the random test that every run comes down to, `MAIN_SHARE` of the way.
        drop: that share of the largest drop from its start that every run makes on its own rows.
        tokens: trained on by every run.
        named: a loss on own rows that was named beforehand; None for none.
    """

    own: float
    test: float
    drop: float
    tokens: int
    named: float | None = None

    @classmethod
    def of(cls, runs: Sequence[Outcome], named: float | None = None) -> Shared:
        """Reads it from the runs of both arms."""
        own, test = [run.own_curve for run in runs], [run.curve(RANDOM_TEST) for run in runs]
        return cls(
            own=levels(own, (MAIN_SHARE,))[0],
            test=levels(test, (MAIN_SHARE,))[0],
            drop=MAIN_SHARE * common_level(own, as_drop=True),
            tokens=min(int(curve.tokens[-1]) for curve in test),
            named=named,
        )


@dataclass(frozen=True)
class Question:
    """One number read from every run of two arms; lower is better.

    Attributes:
        name: of the question.
        read: the number, from a run and what both arms have in common; NaN where the run has none.
        ratio: whether the arms are compared by their ratio.
        part: the test part it is read on, whose rows are a sample of their own; empty for own rows.
    """

    name: str
    read: Callable[[Outcome, Shared], float | None]
    ratio: bool = False
    part: str = ""


def _speed(name: str, axis: str) -> Question:
    return Question(name, lambda run, shared: run.own_curve.reached(shared.own, axis), ratio=True)


def _held_out(part: str, name: str) -> list[Question]:
    readings: dict[str, Callable[[Outcome, Shared], float]] = {
        "at equal steps": lambda run, _: float(run.curve(part).loss[-1]),
        "at equal epochs": lambda run, _: run.curve(part).loss_at("steps", run.record.epoch_step),
        "at equal tokens": lambda run, shared: run.curve(part).loss_at("tokens", shared.tokens),
        "at equal answer tokens": lambda run, _: at_answers(run, part),
        "at its best": lambda run, _: float(run.curve(part).loss.min()),
    }
    return [Question(f"{name} {when}", read, part=part) for when, read in readings.items()]


_RANDOM, _EVEN = _held_out(RANDOM_TEST, "random test"), _held_out(EVEN_TEST, "even test")
SHARED_ROWS = "shared rows at equal steps"
NAMED_LOSS = "steps to the named own loss"
QUESTIONS: tuple[Question, ...] = (
    _speed(SPEED, "steps"),
    _RANDOM[0],
    _EVEN[0],
    _speed("tokens to equal own loss", "tokens"),
    _speed("seconds to equal own loss", "seconds"),
    _speed(COST, "total"),
    Question(
        "steps to equal own drop",
        lambda run, shared: run.own_curve.reached(run.own_curve.loss[0] - shared.drop, "steps"),
        ratio=True,
    ),
    Question(
        NAMED_LOSS,
        lambda run, shared: (
            math.nan if shared.named is None else run.own_curve.reached(shared.named, "steps")
        ),
        ratio=True,
    ),
    Question(
        "steps to equal random-test loss",
        lambda run, shared: run.curve(RANDOM_TEST).reached(shared.test, "steps"),
        ratio=True,
    ),
    *(question for both in zip(_RANDOM[1:], _EVEN[1:], strict=True) for question in both),
    Question(SHARED_ROWS, lambda run, _: math.nan),  # read from two runs at once: see `_shared_difference`
    Question("initial loss of own rows", lambda run, _: run.record.initial_loss),
    Question("response tokens per row", lambda run, _: run.record.response_tokens_per_row, ratio=True),
)
"""Every question about a pair, in the order of tables. The last two only explain."""


def judge_variant(
    variant: str,
    outcomes: Sequence[Outcome],
    pairs: Sequence[tuple[str, str]],
    sources: Sequence[str] = (),
    rule: Judging = FIXED,
) -> VariantResult:
    """Answers every question about the runs of one point of the axes.

    Args:
        variant: its name.
        outcomes: its runs, finished or not.
        pairs: which arms to hold against which.
        sources: the source of every row of the pool, where there are several.
        rule: how differences are judged.
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
        arms=[_summary(arm, runs[arm], sources) for arm in arms],
        thresholds=_thresholds(runs),
        pairs=[
            _judge_pair(first, second, done, rule)
            for first, second in pairs
            if first in arms and second in arms
        ],
        failed=failed,
        zero_shot=_zero_shot(next(iter(done.values())), sources) if done else None,
    )


def decide(answers: Sequence[Answer], level: float = LEVEL) -> list[Answer]:
    """Says which differences stand: the main ones by Holm, the others at the level each if a main one stands."""
    main = [answer for answer in answers if answer.main]
    held = holm([answer.p for answer in main], level)
    stands = dict(zip((answer.question for answer in main), held, strict=True))
    any_main = any(stands.values())
    return [
        answer.model_copy(
            update={"called": _call(answer, stands.get(answer.question, any_main and answer.p <= level))}
        )
        for answer in answers
    ]


def ask(
    question: str,
    first: Float64Array,
    second: Float64Array,
    *,
    ratio: bool,
    rows: float = 0.0,
    rule: Judging = FIXED,
) -> Answer:
    """Makes the answer to one question, not yet called.

    Args:
        question: the name of one of `QUESTIONS`.
        first, second: (S,) float64, the arms' values by paired seed; NaN where a seed has none.
        ratio: compare logarithms and report first / second.
        rows: standard error that comes from the test rows.
        rule: how the difference is judged.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (np.log(first), np.log(second)) if ratio else (first, second)
        pair = paired_difference(a, b, rows, rule)
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
        standard_error=_or_none(pair.standard_error),
        low=back(pair.low) if math.isfinite(pair.low) else None,
        high=back(pair.high) if math.isfinite(pair.high) else None,
        p=pair.p,
        seeds=pair.seeds,
        called="no difference",
        detectable=_detectable(pair, main, back, rule),
    )


def _detectable(pair: Paired, main: bool, back: Callable[[float], float], rule: Judging) -> float | None:
    if pair.seeds < 2:
        return None
    level = rule.level / len(MAIN_QUESTIONS) if main else rule.level
    size = critical(pair.seeds, level, rule) * pair.standard_error
    return back(size) if size < 700.0 else None  # beyond that exp overflows: nothing is detectable


def _call(answer: Answer, stands: bool) -> Called:
    if answer.seeds < 2 or answer.value is None:
        return "cannot be told"
    if not stands:
        return "no difference"
    return "lower" if answer.value < (1.0 if answer.scale == "ratio" else 0.0) else "higher"


def _judge_pair(first: str, second: str, done: dict[tuple[str, int], Outcome], rule: Judging) -> ArmPair:
    seeds = [seed for arm, seed in sorted(done) if arm == first and (second, seed) in done]
    if not seeds:
        return ArmPair(first=first, second=second, answers=[])
    sides = ([done[first, seed] for seed in seeds], [done[second, seed] for seed in seeds])
    shared = Shared.of([*sides[0], *sides[1]], rule.to_loss)
    errors = {part: _test_error(sides[0], sides[1], part) for part in (RANDOM_TEST, EVEN_TEST)}
    answers = []
    for question in QUESTIONS:
        if question.name == NAMED_LOSS and rule.to_loss is None:
            continue
        a, b = (np.array([question.read(run, shared) for run in side], dtype=np.float64) for side in sides)
        if question.name == SHARED_ROWS:
            a = np.array([_shared_difference(x, y) for x, y in zip(*sides, strict=True)])
            b = np.zeros(len(seeds))
        error = errors.get(question.part, 0.0)
        answers.append(ask(question.name, a, b, ratio=question.ratio, rows=error, rule=rule))
    return ArmPair(first=first, second=second, answers=decide(answers, rule.level))


def _test_error(a: Sequence[Outcome], b: Sequence[Outcome], part: str) -> float:
    """The standard error of a difference on a test part that comes from its rows."""
    rows = [[each.row_losses(part, each.record.steps) for each in side] for side in (a, b)]
    sums = [np.stack([row[1] for row in side]) for side in rows]
    return row_error(sums[0], sums[1], rows[0][0][2])


def _shared_difference(first: Outcome, second: Outcome) -> float:
    """Difference in loss per token on the rows of both arms at the end; NaN where they share none."""
    (rows_a, sums_a, tokens), (rows_b, sums_b, _) = (
        each.row_losses("arm", each.record.steps) for each in (first, second)
    )
    shared, at_a, at_b = np.intersect1d(rows_a, rows_b, return_indices=True)
    if len(shared) == 0:
        return math.nan
    return float((sums_a[at_a].sum() - sums_b[at_b].sum()) / tokens[at_a].sum())


def common_level(curves: Sequence[Curve], *, as_drop: bool = False) -> float:
    """The lowest loss that every curve reaches, or the largest drop from its start that every one makes.

    It treats the curves alike, so no arm is favoured by the choice, and nothing has to be extrapolated.
    """
    if as_drop:
        return min(float(curve.loss[0] - curve.loss.min()) for curve in curves)
    return max(float(curve.loss.min()) for curve in curves)


def levels(curves: Sequence[Curve], shares: Sequence[float]) -> list[float]:
    """Losses at shares of the way from the lowest start to the lowest loss that every curve reaches."""
    top = min(float(curve.loss[0]) for curve in curves)
    bottom = common_level(curves)
    return [top - share * (top - bottom) for share in shares]


def _thresholds(runs: dict[str, list[Outcome]]) -> list[Threshold]:
    curves = {arm: [each.own_curve for each in outcomes] for arm, outcomes in runs.items()}
    everything = [curve for side in curves.values() for curve in side]
    if not everything:
        return []
    drop = common_level(everything, as_drop=True)
    found = []
    for arm, side in curves.items():
        for share, level in zip(SHARES, levels(everything, SHARES), strict=True):
            found.append(threshold(arm, "loss", level, side, [level] * len(side)))
            wanted = [float(curve.loss[0]) - share * drop for curve in side]
            found.append(threshold(arm, "drop", share * drop, side, wanted))
    return found


def threshold(
    arm: str, kind: str, level: float, curves: Sequence[Curve], wanted: Sequence[float]
) -> Threshold:
    """When each run of an arm came down to the loss that is wanted of it, along every axis."""
    reached = {
        axis: [_or_none(curve.reached(loss, axis)) for curve, loss in zip(curves, wanted, strict=True)]
        for axis in AXES
    }
    return Threshold.model_validate({"arm": arm, "kind": kind, "level": level, **reached})


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def at_answers(run: Outcome, part: str) -> float:
    """The loss on a part where a run has as many answer tokens as every arm has by its end; NaN where not measured."""
    step = run.record.answer_step
    return math.nan if step is None else run.curve(part).loss_at("steps", step)


def by_source(run: Outcome, step: int, sources: Sequence[str]) -> dict[str, float]:
    """The loss on the random test's rows of each source at a measured step; empty where there is one source."""
    rows, sums, tokens = run.row_losses(RANDOM_TEST, step)
    own = np.array(sources)[rows] if len(set(sources)) > 1 else np.array([])
    return {
        name: float(sums[own == name].sum() / tokens[own == name].sum()) for name in np.unique(own).tolist()
    }


def _zero_shot(run: Outcome, sources: Sequence[str]) -> ZeroShot:
    random, even = run.curve(RANDOM_TEST), run.curve(EVEN_TEST)
    return ZeroShot(
        random_test=float(random.loss[0]),
        even_test=float(even.loss[0]),
        random_test_accuracy=float(random.accuracy[0]),
        by_source=by_source(run, 0, sources),
    )


def _summary(arm: str, outcomes: Sequence[Outcome], sources: Sequence[str]) -> ArmSummary:
    records = [each.record for each in outcomes]
    own, random, even = ([each.curve(part) for each in outcomes] for part in ("arm", RANDOM_TEST, EVEN_TEST))

    found = [by_source(each, each.record.steps, sources) for each in outcomes]

    def mean(name: str) -> float:
        return float(np.mean([getattr(record, name) for record in records]))

    def at_epochs(part: str) -> list[float]:
        return [each.curve(part).loss_at("steps", each.record.epoch_step) for each in outcomes]

    def answered(part: str) -> list[float]:
        measured = [each for each in outcomes if each.record.answer_step is not None]
        return [at_answers(each, part) for each in measured]

    return ArmSummary(
        arm=arm,
        seeds=[record.seed for record in records],
        rows=[record.rows for record in records],
        tokens_per_row=mean("tokens_per_row"),
        response_tokens_per_row=mean("response_tokens_per_row"),
        truncated=mean("truncated"),
        dropped=max(record.dropped for record in records),
        initial_loss=[float(record.initial_loss or math.nan) for record in records],
        own_loss=[float(curve.loss[-1]) for curve in own],
        random_test=[float(curve.loss[-1]) for curve in random],
        even_test=[float(curve.loss[-1]) for curve in even],
        start_accuracy=float(random[0].accuracy[0]),
        random_test_accuracy=[float(curve.accuracy[-1]) for curve in random],
        even_test_accuracy=[float(curve.accuracy[-1]) for curve in even],
        batch=[record.batch for record in records],
        steps=records[0].steps,
        tokens=[int(curve.tokens[-1]) for curve in random],
        seconds=[float(curve.seconds[-1]) for curve in random],
        cost_seconds=[record.cost_seconds for record in records],
        random_test_epochs=at_epochs(RANDOM_TEST),
        even_test_epochs=at_epochs(EVEN_TEST),
        random_test_answers=answered(RANDOM_TEST),
        even_test_answers=answered(EVEN_TEST),
        answers=[round(record.steps * record.answers_a_step) for record in records],
        by_source={name: [each[name] for each in found] for name in found[0]},
    )
