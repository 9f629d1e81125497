"""The map of a selection: made with it, kept between runs, said in its measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evenly.engine.layout import FEWEST_ROWS
from evenly.engine.points import Points
from evenly.selecting.mapping import map_of
from evenly.vectors.cache import Cache

ROWS = np.random.default_rng(0).normal(size=(2 * FEWEST_ROWS, 6)).astype(np.float32)


def test_a_map_that_was_kept_is_taken_and_a_broken_one_made_anew(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path)
    first = map_of(Points.of(ROWS), "neighbours", cache)
    assert first.to_dict().keys() == {"kind", "laid_out", "shared"}
    (kept,) = cache.maps.iterdir()
    asked: list[str] = []

    def note(stage: str, done: int, total: int) -> None:
        asked.append(stage)

    again = map_of(Points.of(ROWS), "neighbours", cache, note)
    assert not asked
    assert np.array_equal(again.places, first.places)
    assert again.to_dict() == first.to_dict()
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(map_of(Points.of(ROWS), "neighbours", cache, note).places, first.places)
    assert set(asked) == {"map: neighbours", "map: layout"}
    assert cache.size().bytes == sum(path.stat().st_size for path in cache.maps.iterdir())
    cache.clear()
    assert not list(cache.maps.iterdir())


def test_few_rows_and_those_who_ask_get_the_components(tmp_path: Path) -> None:
    few = map_of(Points.of(ROWS[:9]), "neighbours")
    assert few.to_dict() == {"kind": "pca"}
    rows = ROWS * np.float32([1, 9, 1, 5, 1, 1])
    found = map_of(Points.of(rows, "euclidean"), "pca").places
    _, _, axes = np.linalg.svd(rows - rows.mean(0))
    for place, axis in zip(found.T, axes[:2], strict=True):
        expected = (rows - rows.mean(0)) @ axis
        assert np.allclose(place, expected * np.sign(expected[0] * place[0]), atol=1e-5)
