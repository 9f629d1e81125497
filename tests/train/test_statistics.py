"""Small-sample statistics against scipy and against simulated comparisons without and with a difference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenly.train.result import Answer
from evenly.train.statistics import (
    EFFECT,
    FIXED,
    Judging,
    critical,
    evidence,
    holm,
    paired_difference,
    row_error,
    t_cdf,
    t_quantile,
)
from evenly.train.verdict import MAIN_QUESTIONS, QUESTIONS, ask, decide

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 30, 101])
def test_t_distribution_is_scipys(degrees: int) -> None:
    values = np.array([-8.0, -1.2, 0.0, 0.3, 2.9, 40.0])
    np.testing.assert_allclose(
        [t_cdf(value, degrees) for value in values], stats.t.cdf(values, degrees), atol=1e-12
    )
    for probability in (0.5, 0.9, 0.975, 0.999):
        assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), abs=1e-8)


def test_paired_difference_is_the_paired_t_test(random: np.random.Generator) -> None:
    first, second = random.normal(size=(2, 6))
    ours, theirs = paired_difference(first, second), stats.ttest_rel(first, second)
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-12)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert paired_difference(first, second, row_error=1.0).p > ours.p


def test_nothing_is_told_from_one_seed_or_from_equal_curves() -> None:
    assert paired_difference(np.array([1.0]), np.array([0.0])).p == 1.0
    assert paired_difference(np.array([]), np.array([])).seeds == 0
    same = paired_difference(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert (same.mean, same.standard_error, same.p) == (0.0, 0.0, 1.0)
    assert paired_difference(np.array([1.0, math.nan, 3.0]), np.array([0.0, 1.0, 2.5])).seeds == 2


def test_row_error_is_that_of_resampled_rows(random: np.random.Generator) -> None:
    tokens = random.integers(5, 60, 400)
    first = tokens * random.normal(2.0, 0.3, (1, 400))
    second = tokens * random.normal(1.9, 0.3, (1, 400))
    draws = random.integers(0, 400, (2000, 400))
    bootstrap = ((first - second)[0][draws].sum(1) / tokens[draws].sum(1)).std()
    assert row_error(first, second, tokens) == pytest.approx(bootstrap, rel=0.1)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]
    assert holm([0.01, 0.02, 0.03]) == [True, True, True]
    assert holm([0.02, 0.5, 0.9]) == [False, False, False]


@pytest.mark.parametrize(("value", "seeds"), [(0.0, 2), (1.3, 3), (-4.0, 5), (7.5, 8)])
def test_evidence_is_the_bayes_factor_of_its_definition(value: float, seeds: int) -> None:
    """The density of t, averaged over normal effect sizes, over its density where there is no effect."""
    effects = np.linspace(-8 * EFFECT, 8 * EFFECT, 4001)
    prior = stats.norm.pdf(effects, scale=EFFECT)
    likely = stats.nct.pdf(value, seeds - 1, effects * math.sqrt(seeds))
    expected = np.trapezoid(prior * likely, effects) / stats.t.pdf(value, seeds - 1)
    assert evidence(value, seeds) == pytest.approx(expected, rel=1e-4)


def test_critical_is_where_the_evidence_reaches_the_level() -> None:
    rule = Judging(anytime=True)
    for seeds in (4, 6, 12):
        size = critical(seeds, 0.05, rule)
        assert evidence(size, seeds) == pytest.approx(20.0)
    assert critical(2, 0.05, rule) == math.inf
    assert critical(5, 0.05, FIXED) == pytest.approx(stats.t.ppf(0.975, 4))


def looked_at_after_every_seed(random: np.random.Generator, shift: float, anytime: bool) -> int | None:
    """Three main questions about two arms, looked at after 3, 4 … 12 seeds; the seeds at which one is called."""
    common = random.normal(size=(12, 1))
    differences = common + random.normal(size=(12, 3)) + shift
    rule = Judging(0.05, anytime)
    for seeds in range(3, 13):
        found = [paired_difference(column[:seeds], np.zeros(seeds), rule=rule) for column in differences.T]
        if any(holm([each.p for each in found], rule.level)):
            return seeds
    return None


def test_seeds_may_be_added_until_something_is_called(random: np.random.Generator) -> None:
    """Equal arms are called different in at most 5 % of sequences by e-values, and in far more by t tests."""
    runs = 300
    called = {
        anytime: sum(looked_at_after_every_seed(random, 0.0, anytime) is not None for _ in range(runs)) / runs
        for anytime in (True, False)
    }
    assert called[True] <= 0.05
    assert called[False] > 0.08
    found = [looked_at_after_every_seed(random, 3.0, True) for _ in range(60)]
    assert sum(each is not None for each in found) > 54
    assert np.mean([each for each in found if each is not None]) < 9


def simulated(random: np.random.Generator, seeds: int, shift: float) -> list[Answer]:
    """All questions about two arms whose values share a part by seed and differ by noise and a shift."""
    common = random.normal(size=seeds)
    answers = []
    for question in (each.name for each in QUESTIONS):
        first = 2.0 + 0.1 * (common + random.normal(size=seeds)) + shift
        second = 2.0 + 0.1 * (common + random.normal(size=seeds))
        answers.append(ask(question, first, second, ratio=question.startswith(("steps", "tokens"))))
    return decide(answers)


@pytest.mark.parametrize("seeds", [3, 5])
def test_equal_arms_are_called_different_at_most_once_in_twenty(seeds: int) -> None:
    """Any call at all, in any of the questions, counts against it."""
    random = np.random.default_rng(seeds)
    trials = 300
    called = sum(
        any(answer.called != "no difference" for answer in simulated(random, seeds, 0.0))
        for _ in range(trials)
    )
    # Three standard errors of a share of 0.05 over the trials.
    assert called / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_a_planted_difference_is_found() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        answers = {answer.question: answer for answer in simulated(random, 3, 3.0)}
        assert all(answers[question].called == "higher" for question in MAIN_QUESTIONS)


def test_one_seed_cannot_be_told() -> None:
    answers = decide(
        [ask(question, np.array([2.0]), np.array([1.0]), ratio=False) for question in MAIN_QUESTIONS]
    )
    assert {answer.called for answer in answers} == {"cannot be told"}
