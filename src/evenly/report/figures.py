"""The numbers behind the figures: curves and histograms, as plain JSON-ready values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenly.folder.selection import SelectionFolder
from evenly.report.points import common_words, field_numbers, field_words, is_number, rounded, visible
from evenly.report.regions import regions_of
from evenly.types import Float64Array, Int64Array

CURVE_POINTS = 60_000  # above it the curve is thinned, and counts read from it are between two of its points
BINS = 40
SHOWN_VALUES = 12


def radius_curve(saved: SelectionFolder) -> dict[str, Any] | None:
    """h_min(k): for each size k >= 2 the radius of the k-th pick. None where nothing has a radius.

    Returns:
        ``sizes`` and ``radii`` of equal length, and ``exact``: whether every size is there.
    """
    radii = saved.radius[saved.picks]
    sizes = np.flatnonzero(np.isfinite(radii)) + 1
    if not len(sizes):
        return None
    chosen = sizes[thin(len(sizes), CURVE_POINTS)]
    return {
        "sizes": chosen.tolist(),
        "radii": rounded(radii[chosen - 1], digits=7),
        "exact": len(chosen) == len(sizes),
    }


def regions(
    saved: SelectionFolder, mapped: Int64Array, coordinates: Float64Array, texts: list[str]
) -> dict[str, Any] | None:
    """The regions of the map on two levels, and the small one of each mapped row. None for a map without any."""
    found = regions_of(coordinates[mapped], texts, saved.rank[mapped] >= 0)
    if found is None:
        return None
    levels = {
        name: [{**asdict(one), "name": " · ".join(one.name)} for one in level]
        for name, level in (("small", found.small), ("large", found.large))
    }
    return {**levels, "of": found.of.tolist()}


def thin(count: int, limit: int) -> Int64Array:
    """Positions 0 … count-1, or about ``limit`` of them: all of the first, ever sparser, and the last."""
    if count <= limit:
        return np.arange(count)
    return np.unique(np.concatenate([np.geomspace(1, count, limit).astype(np.int64) - 1, [count - 1]]))


def nearest_histograms(measures: dict[str, Any]) -> list[dict[str, Any]]:
    """Nearest-neighbour distances as shares per bin: of pool, random and kept rows, where measured."""
    return [
        {"of": of, "edges": found["edges"], "shares": shares(np.asarray(found["counts"]))}
        for of in ("pool", "random", "kept")
        if (found := measures.get(of, {}).get("nearest"))
    ]


def shares(counts: Int64Array | Float64Array) -> list[float | None]:
    """Counts as shares of their sum; zeros stay zeros."""
    return rounded(counts / max(float(counts.sum()), 1.0))


def length_comparison(saved: SelectionFolder) -> dict[str, Any]:
    """Text lengths of kept rows against the pool, in bins that grow by a constant factor."""
    lengths = np.maximum(saved.characters, 1).astype(np.float64)
    low, high = lengths.min(), lengths.max()
    edges = np.geomspace(low, high * 1.0001, BINS + 1) if high > low else np.array([low / 2, low * 2])
    return {
        "name": "characters",
        "kind": "number",
        "log": True,
        **_histograms(lengths, saved.rank >= 0, edges),
        "medians": {
            "pool": float(np.median(saved.characters)),
            "kept": float(np.median(saved.characters[saved.rank >= 0])),
        },
    }


def field_comparisons(saved: SelectionFolder) -> list[dict[str, Any]]:
    """Each field of kept rows against the pool: shares per value, or per bin for numbers."""
    kept = saved.rank >= 0
    compared = []
    for name, column in saved.fields.items():
        found = _compare_numbers(column, kept) if is_number(column) else _compare_values(column, kept)
        compared.append({"name": visible(name), **found})
    return compared


def _compare_values(column: pa.ChunkedArray, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    words = field_words(column)
    values, distinct = common_words(words, SHOWN_VALUES)
    counts = []
    for value in values:
        equal = pc.equal(words, value).to_numpy()
        counts.append((int(equal.sum()), int(equal[kept].sum())))
    return {
        "kind": "category",
        "values": [visible(value) for value in values.to_pylist()],
        "pool": rounded(np.array([pool for pool, _ in counts]) / len(words)),
        "kept": rounded(np.array([own for _, own in counts]) / int(kept.sum())),
        "unseen": distinct - len(values),
    }


def _compare_numbers(column: pa.ChunkedArray, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    numbers = field_numbers(column)
    finite = np.isfinite(numbers)
    edges = _edges(numbers[finite]) if finite.any() else np.array([0.0, 1.0])
    return {
        "kind": "number",
        "log": False,
        **_histograms(numbers[finite], kept[finite], edges),
        "missing": int((~finite).sum()),
    }


def _edges(values: Float64Array) -> Float64Array:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.histogram_bin_edges(values, bins=BINS)
    except ValueError:  # bins narrower than the steps between such large numbers, or a range that is none
        return np.array([values.min(), values.max()])


def _histograms(
    values: Float64Array, kept: np.ndarray[Any, np.dtype[np.bool_]], edges: Float64Array
) -> dict[str, Any]:
    return {
        "edges": rounded(edges),
        "pool": shares(np.histogram(values, edges)[0]),
        "kept": shares(np.histogram(values[kept], edges)[0]),
    }
