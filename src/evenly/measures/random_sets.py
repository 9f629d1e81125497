"""A set beside random subsets of the same size from the same pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch

from evenly.engine.neighbours import Neighbours, nearest
from evenly.measures.diversity import PoolClusters, cheap_scores
from evenly.measures.exact import NEAREST_LEVELS
from evenly.measures.result import AgainstRandom, Diversity, Exact, Quantiles, RandomSets, Standing
from evenly.measures.sets import RowSet
from evenly.types import Float64Array, Int64Array, Progress, metric_distance, silent

LISTED = 8
"""Neighbours listed for each row; where a subset keeps half of the pool, one row in 256 finds none of them there."""

SAMPLED_ROWS = 20_000
"""Rows that are searched for their neighbours where a pool has more than `MOST_PAIRS` pairs."""

PAIRS_PER_DRAW = 4_000_000
"""Pairs summed for the scores of one draw: a fifth of those of the set itself, for there are many draws."""

HIGHER_IS_MORE_EVEN = {
    "h_min": True,
    "mean_nearest": True,
    "fill": False,
    "vendi": True,
    "riesz_energy": False,
    "uniformity": False,
    "cluster_entropy": True,
}


def random_subsets(chosen: RowSet, draws: int, seed: int) -> Iterator[Int64Array]:
    """Row numbers of random subsets as large as the set, ascending; the same for the same seed."""
    random = np.random.default_rng([seed, 1])
    for _ in range(draws):
        yield np.sort(random.choice(len(chosen.points), len(chosen.rows), replace=False))


def sample_of(count: int, *seed: int) -> Int64Array:
    """`SAMPLED_ROWS` of so many rows, or all of fewer, ascending; the same for the same seed."""
    if count <= SAMPLED_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLED_ROWS, replace=False))


class Draws:
    """Exact nearest distances in random subsets, most of them read off one list of the pool's neighbours.

    Where a subset keeps a share p of the pool, a row finds its nearest kept row among its own eight nearest
    but for a share (1 - p)^8 of rows, and only those are searched anew.

    Args:
        chosen: pool and set.
        seed: of the samples of pools whose rows are too many to search for each; None searches for every row.
    """

    def __init__(self, chosen: RowSet, progress: Progress = silent, *, seed: int | None = None) -> None:
        self.points, self.seed = chosen.points, seed
        self.distinct = self.points.distinct
        self.coded = self.points.coded_of(self.distinct)
        share = len(chosen.rows) / len(self.points)
        # Below this share most rows would be searched anew anyway.
        self.listed = min(LISTED, len(self.distinct) - 1) if share >= 0.15 and seed is None else 0
        self.lists: Neighbours | None = None
        if self.listed:
            own, stage = np.arange(len(self.distinct)), "random subsets: neighbours"
            self.lists = nearest(self.coded, self.coded, self.listed, own=own, progress=progress, stage=stage)

    def nearest(self, drawn: Int64Array) -> tuple[Float64Array, float]:
        """Nearest-neighbour distance of each row of a drawn subset (pool row numbers), and its fill.

        With a seed, distances of sampled rows of the subset, and the farthest of sampled rows of the pool.
        """
        at = np.searchsorted(self.distinct, self.points.first_equal[drawn])
        present = np.zeros(len(self.distinct), dtype=np.bool_)
        present[at] = True
        copies = np.bincount(at, minlength=len(present))
        others = np.arange(len(present))
        if self.seed is not None:
            at, others = at[sample_of(len(at), self.seed, 2)], sample_of(len(present), self.seed, 3)
        squared = self._to_present(present, np.union1d(at, others))
        # Another copy of the same row is at distance 0.
        within = np.where(copies[at] > 1, 0.0, squared[at])
        outside = np.where(present[others], 0.0, squared[others])
        metric = self.points.metric
        return metric_distance(within, metric), float(metric_distance(outside.max(keepdims=True), metric)[0])

    def _to_present(self, present: npt.NDArray[np.bool_], open_rows: Int64Array) -> Float64Array:
        """(distinct,) squared distance of the open rows to their nearest present other; infinite where none is."""
        squared = np.full(len(present), np.inf)
        if self.lists is not None:
            hits = present[self.lists.index]
            found = hits.any(axis=1)
            first = hits.argmax(axis=1)
            squared[found] = self.lists.squared_distance[found, first[found]]
            open_rows = np.flatnonzero(~found)
        kept = np.flatnonzero(present)
        if len(open_rows):
            position = np.cumsum(present) - 1
            own = np.where(present[open_rows], position[open_rows], -1)
            queries, keys = (self.coded.take(torch.from_numpy(some)) for some in (open_rows, kept))
            squared[open_rows] = nearest(queries, keys, own=own).squared_distance[:, 0]
        return squared


def random_sets(
    chosen: RowSet,
    draws: int,
    seed: int,
    subsets: Draws | None = None,
    scores: Callable[[Int64Array, int], Mapping[str, float | None]] = lambda rows, seed: {},
    progress: Progress = silent,
) -> RandomSets | None:
    """Measures random subsets as large as a set; None for none, where the set is the pool or has one row.

    Args:
        chosen: the set.
        draws: how many; the same for the same seed.
        seed: of the draws.
        subsets: measures each, where there is one already.
        scores: further values of the rows of a draw, by name.
        progress: called after each draw.
    """
    if not draws or chosen.is_pool or len(chosen.rows) == 1:
        return None
    subsets = subsets or Draws(chosen, progress)
    values: dict[str, list[float]] = {}
    nearest_of_first = np.empty(0)
    for draw, drawn in enumerate(random_subsets(chosen, draws, seed)):
        distance, fill = subsets.nearest(drawn)
        nearest_of_first = distance if draw == 0 else nearest_of_first
        found: dict[str, float | None] = {
            "h_min": float(distance.min()),
            "mean_nearest": float(distance.mean()),
        }
        for name, value in {**found, "fill": fill, **scores(drawn, seed + draw)}.items():
            if value is not None:
                values.setdefault(name, []).append(value)
        progress("random subsets", draw + 1, draws)
    return RandomSets(draws, values, nearest_of_first)


def against_random(
    chosen: RowSet,
    exact: Exact,
    diversity: Diversity | None,
    clusters: PoolClusters | None,
    draws: int,
    seed: int,
    progress: Progress = silent,
) -> AgainstRandom | None:
    """Where the set falls among random subsets of its size; None as for `random_sets`.

    The distances of every draw are exact; its diversity scores are summed over 4,000,000 pairs. Cost: one
    list of the pool's nearest neighbours, and for each draw one search of a small share of rows; for sets
    below 15 % of the pool, one search of the pool over the set for each draw.
    """

    def scores(rows: Int64Array, seed: int) -> Mapping[str, float | None]:
        return cheap_scores(chosen.points.take(rows), clusters, PAIRS_PER_DRAW, seed) if clusters else {}

    found = random_sets(chosen, draws, seed, scores=scores, progress=progress)
    if found is None:
        return None
    standings = {}
    for name, higher_is_more_even in HIGHER_IS_MORE_EVEN.items():
        value = getattr(exact, name, None) if hasattr(exact, name) else getattr(diversity, name, None)
        if value is not None and len(of_draws := found.values.get(name, [])) == draws:
            standings[name] = Standing.of(value, of_draws, higher_is_more_even=higher_is_more_even)
    return AgainstRandom(draws, standings, Quantiles.of(found.nearest, NEAREST_LEVELS))
