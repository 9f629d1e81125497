"""Regions of the map: found where rows lie together, named by what they are about, and counted."""

from __future__ import annotations

import numpy as np

from evenly.report.regions import regions_of

TOPICS = {
    "cooking": "butter flour oven bake dough",
    "sailing": "anchor harbour mast wind sail",
    "chess": "bishop knight rook checkmate opening",
}


def pool(rows: int = 300) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    topic = rng.integers(0, len(TOPICS), rows)
    places = np.array([[0, 0], [100, 0], [0, 100]])[topic] + rng.normal(size=(rows, 2))
    own = list(TOPICS.values())
    texts = [f"Below is an instruction. Write about {' '.join(rng.choice(own[t].split(), 3))}" for t in topic]
    return places, texts, rng.random(rows) < 0.5, topic


def test_regions_are_named_by_their_own_words() -> None:
    places, texts, kept, topic = pool()
    found = regions_of(places, texts, kept)
    assert found is not None
    for region, one in enumerate(found.small):
        rows = np.flatnonzero(found.of == region)
        assert one.pool == len(rows)
        assert one.kept == kept[rows].sum()
        (about,) = set(topic[rows].tolist())  # no region mixes places that lie far apart
        assert set(one.name) <= set(list(TOPICS.values())[about].split())
        assert one.name or one.pool < 3
    assert sum(one.pool for one in found.large) == len(texts)
    assert {one.parent for one in found.small} == set(range(len(found.large)))


def test_the_same_map_has_the_same_regions() -> None:
    places, texts, kept, _ = pool()
    first, again = (regions_of(places, texts, kept) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.small == again.small
    assert np.array_equal(first.of, again.of)


def test_words_of_the_template_name_nothing() -> None:
    places, texts, kept, _ = pool()
    found = regions_of(places, [f"Respond politely. {text}" for text in texts], kept)
    assert found is not None
    named = {word for one in found.small for word in one.name}
    assert not named & {"respond", "politely", "below", "instruction"}


def test_too_few_rows_and_a_map_of_one_place_have_no_regions() -> None:
    places, texts, kept, _ = pool(12)
    assert regions_of(places, texts, kept) is None
    assert regions_of(np.zeros((100, 2)), ["a"] * 100, np.ones(100, dtype=bool)) is None
