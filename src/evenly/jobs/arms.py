"""Making the arms of a comparison: which rows each trains on, and which are set aside for testing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenly.engine.constraints import Constraints
from evenly.engine.greedy import select_prepared
from evenly.engine.points import Points
from evenly.engine.quotas import Quotas, proportional
from evenly.errors import InputError
from evenly.strategies.task import Task
from evenly.strategies.thinning import thin_until
from evenly.train.arms import Arm
from evenly.train.curves import EVEN_TEST, RANDOM_TEST
from evenly.types import Float32Array, Float64Array, Int64Array

TEST_POOL = 4
"""The even test is chosen from this many times as many random rows as it holds."""
LARGEST_TEST_SHARE = 0.5
BINS = 10
"""Quantile bins of initial loss and of response length, for arms that must be alike in them."""
KINDS = ("full", "random", "uniform", "clumped", "matched", "dedup")
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class TestParts:
    """Rows set aside before any arm was made.

    Attributes:
        parts: pool row numbers of the random and the even test, by name; they share no row.
        left_out: pool rows that are in no arm because they lie too near a test row.
        candidates: pool rows that arms may take.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    parts: dict[str, Int64Array]
    left_out: Int64Array
    candidates: Int64Array


def check_tests_fit(rows: int, test_rows: int) -> None:
    """Raises InputError where a pool of so many rows is too small for two tests of ``test_rows`` rows."""
    if test_rows * (1 + TEST_POOL) > LARGEST_TEST_SHARE * rows:
        most = int(LARGEST_TEST_SHARE * rows / (1 + TEST_POOL))
        raise InputError(
            f"a pool of {rows} rows is too small for tests of {test_rows} rows; `test` may be {most} at most"
        )


def set_tests_aside(points: Points, test_rows: int, near_copy: float, seed: int = 0) -> TestParts:
    """Draws the two test parts and leaves their near-copies out of all arms.

    The random test is drawn from all rows. The even test is the greedy max-min order over further random
    rows, so that it weighs every region alike, the rare ones too; what it does not take goes back to the
    pool.

    Args:
        points: the N rows of the pool.
        test_rows: rows of each part.
        near_copy: cosine distance to a test row up to which a row is left out.
        seed: of the draw.

    Raises:
        InputError: the pool is too small for the test parts, or nothing but near-copies of them is left.
    """
    rows, vectors = len(points), points.vectors
    check_tests_fit(rows, test_rows)
    drawn = test_rows * (1 + TEST_POOL)
    order = np.random.default_rng([seed, 2]).permutation(rows)
    random_test, test_pool = np.sort(order[:test_rows]), np.sort(order[test_rows:drawn])
    even_test = np.sort(test_pool[select_prepared(points.part(test_pool), test_rows, allow_copies=True).rows])
    tests = np.concatenate([random_test, even_test])
    others = np.setdiff1d(np.arange(rows), tests)
    near = nearest_cosine_distance(vectors[others], vectors[tests]) <= near_copy
    if near.all():
        raise InputError(f"every row lies within {near_copy} of a test row; lower `near_copy`")
    return TestParts({RANDOM_TEST: random_test, EVEN_TEST: even_test}, others[near], others[~near])


def nearest_cosine_distance(vectors: Float32Array, others: Float32Array) -> Float64Array:
    """(N,) float64: 1 - cos from each of N vectors to the nearest of M others, by a float32 product."""
    units, targets = (_unit(each) for each in (vectors, others))
    blocks = [(units[at : at + _BLOCK] @ targets.T).max(axis=1) for at in range(0, len(units), _BLOCK)]
    return 1.0 - np.concatenate(blocks).astype(np.float64)


def _unit(vectors: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ArmMaker:
    """Makes arms of ``keep`` rows out of a pool's candidates.

    Attributes:
        candidates: (C,) pool row numbers that arms may take.
        points: their vectors.
        row_loss: (C,) float64, loss per response token of each before any training.
        response_tokens: (C,) int64.
        keep: rows of every arm but the full one.
        embed_seconds: what embedding the candidates cost.
        near_copy: rows of the dedup arm lie farther apart than this, 1 - cos.
        match_length: every arm has the response lengths of all candidates: of each tenth of the lengths as
            many rows as its share. Arms then differ in where their rows lie and not in how long they are.
    """

    candidates: Int64Array
    points: Points
    row_loss: Float64Array
    response_tokens: Int64Array
    keep: int
    embed_seconds: float
    near_copy: float = 0.0
    match_length: bool = False

    def make(self, kinds: tuple[str, ...], seeds: int) -> list[Arm]:
        """All arms of the kinds named (of `KINDS`), for seeds 0 … seeds - 1."""
        return [arm for seed in range(seeds) for arm in self._of_seed(kinds, seed)]

    def _of_seed(self, kinds: tuple[str, ...], seed: int) -> list[Arm]:
        started = time.perf_counter()
        uniform = self._uniform(seed) if {"uniform", "matched"} & set(kinds) else np.empty(0, np.int64)
        seconds = time.perf_counter() - started
        makers: dict[str, Callable[[], Int64Array]] = {
            "full": lambda: np.arange(len(self.candidates)),
            "random": lambda: self._random(seed),
            "uniform": lambda: uniform,
            "clumped": lambda: self._clumped(seed),
            "matched": lambda: self._matched(seed, uniform),
            "dedup": lambda: self._dedup(seed),
        }
        arms = []
        for kind in kinds:
            started = time.perf_counter()
            places = makers[kind]()
            cost = (
                self.embed_seconds + time.perf_counter() - started + (seconds if kind == "uniform" else 0.0)
            )
            costs_something = kind in ("uniform", "clumped", "dedup")
            arms.append(Arm(kind, seed, self.candidates[places], cost if costs_something else 0.0))
        return arms

    def _shuffled(self, seed: int, purpose: int) -> Int64Array:
        return np.random.default_rng([seed, purpose]).permutation(len(self.candidates))

    def _quotas(self) -> Quotas:
        """How many rows an arm takes of each response length; all lengths are one group if they may differ."""
        count = len(self.candidates)
        group = _bins(self.response_tokens) if self.match_length else np.zeros(count, dtype=np.int64)
        names = tuple(f"response length {number}" for number in range(int(group.max()) + 1))
        shares = proportional(np.bincount(group, minlength=len(names)), self.keep)
        return Quotas(names, group, shares, shares)

    def _random(self, seed: int) -> Int64Array:
        quotas = self._quotas()
        return _first_of_each(self._shuffled(seed, 3), quotas.group, quotas.least)

    def _uniform(self, seed: int) -> Int64Array:
        quotas = Constraints(quotas=self._quotas()) if self.match_length else None
        return select_prepared(
            self.points, self.keep, quotas, start="random", seed=seed, allow_copies=True
        ).rows

    def _clumped(self, seed: int) -> Int64Array:
        """Half random rows, half the rows nearest to them: a set as uneven as the paper's control."""
        quotas, order = self._quotas(), self._shuffled(seed, 4)
        first = _first_of_each(order, quotas.group, quotas.least - quotas.least // 2)
        rest = order[~np.isin(order, first)]
        distance = nearest_cosine_distance(self.points.vectors[rest], self.points.vectors[first])
        rest = rest[np.argsort(distance, kind="stable")]
        nearest = _first_of_each(rest, quotas.group, quotas.least // 2)
        return np.random.default_rng([seed, 5]).permutation(np.concatenate([first, nearest]))

    def _dedup(self, seed: int) -> Int64Array:
        """Random rows without near-copies of one another; where these run out, the least near follow."""
        points = Points.of(self.points.vectors, "cosine")
        task = Task(points, self.keep, self.response_tokens, seed=seed)
        return thin_until(task, self._shuffled(seed, 3), 2.0 * self.near_copy)

    def _matched(self, seed: int, uniform: Int64Array) -> Int64Array:
        """Random rows with as many of each initial loss and response length as the uniform arm has."""
        cells = _bins(self.row_loss) * BINS + _bins(self.response_tokens)
        return _first_of_each(self._shuffled(seed, 6), cells, np.bincount(cells[uniform], minlength=BINS**2))


def _bins(measure: np.ndarray) -> Int64Array:
    """(C,) the quantile bin of each value, 0 to `BINS` - 1; equal values share a bin."""
    borders = np.quantile(measure, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(borders, measure, side="right").astype(np.int64)


def _first_of_each(order: Int64Array, group: Int64Array, wanted: Int64Array) -> Int64Array:
    """The rows of an order that are among the first ``wanted[g]`` of their group g, in that order."""
    rank = np.empty(len(order), dtype=np.int64)
    for number in range(len(wanted)):
        members = np.flatnonzero(group[order] == number)
        rank[members] = np.arange(len(members))
    return order[rank < wanted[group[order]]]
