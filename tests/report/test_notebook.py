"""The notebook figures show the selection's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.types import Metric, Selection
from tests.report.folders import nearest_distances, textbook_order

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from evenly import plot

slow = pytest.mark.slow  # vectors need torch, which takes seconds to load


def selected(vectors: np.ndarray, keep: int, metric: Metric = "euclidean") -> Selection:
    rows, radii, keeper, distance = textbook_order(vectors, keep)
    radii[0] = np.inf
    return Selection(rows, radii, keeper, distance, metric, asked=keep)


def test_the_curve_is_the_radii() -> None:
    selection = selected(np.random.default_rng(0).normal(size=(60, 4)), 20)
    curve, cover = plot(selection).axes
    sizes, radii = curve.lines[0].get_data()
    np.testing.assert_array_equal(sizes, np.arange(2, 21))
    np.testing.assert_array_equal(radii, selection.radii[1:])
    assert sum(bar.get_height() for bar in cover.patches) == 40


def test_a_notebook_shows_the_figure() -> None:
    figure = plot(selected(np.random.default_rng(0).normal(size=(60, 4)), 20))
    assert len(figure.axes) == 2
    assert figure._repr_png_().startswith(b"\x89PNG")


@slow
def test_with_vectors_the_map_and_the_neighbours_are_drawn() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    selection = selected(vectors.astype(np.float64), 20)
    places, nearest, _, _ = plot(selection, vectors).axes
    dropped, kept = places.collections
    assert (len(dropped.get_offsets()), len(kept.get_offsets())) == (40, 20)
    spread = np.concatenate([dropped.get_offsets(), kept.get_offsets()]).var(axis=0)
    assert spread.sum() == pytest.approx(
        np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[-2:].sum(), rel=1e-5
    )
    labels = [text.get_text() for text in nearest.get_legend().get_texts()]
    assert sorted(labels) == ["a random set", "kept", "pool"]
    assert nearest.get_xlim()[1] >= nearest_distances(vectors[selection.rows]).max()


@slow
def test_a_single_row_and_rows_of_one_number_have_figures() -> None:
    vectors = np.arange(5.0)[:, None]
    assert len(plot(selected(vectors, 1), vectors).axes) == 4
    assert len(plot(selected(vectors, 5), vectors).axes) == 4


@slow
def test_vectors_of_another_pool_are_refused() -> None:
    vectors = np.random.default_rng(0).normal(size=(10, 3))
    with pytest.raises(InputError, match="vectors hold 9 rows, the selection was made from 10"):
        plot(selected(vectors, 3), vectors[:9])
