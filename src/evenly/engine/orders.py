"""Orders made elsewhere, and distances to rows from outside: exact radii and keepers for both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import slices, steady_torch
from evenly.engine.distance import squared_distances_to
from evenly.engine.loop import close_neighbours
from evenly.engine.mapped import release
from evenly.engine.points import Points
from evenly.engine.pool import Candidates, Pool
from evenly.types import Float64Array, Int64Array, Selection, metric_distance

PICKS_AT_ONCE = 2048
"""Picks per block: their own pairs are millions at most."""


def selection_of(
    points: Points,
    picks: Int64Array,
    *,
    asked: int | None = None,
    exhausted: bool = False,
    anchors: Points | None = None,
) -> Selection:
    """The selection that an order makes, whatever made the order.

    Args:
        points: the pool.
        picks: (k,) int64, different rows.
        asked: picks asked for; None for as many as there are.
        exhausted: whether rows ran out.
        anchors: rows that count as kept before the first pick.

    Returns:
        The selection, exact: radii to the nearest earlier pick or anchor, keepers of all rows. Cost: one
        low-precision product of the pool with the picks.
    """
    with steady_torch(), points.open() as pool:
        if anchors is not None:
            cover_outside(pool, anchors)
        squared_radii = cover_in_order(pool, picks)
        keeper, squared = pool.cover_result()
    return Selection(
        rows=np.asarray(picks, dtype=np.int64),
        radii=metric_distance(squared_radii, points.metric),
        keeper=keeper,
        keeper_distance=metric_distance(squared, points.metric),
        metric=points.metric,
        asked=len(picks) if asked is None else asked,
        exhausted=exhausted,
    )


def nearest_of(points: Points, others: Points) -> tuple[Int64Array, Float64Array]:
    """For every row the nearest of some rows from outside: (N,) int64 their numbers, (N,) float64 distances.

    Exact; the lowest number among equals. Cost: one low-precision product of the two.
    """
    with steady_torch(), points.open() as pool:
        cover_outside(pool, others)
        keeper, squared = pool.cover_result()
    return keeper - len(points), metric_distance(squared, points.metric)


def cover_outside(pool: Pool, others: Points) -> None:
    """Covers a pool with rows from outside, which are numbered from N on."""
    for part in slices(len(others), PICKS_AT_ONCE):
        pool.cover(others.tensor[part], np.arange(part.start, part.stop) + pool.count)
        release(others.vectors)


def cover_in_order(pool: Pool, picks: Int64Array) -> Float64Array:
    """Covers a pool with rows in any order; returns each one's squared distance to the nearest covered before it.

    Args:
        pool: what covered it before counts as earlier.
        picks: (k,) int64, different rows.

    Returns:
        (k,) float64, exact; infinite for a first without any earlier. Cost: one product of the pool with the picks.
    """
    squared_radii = np.empty(len(picks))
    for at in range(0, len(picks), PICKS_AT_ONCE):
        part = picks[at : at + PICKS_AT_ONCE]
        _, squared = pool.cover_result()
        vectors = pool.take(part)
        squared_radii[at : at + len(part)] = _radii_within(vectors, part, squared[part])
        pool.cover(vectors, part)
    return squared_radii


def _radii_within(vectors: Tensor, part: Int64Array, squared: Float64Array) -> Float64Array:
    """Lowers squared distances of some rows by those to the earlier ones among them."""
    found = squared.copy()
    if not np.isfinite(found).all():  # nothing is covered yet: the distances to the first bound all others
        found = np.minimum(found, squared_distances_to(vectors, vectors[0]).numpy())
        found[0] = squared[0]
    reach = np.where(np.isfinite(found), found, found[np.isfinite(found)].max(initial=0.0))
    order = np.lexsort((part, -reach))
    neighbours = close_neighbours(
        Candidates(part[order], reach[order], vectors[torch.from_numpy(order)], None)
    )
    places = order.tolist()
    for index, place in enumerate(places):
        for neighbour, distance in neighbours.of(index):
            if places[neighbour] < place and distance < found[place]:
                found[place] = distance
    return found
