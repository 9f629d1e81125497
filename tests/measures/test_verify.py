"""The independent verifier agrees with the engine on random pools, and names what was tampered with."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from evenly.engine.greedy import select
from evenly.errors import InputError
from evenly.measures import Check, Claim, Departures, verify_bound
from evenly.measures import verify_order as checked_order
from evenly.types import Metric, Selection


def verify_order(
    vectors: object, rows: object, radii: object, *, rule: Departures | None = None, **said: Any
) -> list[Check]:
    """What is said of an order, checked: the claims among the options, and how they are to be taken."""
    claims = {name: said.pop(name) for name in list(said) if name in {each.name for each in fields(Claim)}}
    return checked_order(vectors, Claim(rows, radii, **claims), departures=rule, **said)


def random_pool(seed: int) -> tuple[np.ndarray, Selection]:
    """A pool of its own shape, size and metric, with copies in every third, and an engine's order over it."""
    random = np.random.default_rng(seed)
    rows, width = int(random.integers(30, 700)), int(random.integers(2, 90))
    vectors = random.normal(size=(rows, width)) * random.uniform(0.5, 2, size=(rows, 1)) + random.normal(
        size=width
    )
    if seed % 3 == 0:
        vectors[: rows // 4] = vectors[-(rows // 4) :]
    metric: Metric = "cosine" if seed % 2 else "euclidean"
    return vectors, select(vectors, float(random.uniform(0.2, 0.7)), metric=metric)


def verify(vectors: np.ndarray, selection: Selection, **claims: object) -> list[Check]:
    known = {
        "start": int(selection.rows[0]),
        "start_rule": "nearest-mean",
        "metric": selection.metric,
        "keeper": selection.keeper,
        "keeper_distance": selection.keeper_distance,
        "h_min": selection.h_min,
        "fill": selection.fill,
    }
    return verify_order(vectors, selection.rows, selection.radii, **(known | claims))  # type: ignore[arg-type]


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_engine(seed: int) -> None:
    vectors, selection = random_pool(seed)
    checks = verify(vectors, selection)
    assert failed(checks) == []
    assert [check.name for check in checks] == [
        "row numbers",
        "start",
        "radii never increase",
        "radius of each pick",
        "farthest row at each pick",
        "keeper of each row",
        "h_min",
        "fill",
    ]


def swapped(selection: Selection, one: int, other: int) -> Selection:
    rows = selection.rows.copy()
    rows[[one, other]] = rows[[other, one]]
    return replace(selection, rows=rows)


def with_radius(selection: Selection, rank: int, factor: float) -> Selection:
    radii = selection.radii.copy()
    radii[rank] *= factor
    return replace(selection, radii=radii)


def with_row(selection: Selection, rank: int, row: int) -> Selection:
    rows = selection.rows.copy()
    rows[rank] = row
    return replace(selection, rows=rows)


def unpicked(selection: Selection) -> int:
    return int(np.setdiff1d(np.arange(selection.pool_rows), selection.rows)[-1])


def with_keeper(selection: Selection, row: int, keeper: int, factor: float = 1.0) -> Selection:
    keepers, distance = selection.keeper.copy(), selection.keeper_distance.copy()
    keepers[row] = keeper
    distance[row] *= factor
    return replace(selection, keeper=keepers, keeper_distance=distance)


TAMPERED = {
    "two picks swapped": (lambda s: swapped(s, 3, 9), "radius of each pick"),
    "last two picks swapped with the first": (lambda s: swapped(s, 1, len(s) - 1), "radius of each pick"),
    "first pick changed": (lambda s: with_row(s, 0, unpicked(s)), "start"),
    "a pick replaced by a row left out": (lambda s: with_row(s, 5, unpicked(s)), "radius of each pick"),
    "last pick replaced": (lambda s: with_row(s, len(s) - 1, unpicked(s)), "radius of each pick"),
    "a row picked twice": (lambda s: with_row(s, 4, int(s.rows[2])), "row numbers"),
    "a row beyond the pool": (lambda s: with_row(s, 4, s.pool_rows), "row numbers"),
    "a negative row": (lambda s: with_row(s, 4, -1), "row numbers"),
    "a radius raised": (lambda s: with_radius(s, 6, 1.01), "radius of each pick"),
    "a radius lowered": (lambda s: with_radius(s, 6, 0.9), "radius of each pick"),
    "a radius rising": (lambda s: with_radius(s, 6, 3.0), "radii never increase"),
    "a radius not a number": (lambda s: with_radius(s, 6, np.nan), "radii never increase"),
    "a radius below zero": (lambda s: with_radius(s, 6, -1.0), "radii never increase"),
    "last radius raised": (lambda s: with_radius(s, len(s) - 1, 1.001), "radius of each pick"),
    "all radii scaled": (lambda s: replace(s, radii=s.radii * 1.1), "radius of each pick"),
    "a stranger as keeper": (lambda s: with_keeper(s, unpicked(s), unpicked(s)), "keeper of each row"),
    "a farther keeper": (lambda s: with_keeper(s, int(s.rows[3]), int(s.rows[7])), "keeper of each row"),
    "a keeper distance": (
        lambda s: with_keeper(s, unpicked(s), int(s.keeper[unpicked(s)]), 1.5),
        "keeper of each row",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_names_what_was_tampered_with(name: str) -> None:
    tamper, expected = TAMPERED[name]
    vectors, selection = random_pool(7)
    assert expected in failed(verify(vectors, tamper(selection)))


def test_names_a_wrong_summary_and_changed_vectors() -> None:
    vectors, selection = random_pool(7)
    assert failed(verify(vectors, selection, h_min=selection.h_min * 1.01)) == ["h_min"]
    assert failed(verify(vectors, selection, fill=selection.fill * 0.99)) == ["fill"]
    assert failed(verify(vectors, selection, start=unpicked(selection))) == ["start"]
    other = vectors.copy()
    other[selection.rows[4]] *= -1
    assert "radius of each pick" in failed(verify(other, selection))


def test_names_an_order_that_skips_the_farthest_row() -> None:
    """Radii true to the order, but a farther row was passed over: only the farthest check can tell."""
    vectors, selection = random_pool(4)
    rows = np.delete(selection.rows, 2)
    distance = [np.inf]
    for rank in range(1, len(rows)):
        earlier = vectors[rows[:rank]].astype(np.float32).astype(float)
        distance.append(np.sqrt(((earlier - vectors[rows[rank]].astype(np.float32)) ** 2).sum(1)).min())
    checks = verify_order(vectors, rows, distance, start=int(rows[0]), metric="euclidean")
    assert failed(checks) == ["farthest row at each pick"]
    assert f"row {selection.rows[2]} was" in next(check.detail for check in checks if not check.passed)


def test_start_that_is_not_nearest_the_mean() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    selection = select(vectors, 10, start=int(np.abs(vectors).sum(1).argmax()))
    assert failed(verify(vectors, selection)) == ["start"]
    assert failed(verify(vectors, selection, start_rule="row")) == []


def test_anchors_and_excluded_rows() -> None:
    random = np.random.default_rng(1)
    pool, anchors = random.normal(size=(120, 3)), random.normal(size=(5, 3))
    eligible = np.abs(pool).max(axis=1) < 2
    rule = Departures(until=np.where(eligible, len(pool), 0))
    centres = list(anchors.astype(np.float32).astype(float))
    wide = pool.astype(np.float32).astype(float)
    rows, radii = [], []
    for _ in range(30):
        distance = np.array([np.sqrt(((np.array(centres) - row) ** 2).sum(1)).min() for row in wide])
        distance[~eligible] = -1
        rows.append(int(distance.argmax()))
        radii.append(distance.max())
        centres.append(wide[rows[-1]])
    everything = np.stack([np.sqrt(((np.array(centres) - row) ** 2).sum(1)) for row in wide])
    names = np.r_[120 + np.arange(5), rows]
    claims = {"keeper": names[everything.argmin(1)], "keeper_distance": everything.min(1)}
    checks = verify_order(pool, rows, radii, metric="euclidean", anchors=anchors, rule=rule, **claims)
    assert failed(checks) == []
    assert not eligible.all()
    assert "farthest row at each pick" in failed(
        verify_order(pool, rows, radii, metric="euclidean", anchors=anchors)
    )
    assert "radius of each pick" in failed(verify_order(pool, rows, radii, metric="euclidean", rule=rule))


def test_one_pick_and_rows_that_ran_out() -> None:
    vectors = np.random.default_rng(2).normal(size=(20, 3))
    assert failed(verify(vectors, select(vectors, 1), h_min=None)) == []
    copies = np.repeat(vectors, 3, axis=0)
    assert failed(verify(copies, select(copies, 40))) == []
    assert failed(verify(copies, select(copies, 40, allow_copies=True))) == []


def test_tolerance_lets_other_encoders_pass() -> None:
    vectors, selection = random_pool(11)
    elsewhere = vectors * (1 + 1e-5 * np.random.default_rng(0).normal(size=vectors.shape))
    assert failed(verify(elsewhere, selection)) != []
    assert failed(verify(elsewhere, selection, tolerance=1e-3)) == []


def test_bounds_that_do_not_hold() -> None:
    vectors = np.random.default_rng(2).normal(size=(20, 3))
    parts = np.arange(20) % 4
    assert failed(verify_bound(vectors, parts, 5, 100.0, metric="euclidean")) == []
    assert failed(verify_bound(vectors, parts, 4, 100.0, metric="euclidean")) == ["number of parts"]
    assert failed(verify_bound(vectors, parts, 5, 1.0, metric="euclidean")) == ["widest part"]


def test_claims_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match="radii must hold one distance for each of 2 rows"):
        verify_order(np.eye(3), [0, 1], [None])
    with pytest.raises(InputError, match="keeper must name a row for each of 3 rows"):
        verify_order(np.eye(3), [0, 1], [None, 1.0], keeper=[0], keeper_distance=[0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="row numbers must be whole"):
        verify_order(np.eye(3), [0.5], [None])
