"""`evenly measure`: how even a file is, or the part of it that another file holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenly.errors import InputError
from evenly.measures import Measures
from evenly.measures.measure import measured_points
from evenly.opened import check_request, open_pool, read_pool
from evenly.request import PoolRequest
from evenly.rows.rows import Rows
from evenly.types import Int64Array, Progress, silent
from evenly.words import percent


def measure_sources(
    request: PoolRequest,
    *,
    subset: str | None = None,
    thresholds: Sequence[float] | None = None,
    random_draws: int = 20,
    seed: int = 0,
    progress: Progress = silent,
) -> Measures:
    """Reads, embeds and measures a pool, or the rows of it that ``subset`` holds.

    Args:
        request: the pool.
        subset: a file whose records are all among the pool's; None measures the pool itself.
        thresholds: distances to count pairs within.
        random_draws: random subsets of the same size to compare with.
        seed: of samples and draws.
        progress: called as each stage goes on.

    Raises:
        InputError: something cannot be used, or the subset holds a record that the pool does not.
    """
    check_request(request)
    rows = read_pool(request, progress=progress)
    chosen = None
    if subset is not None:
        own = replace(request, sources=[subset], part="all", split=None, strip_shared=False)
        chosen = rows_of_subset(rows, read_pool(own, progress=progress), subset)
    with open_pool(request, rows, progress=progress) as pool:
        return measured_points(
            pool.points,
            chosen,
            random_draws=random_draws,
            seed=seed,
            thresholds=thresholds,
            progress=progress,
        )


def rows_of_subset(pool: Rows, subset: Rows, name: str) -> Int64Array:
    """Finds the pool row of every record of a subset by its text, (k,) int64 ascending.

    Records with equal text stand for as many pool rows with that text, the first of them.

    Raises:
        InputError: a record whose text no pool row has, or more copies of it than the pool holds.
    """
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, text in enumerate(pool.all_texts()):
        places[text.prompt, text.response].append(row)
    for queue in places.values():
        queue.reverse()
    found = []
    for number, text in enumerate(subset.all_texts(), start=1):
        queue = places.get((text.prompt, text.response), [])
        if not queue:
            raise InputError(
                f"row {number} of {name} is not in the pool (or more often than the pool has it); "
                "name the files that the subset was taken from"
            )
        found.append(queue.pop())
    return np.sort(np.array(found, dtype=np.int64))


def table_of(measures: Measures) -> list[tuple[str, str, Any, Any]]:
    """What a person reads: name, meaning, value, and the mean of random sets where there is one."""
    exact, scaled, scores = measures.exact, measures.normalised, measures.diversity
    random = measures.random.standings if measures.random else {}
    named: list[tuple[str, str, Any]] = [
        ("h_min", "distance of the closest pair", exact.h_min),
        ("mean_nearest", "mean distance to the nearest other row", exact.mean_nearest),
        ("fill", "farthest any pool row is from the set", exact.fill),
        ("mesh_ratio", "fill / h_min, at most 1 for a greedy order", exact.mesh_ratio),
        ("copies", "rows with the vector of an earlier one", exact.copies),
    ]
    named += [(f"pairs within {limit:g}", "", count) for limit, count in exact.pairs_within]
    dimension = scaled.dimension_likelihood
    named += [
        ("dimension", "intrinsic dimension of the pool", dimension.value if dimension else None),
        (
            "h_min_to_uniform",
            "h_min over that of uniform rows, same size and dimension",
            scaled.h_min_to_uniform,
        ),
        ("h_min_to_density", "h_min over that of random rows of this density", scaled.h_min_to_density),
        ("clark_evans", "mean nearest distance over that of uniform rows", scaled.clark_evans),
        ("fill_to_ball", "fill * k^(1/d) over its least in a ball", scaled.fill_to_ball),
    ]
    if scores is not None:
        named += [
            ("vendi", "effective number of different rows", scores.vendi),
            ("riesz_energy", "mean of 1 / squared distance", scores.riesz_energy),
            ("uniformity", "Gaussian potential, lower is more even", scores.uniformity),
            ("cluster_entropy", f"bits over {scores.clusters} clusters", scores.cluster_entropy),
            ("novelsum", "density-weighted distances", scores.novelsum),
        ]
    return [
        (name, meaning, value, random[name].random_mean if name in random else None)
        for name, meaning, value in named
    ]


NEAR_COPY = 0.05
"""Rows so near to one another (1 - cos) say the same in other words in nearly every text that was looked at."""


def sentences(measures: Measures) -> list[str]:
    """What the table comes to; nothing for a single row, and for euclidean distances, which have no scale."""
    nearest = measures.exact.nearest_distance
    if measures.rows < 2 or measures.metric != "cosine":
        return []
    share = float((nearest < NEAR_COPY).mean())
    if not share:
        return [f"no row has a near-copy: none is nearer than {NEAR_COPY:g} to another"]
    return [
        f"{percent(share)} of the rows have a near-copy, another row nearer than {NEAR_COPY:g}; evenly select with "
        f"`dedup={NEAR_COPY:g}` keeps one of each"
    ]
