"""The public function: exact measures against the definition, defined values at the edges, errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.measures import measure
from evenly.types import Metric
from tests.measures.oracle import all_distances, hard_pools

POOLS = hard_pools()
METRICS: list[Metric] = ["cosine", "euclidean"]


def bare(vectors: np.ndarray, rows: object = None, **options: object):  # type: ignore[no-untyped-def]
    return measure(vectors, rows, random_draws=0, diversity=False, **options)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [name for name in POOLS if name != "two blocks"])
def test_exact_measures_are_the_definition(
    name: str, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenly.measures.exact.FILL_SAMPLE", 10)
    vectors = POOLS[name]
    distance = all_distances(vectors, metric)
    rows = np.random.default_rng(3).permutation(len(vectors))[: len(vectors) // 2]
    kept = np.sort(rows)
    within = distance[np.ix_(kept, kept)]
    np.fill_diagonal(within, np.inf)
    cover = distance[:, kept].min(axis=1)
    pairs = within[np.triu_indices(len(kept), 1)]
    thresholds = sorted({float(np.quantile(pairs, share)) * (1 + 1e-9) for share in (0.01, 0.6)})

    found = bare(vectors, rows, metric=metric, thresholds=thresholds).exact

    close = {"rtol": 1e-11, "atol": 1e-300}
    np.testing.assert_allclose(found.nearest_distance, within.min(axis=1), **close)
    np.testing.assert_allclose(distance[kept, found.nearest_row], within.min(axis=1), **close)
    np.testing.assert_allclose([found.h_min, found.fill], [within.min(), cover.max()], **close)
    assert found.closest[0].distance == found.h_min
    assert distance[found.closest[0].row, found.closest[0].other] == pytest.approx(within.min(), rel=1e-11)
    assert found.loneliest_row not in kept
    assert found.loneliest_keeper in kept
    np.testing.assert_allclose(distance[found.loneliest_row, found.loneliest_keeper], cover.max(), **close)
    assert found.pair_distances is not None
    np.testing.assert_allclose(found.pair_distances.mean, pairs.mean(), rtol=1e-11)
    assert found.pairs_within == tuple((t, int((pairs <= t).sum())) for t in thresholds)
    assert found.mesh_ratio == (found.fill / found.h_min if found.h_min else math.inf)


def test_copies_are_counted_and_at_distance_zero() -> None:
    vectors = POOLS["copies"]
    found = bare(vectors).exact
    assert (found.copies, found.pool_copies, found.h_min) == (150, 150, 0.0)
    assert found.mesh_ratio == math.inf
    # Rows 0, 150 and 250 are copies of one another; the nearest is the lowest other one.
    assert found.nearest_row[[0, 150, 250]].tolist() == [150, 0, 0]
    kept = bare(vectors, [0, 150, 7, 9]).exact
    assert (kept.copies, kept.pool_copies, kept.h_min) == (1, 150, 0.0)


def test_zero_and_minus_zero_are_copies() -> None:
    assert bare(np.array([[0.0, 1.0], [-0.0, 1.0]]), metric="euclidean").exact.copies == 1


def test_the_order_of_rows_does_not_matter() -> None:
    vectors, rows = POOLS["plain"], np.arange(0, 300, 2)
    one, other = measure(vectors, rows, random_draws=3), measure(vectors, rows[::-1].tolist(), random_draws=3)
    assert one.to_dict() == other.to_dict()


def test_long_sets_are_sampled_with_stated_errors() -> None:
    vectors = POOLS["two blocks"]
    pairs = all_distances(vectors, "euclidean")[np.triu_indices(len(vectors), 1)]
    found = bare(vectors, metric="euclidean").exact.pair_distances
    assert found is not None
    assert found.sampled
    assert abs(found.mean - pairs.mean()) < 5 * found.standard_error
    for level, value in zip(found.quantiles.levels, found.quantiles.values, strict=True):
        assert abs((pairs <= value).mean() - level) < 2 * found.level_error


def test_random_subsets_are_measured_exactly() -> None:
    """Each draw is measured as if it had been given, though most of it is read off one list of neighbours."""
    for name, share in (("two dimensions", 0.5), ("copies", 0.5), ("two dimensions", 0.05)):
        vectors = POOLS[name]
        found = measure(
            vectors, np.arange(int(share * len(vectors))), random_draws=2, seed=5, metric="euclidean"
        )
        assert found.random is not None
        random = np.random.default_rng([5, 1])
        for draw in range(2):
            drawn = random.choice(len(vectors), found.rows, replace=False)
            alone = bare(vectors, drawn, metric="euclidean").exact
            standings = found.random.standings
            assert standings["h_min"].random[draw] == alone.h_min
            assert standings["fill"].random[draw] == alone.fill
            assert standings["mean_nearest"].random[draw] == pytest.approx(alone.mean_nearest)


def test_an_even_set_stands_above_random_ones() -> None:
    from evenly.engine.greedy import select

    vectors = np.random.default_rng(0).normal(size=(600, 5))
    selection = select(vectors, 150, metric="euclidean")
    found = measure(vectors, selection.rows, metric="euclidean")
    assert found.exact.h_min == selection.h_min
    assert found.exact.fill == selection.fill
    assert found.random is not None
    standings = found.random.standings
    assert set(standings) == {
        "h_min", "mean_nearest", "fill", "vendi", "riesz_energy", "uniformity", "cluster_entropy",
    }  # fmt: skip
    assert standings["h_min"].draws_below == 20
    assert standings["mean_nearest"].draws_below == 20
    assert standings["fill"].draws_below == 0


EDGES = {
    "one row": ([[1.0, 2.0]], None),
    "one row of two": ([[1.0, 2.0], [2.0, 1.0]], [1]),
    "two rows": ([[1.0, 2.0], [2.0, 1.0]], None),
    "all equal": (np.ones((40, 5)), None),
    "two of all equal": (np.ones((40, 5)), [3, 4]),
    "one of all equal": (np.ones((40, 5)), [3]),
    "all of them": (np.random.default_rng(0).normal(size=(30, 4)), range(30)),
    "a lattice": (np.arange(1.0, 30.0)[:, None], None),
    "one dimension": (np.random.default_rng(0).uniform(1, 2, size=(50, 1)), range(25)),
    "two places": (np.repeat([[1.0, 0.0], [0.0, 1.0]], 20, axis=0), range(10, 30)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", EDGES)
def test_edges_have_defined_values(name: str, metric: Metric) -> None:
    vectors, rows = EDGES[name]
    text = json.dumps(
        measure(vectors, None if rows is None else list(rows), metric=metric).to_dict(), allow_nan=False
    )
    assert '"nan"' not in text


def test_one_row_and_all_equal_rows() -> None:
    one = measure([[1.0, 2.0], [2.0, 1.0]], [1], metric="euclidean").exact
    assert (one.h_min, one.closest, one.nearest, one.mesh_ratio) == (math.inf, (), None, 0.0)
    assert (one.fill, one.loneliest_row, one.loneliest_keeper) == (pytest.approx(math.sqrt(2)), 0, 1)
    equal = measure(np.ones((40, 5)))
    assert (equal.exact.h_min, equal.exact.fill, equal.exact.copies) == (0.0, 0.0, 39)
    assert equal.diversity is not None
    assert equal.diversity.vendi == pytest.approx(1.0)
    assert equal.diversity.riesz_energy == math.inf
    assert equal.diversity.uniformity == pytest.approx(0.0)
    assert equal.to_dict()["diversity"]["riesz_energy"] == "inf"


BAD = {
    "empty subset": ([], "the subset is empty"),
    "outside": ([1, 2, 99, -1], "row 99 and 1 more of the subset is not in the pool; its 10 rows"),
    "twice": ([1, 2, 1], "row 1 is named more than once"),
    "no numbers": (["a"], "rows must be a list of row numbers"),
    "halves": ([0.5], "rows must be a list of row numbers"),
    "a table": ([[1, 2]], "rows must be a list of row numbers"),
    "a mask": ([True, False], "rows must be a list of row numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_one_line(name: str) -> None:
    rows, message = BAD[name]
    with pytest.raises(InputError, match=message) as raised:
        measure(np.eye(10), rows)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "manhattan"}, "`metric` 'manhattan'"),
        ({"random_draws": -1}, "`random_draws` must be at least 0"),
        ({"seed": 0.5}, "`seed` must be a whole number"),
        ({"thresholds": [math.nan]}, "`thresholds` must be distances"),
        ({"thresholds": ["near"]}, "`thresholds` must be a list of distances"),
    ],
)
def test_bad_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(np.eye(4), **options)  # type: ignore[arg-type]


def test_bad_vectors_are_one_line() -> None:
    with pytest.raises(InputError, match="row 2 of the vectors is zero"):
        measure(np.array([[1.0], [2.0], [0.0]]))
    with pytest.raises(InputError, match="row 1 of vectors holds nan"):
        measure(np.array([[1.0], [np.nan]]))


def test_progress_reaches_the_end_of_every_stage() -> None:
    seen: dict[str, tuple[int, int]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        assert done >= seen.get(stage, (0, 0))[0] or seen[stage][0] == seen[stage][1]
        seen[stage] = (done, total)

    measure(POOLS["plain"], range(100), random_draws=2, progress=progress)
    assert seen
    assert all(done == total for done, total in seen.values())
