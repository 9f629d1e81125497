"""One suite of invariants for all strategies, and for each what it alone promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from evenly.engine.orders import selection_of
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.strategies import STRATEGIES, Task, dpp, novelselect, strategy_named
from evenly.strategies.thinning import thin_until
from tests.engine.oracle import squared_distances_to


def pool(kind: str, count: int = 120) -> np.ndarray:
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((count, 8)).astype(np.float32)
    if kind == "copies":
        rows[count // 2 :] = rows[: count - count // 2]
    if kind == "one point":
        rows[:] = rows[0]
    if kind == "clusters":
        rows = (rng.standard_normal((4, 8))[rng.integers(0, 4, count)] * 5 + rows).astype(np.float32)
    return rows


def task(rows: np.ndarray, count: int, metric: str = "euclidean", seed: int = 0) -> Task:
    lengths = np.random.default_rng(1).integers(1, 500, len(rows))
    return Task(Points.of(rows, metric), count, lengths, seed=seed)


@pytest.mark.parametrize("name", STRATEGIES)
class TestEveryStrategy:
    @pytest.mark.parametrize("kind", ["normal", "copies", "one point", "clusters"])
    def test_as_many_different_rows_as_asked(self, name: str, kind: str) -> None:
        rows = pool(kind)
        for count in (1, 2, 37, len(rows)):
            picks = STRATEGIES[name].order(task(rows, count))
            assert picks.dtype == np.int64
            assert len(picks) == count
            assert len(set(picks.tolist())) == count
            assert picks.min() >= 0
            assert picks.max() < len(rows)

    def test_a_single_row(self, name: str) -> None:
        assert STRATEGIES[name].order(task(pool("normal", 1), 1)).tolist() == [0]

    def test_the_same_seed_gives_the_same_rows(self, name: str) -> None:
        rows = pool("clusters")
        first, again = (STRATEGIES[name].order(task(rows, 30, "cosine", seed=3)) for _ in range(2))
        np.testing.assert_array_equal(first, again)

    def test_the_selection_has_exact_radii_and_keepers(self, name: str) -> None:
        asked = task(pool("clusters"), 25)
        found = selection_of(asked.points, STRATEGIES[name].order(asked))
        rows = asked.vectors.numpy()
        to_kept = np.stack([squared_distances_to(rows, rows[row]) for row in found.rows])
        np.testing.assert_array_equal(found.keeper_distance, np.sqrt(to_kept.min(axis=0)))
        pairs = [to_kept[i][found.rows[j]] for i, j in itertools.combinations(range(25), 2)]
        assert found.h_min == np.sqrt(min(pairs))

    def test_it_says_what_it_is(self, name: str) -> None:
        one = STRATEGIES[name]
        assert one.name == name
        assert one.line
        assert one.source
        assert "Cost:" in (one.order.__doc__ or "")


def greedy_facility(rows: np.ndarray, count: int) -> list[int]:
    """Plain greedy over all pairs."""
    squared = np.stack([squared_distances_to(rows, row) for row in rows])
    worth = squared.max() * (1 + 1e-6) + 1e-30 - squared
    best, picks = np.zeros(len(rows)), []
    for _ in range(count):
        gains = np.maximum(worth - best[:, None], 0).sum(axis=0)
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        best = np.maximum(best, worth[:, picks[-1]])
    return picks


def test_lazy_facility_location_is_greedy_facility_location() -> None:
    rows = pool("normal", 60)
    assert STRATEGIES["facility"].order(task(rows, 12)).tolist() == greedy_facility(rows, 12)


def all_squares(rows: np.ndarray) -> np.ndarray:
    return np.stack([squared_distances_to(rows, row) for row in rows])


def greedy_determinant(rows: np.ndarray, count: int, window: int) -> list[int]:
    """The textbook's picks: the row with the largest determinant beside those of the window, in float64."""
    sample = torch.from_numpy(rows[np.random.default_rng(0).permutation(len(rows))[:1000]]).double()
    kernel = np.exp(-all_squares(rows) / float(torch.cdist(sample, sample).square().median()))
    picks: list[int] = []
    for rank in range(count):
        of = picks[rank // window * window :]
        inverse = np.linalg.inv(kernel[np.ix_(of, of)])
        gain = 1 - np.einsum("ij,jk,ik->i", kernel[:, of], inverse, kernel[:, of])
        gain[picks] = -np.inf
        picks.append(int(gain.argmax()))
    return picks


@pytest.mark.parametrize("window", [60, 25])
@pytest.mark.parametrize("kind", ["normal", "clusters"])
def test_dpp_picks_as_the_textbook(kind: str, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pool(kind, 200)
    monkeypatch.setattr(dpp, "_AT_ONCE", 7)
    monkeypatch.setattr(dpp, "FACTOR_BYTES", 4 * len(rows) * window)
    assert STRATEGIES["dpp"].order(task(rows, 60)).tolist() == greedy_determinant(rows, 60, window)


def greedy_novelty(rows: np.ndarray, count: int, first: int, metric: str) -> list[int]:
    """The textbook's picks, every sum anew at every pick, in float64."""
    squared = all_squares(rows)
    mean = np.sort(squared, axis=1)[:, 1:11].mean(axis=1)
    density = mean**-0.5
    distance = squared / 2 if metric == "cosine" else np.sqrt(squared)
    picks = [first]
    while len(picks) < count:
        weighted = np.sort(distance[:, picks] * (density[:, None] + density[picks]), axis=1)[:, :8]
        novelty = (weighted / (np.arange(weighted.shape[1]) + 1)).sum(axis=1)
        novelty[picks] = -np.inf
        picks.append(int(novelty.argmax()))
    return picks


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("kind", ["normal", "clusters"])
def test_novelselect_picks_as_the_textbook(kind: str, metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelselect, "_AT_ONCE", 7)
    asked = task(pool(kind, 200), 60, metric)
    found = STRATEGIES["novelselect"].order(asked).tolist()
    assert found == greedy_novelty(asked.vectors.numpy(), 60, found[0], metric)


def test_thinned_rows_lie_apart_and_cover_the_rows_before_them() -> None:
    rows = pool("clusters")
    kept = thin_until(task(rows, 20), np.arange(len(rows)), 4.0)
    expected: list[int] = []
    for row in range(len(rows)):
        if all(squared_distances_to(rows[[other]], rows[row])[0] >= 4.0 for other in expected):
            expected.append(row)
    assert kept.tolist() == expected[:20]


def test_clumped_rows_lie_nearer_to_one_another_than_random_ones() -> None:
    rows = pool("normal", 400)
    apart = {}
    for name in ("clumped", "random", "maxmin"):
        picks = STRATEGIES[name].order(task(rows, 80))
        to_all = np.stack([squared_distances_to(rows[picks], rows[row]) for row in picks])
        np.fill_diagonal(to_all, np.inf)
        apart[name] = to_all.min(axis=1).mean()
    assert apart["clumped"] < apart["random"] < apart["maxmin"]


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(InputError, match="maxmin, random"):
        strategy_named("best")
