"""The statistics of paired seeds: means, standard errors, small-sample intervals, many questions at once.

Two arms share their seeds: seed s shuffles both and draws both, so their difference is taken seed by seed.
With S seeds the mean of S differences has a t distribution with S - 1 degrees of freedom; with 3 seeds that
is wide, and rightly so.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from evenly.types import Float64Array, Int64Array

LEVEL = 0.05
"""How often two equal arms may be called different, over all main questions about the pair together."""


EFFECT = 2.0
"""The spread of effects, in standard deviations of a paired difference, that the evidence of `Judging.anytime` is
weighed for. The 5 % hold whatever it is; it only decides where power lies. With 1, no four seeds could call a main
question, however large its difference; with 2 they can."""


@dataclass(frozen=True)
class Judging:
    """How differences are judged.

    Attributes:
        level: how often two equal arms may be called different.
        to_loss: a loss on own rows to which steps are counted too, where one was named.
        anytime: seeds are added until something is called. A t test looked at again and again would call every pair
            in the end; the p of `anytime_p` may be looked at after every seed, and one may stop whenever one likes.
    """

    level: float = LEVEL
    anytime: bool = False
    to_loss: float | None = None


FIXED = Judging()
"""A number of seeds that was named beforehand."""


@dataclass(frozen=True)
class Paired:
    """A difference between two arms over paired seeds.

    Attributes:
        mean: mean of the differences, first arm minus second.
        standard_error: of the mean: the spread over seeds and, where given, over test rows.
        low, high: the interval at 1 - level for this difference alone.
        p: two-sided probability of a difference at least this large between equal arms.
        seeds: pairs that went into it.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p: float
    seeds: int


def paired_difference(
    first: Float64Array, second: Float64Array, row_error: float = 0.0, rule: Judging = FIXED
) -> Paired:
    """Compares two arms measured on the same seeds.

    Args:
        first, second: (S,) float64, one value per seed; NaN pairs are left out.
        row_error: standard error that comes from the test rows being a sample. It is added to the spread over
            seeds (in squares), which can only make a difference harder to call.
        rule: how it is judged.

    Returns:
        The difference. With fewer than two pairs nothing can be told: infinite error, p = 1. Curves that are
        equal in every seed differ by exactly 0 with p = 1.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    differences = differences[np.isfinite(differences)]
    seeds = len(differences)
    if seeds < 2:
        mean = float(differences[0]) if seeds else math.nan
        return Paired(mean, math.inf, -math.inf, math.inf, 1.0, seeds)
    mean, error = _mean_and_error(differences, row_error)
    if error == 0.0:
        return Paired(mean, 0.0, mean, mean, 1.0 if mean == 0.0 else 0.0, seeds)
    half = critical(seeds, rule.level, rule) * error
    p = anytime_p(differences, row_error) if rule.anytime else t_p(mean / error, seeds - 1)
    return Paired(mean, error, mean - half, mean + half, p, seeds)


def _mean_and_error(differences: Float64Array, row_error: float) -> tuple[float, float]:
    spread = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()), math.hypot(spread, row_error)


def critical(seeds: int, level: float, rule: Judging) -> float:
    """How many standard errors a difference must be away from 0 to be called at a level; infinite where none can be."""
    degrees = seeds - 1
    if not rule.anytime:
        return t_quantile(1.0 - level / 2.0, degrees)
    prior = 1.0 + seeds * EFFECT**2
    ratio = (math.sqrt(prior) / level) ** (2.0 / seeds)
    return math.sqrt(degrees * (ratio - 1.0) / (1.0 - ratio / prior)) if ratio < prior else math.inf


def t_p(value: float, degrees: int) -> float:
    """Two-sided probability of a t at least so far from 0."""
    return 2.0 * (1.0 - t_cdf(abs(value), degrees))


def evidence(value: float, seeds: int) -> float:
    """How much likelier a t is where arms differ than where they do not: an e-value.

    The Bayes factor of a normal effect size with spread `EFFECT` against none, whatever the spread of the seeds (Gönen,
    Johnson, Lu and Westfall 2005). Over growing numbers of seeds it is a test martingale under equal arms (Pérez-Ortiz,
    Lardy, de Heide and Grünwald 2024, "E-statistics, group invariance and anytime-valid testing"), so by Ville's
    inequality it ever reaches 1 / a with probability at most a.
    """
    degrees, prior = seeds - 1, 1.0 + seeds * EFFECT**2
    squared = value**2 / degrees
    log_odds = 0.5 * seeds * (math.log1p(squared) - math.log1p(squared / prior)) - 0.5 * math.log(prior)
    return math.exp(min(log_odds, 700.0))


def anytime_p(differences: Float64Array, row_error: float = 0.0) -> float:
    """A p that holds however often one looked before: one over the most evidence after any number of seeds so far.

    Errors from the test rows make every t smaller, and so the evidence.
    """
    most = 0.0
    for seeds in range(2, len(differences) + 1):
        mean, error = _mean_and_error(differences[:seeds], row_error)
        if error > 0.0:
            most = max(most, evidence(mean / error, seeds))
    return min(1.0, 1.0 / most) if most > 0.0 else 1.0


def row_error(first: Float64Array, second: Float64Array, tokens: Int64Array) -> float:
    """Standard error of a difference in loss per token that comes from which test rows were drawn.

    The loss per token is a ratio of two sums over rows; its error is that of the linearised ratio.

    Args:
        first, second: (S, n) float64, sums of loss per row and seed, of the two arms on the same n rows.
        tokens: (n,) int64, response tokens of the rows.
    """
    if len(tokens) < 2:
        return math.inf
    difference = (np.asarray(first) - np.asarray(second)).mean(axis=0)
    ratio = difference.sum() / tokens.sum()
    influence = (difference - ratio * tokens) / tokens.mean()
    return float(influence.std(ddof=1) / math.sqrt(len(tokens)))


def holm(probabilities: list[float], level: float = LEVEL) -> list[bool]:
    """Which of several differences stand when they are judged together (Holm 1979).

    The chance that any of them is called although none is there is at most ``level``, whatever their
    dependence.
    """
    stands = [False] * len(probabilities)
    order = sorted(range(len(probabilities)), key=lambda at: probabilities[at])
    for rank, at in enumerate(order):
        if probabilities[at] > level / (len(probabilities) - rank):
            break
        stands[at] = True
    return stands


def t_cdf(value: float, degrees: int) -> float:
    """Student's distribution function for whole degrees of freedom, by its finite series (Abramowitz and
    Stegun 26.7)."""
    angle = math.atan(value / math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    term, total = 1.0, 0.0
    if degrees % 2 == 0:
        for k in range(degrees // 2):
            total += term
            term *= cosine_squared * (2 * k + 1) / (2 * k + 2)
        return 0.5 + 0.5 * math.sin(angle) * total
    for k in range((degrees - 1) // 2):
        total += term
        term *= cosine_squared * (2 * k + 2) / (2 * k + 3)
    return 0.5 + (angle + math.sin(angle) * math.cos(angle) * total) / math.pi


@functools.cache
def t_quantile(probability: float, degrees: int) -> float:
    """The inverse of `t_cdf` for probabilities of at least one half, by bisection."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2.0
