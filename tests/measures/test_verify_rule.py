"""Departures from plain max-min: orders that follow them pass, those that do not are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from evenly.measures import Check, Claim, Departures
from evenly.measures import verify_order as checked_order


def verify_order(
    vectors: object, rows: object, radii: object, *, rule: Departures | None = None, **said: Any
) -> list[Check]:
    """What is said of an order, checked: the claims among the options, and how they are to be taken."""
    claims = {name: said.pop(name) for name in list(said) if name in {each.name for each in fields(Claim)}}
    return checked_order(vectors, Claim(rows, radii, **claims), departures=rule, **said)


ROWS, PICKS = 150, 30
RANDOM = np.random.default_rng(3)
POOL = RANDOM.normal(size=(ROWS, 4)).astype(np.float32).astype(float)
WEIGHTS = RANDOM.uniform(0.2, 1.0, ROWS)
SCORES = RANDOM.integers(1, 6, ROWS)
UNTIL = np.where(np.arange(ROWS) % 5 == 0, 0, np.where(np.arange(ROWS) % 5 == 1, 12, ROWS))
GIVEN = [5, 9, 3]
PLAIN = Departures()


def textbook(
    rule: Departures, worth: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[list[int], list[float]]:
    """Greedy by the definition: of the rows a rule lets be picked, the one worth most at its distance."""
    picks, radii = [], []
    distance = np.full(ROWS, np.inf)
    for rank in range(PICKS):
        if rank < rule.given:
            pick = GIVEN[rank]
        elif rank == 0:
            open_rows = np.flatnonzero(UNTIL > 0) if rule.until is not None else np.arange(ROWS)
            pick = int(open_rows[np.square(POOL - POOL.mean(0)).sum(1)[open_rows].argmin()])
        else:
            left = distance >= max(rule.least_distance, 1e-9)
            if rule.until is not None:
                left &= rule.until > rank
            if not left.any():
                break
            pick = int(np.where(left, worth(distance, np.arange(ROWS)), -np.inf).argmax())
        picks.append(pick)
        radii.append(float(distance[pick]))
        distance = np.minimum(distance, np.linalg.norm(POOL - POOL[pick], axis=1))
    return picks, radii


def plain(distance: np.ndarray, _: np.ndarray) -> np.ndarray:
    return distance


def weighted(distance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return distance * WEIGHTS[rows]


def by_steps(distance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.floor(distance / 0.3) * 10 + SCORES[rows]


RULES = {
    "given": (Departures(given=3), plain),
    "until": (Departures(until=UNTIL), plain),
    "weights": (Departures(weights=WEIGHTS), weighted),
    "least distance": (Departures(least_distance=1.2), plain),
    "steps": (Departures(step=0.3), by_steps),
    "all at once": (Departures(given=3, until=UNTIL, weights=WEIGHTS, least_distance=0.4), weighted),
}


def failed(picks: list[int], radii: list[float], rule: Departures) -> list[str]:
    rule_start = "nearest-mean" if not rule.given else "given"
    checks = verify_order(POOL, picks, radii, start_rule=rule_start, metric="euclidean", rule=rule)
    return [check.name for check in checks if not check.passed]


@pytest.mark.parametrize("name", RULES)
def test_an_order_that_follows_its_rule_passes(name: str) -> None:
    rule, worth = RULES[name]
    assert failed(*textbook(rule, worth), rule) == []


@pytest.mark.parametrize("name", RULES)
def test_a_row_passed_over_is_named(name: str) -> None:
    """With true radii, so that only the farthest check can tell."""
    rule, worth = RULES[name]
    picks, _ = textbook(rule, worth)
    if rule.step:  # within a step any row may come next: pass over every row of the best step
        left = [row for row in range(ROWS) if row not in picks]
        picks[5] = min(left, key=lambda row: np.linalg.norm(POOL[picks[:5]] - POOL[row], axis=1).min())
    else:
        del picks[6]
    radii = [np.inf] + [
        float(np.linalg.norm(POOL[picks[:rank]] - POOL[picks[rank]], axis=1).min())
        for rank in range(1, len(picks))
    ]
    assert "farthest row at each pick" in failed(picks, radii, rule)


@pytest.mark.parametrize("name", ["given", "until", "weights", "steps", "all at once"])
def test_an_order_under_a_rule_is_no_plain_order(name: str) -> None:
    rule, worth = RULES[name]
    assert failed(*textbook(rule, worth), PLAIN) != []


def test_an_excluded_row_or_one_of_a_full_group_may_not_be_picked() -> None:
    picks, radii = textbook(PLAIN, plain)
    aside, full = np.full(ROWS, ROWS), np.full(ROWS, ROWS)
    aside[picks[4]], full[picks[8]] = 0, 8
    for until, row, reason in ((aside, picks[4], "it was excluded"), (full, picks[8], "its group was full")):
        checks = verify_order(POOL, picks, radii, metric="euclidean", rule=Departures(until=until))
        assert [check.passed for check in checks] == [False]
        assert f"row {row} was picked" in checks[0].detail
        assert reason in checks[0].detail


def test_given_rows_may_be_excluded_and_near() -> None:
    rule = Departures(given=3, until=np.where(np.isin(np.arange(ROWS), GIVEN), 0, ROWS), least_distance=0.5)
    picks, radii = textbook(replace(rule, least_distance=0.5), plain)
    assert picks[:3] == GIVEN
    assert failed(picks, radii, rule) == []


def test_another_strategy_needs_true_radii_and_no_more() -> None:
    picks = RANDOM.permutation(ROWS)[:PICKS].tolist()
    radii = [np.inf] + [
        float(np.linalg.norm(POOL[picks[:rank]] - POOL[picks[rank]], axis=1).min())
        for rank in range(1, PICKS)
    ]
    rule = Departures(farthest=False)
    assert failed(picks, radii, rule) in ([], ["start"])
    radii[7] *= 1.1
    assert "radius of each pick" in failed(picks, radii, rule)
