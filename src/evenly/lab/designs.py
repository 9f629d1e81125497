"""Point sets in the cube [-1, 1]^d: even, random, biased, clumped, with near copies, and adversarial."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import qmc

from evenly.types import Float64Array, Int64Array

Generator = np.random.Generator
Design = Callable[[Generator, int, int], Float64Array]
"""Draws ``count`` points of ``dimension`` numbers: ``design(random, count, dimension)``."""


def generator(*key: int) -> Generator:
    """The random numbers of one experiment's part, named by whole numbers: the same key, the same numbers."""
    return np.random.default_rng(list(key))


def uniform(random: Generator, count: int, dimension: int) -> Float64Array:
    """Independent uniform points, (count, dimension)."""
    return random.uniform(-1.0, 1.0, (count, dimension))


def even(random: Generator, count: int, dimension: int, crowd: int) -> Float64Array:
    """The first ``count`` points of the max-min order over ``crowd`` times as many uniform ones."""
    pool = uniform(random, crowd * count, dimension)
    return pool[max_min(pool, count)]


def biased(random: Generator, count: int, dimension: int, power: float) -> Float64Array:
    """Points drawn towards the corner (-1, …, -1): coordinates 2 u^power - 1, uniform at power 1."""
    return 2.0 * random.uniform(0.0, 1.0, (count, dimension)) ** power - 1.0


def clusters(random: Generator, count: int, dimension: int, centres: int, width: float) -> Float64Array:
    """Normal clumps of standard deviation ``width`` about uniform centres, folded back into the cube."""
    centre = uniform(random, centres, dimension)[random.integers(centres, size=count)]
    return _fold(centre + width * random.standard_normal((count, dimension)))


def sobol(random: Generator, count: int, dimension: int) -> Float64Array:
    """Scrambled Sobol points, (count, dimension): the first ``count`` of a full power of two."""
    engine = qmc.Sobol(dimension, scramble=True, rng=random)
    points: Float64Array = engine.random_base2(max(1, int(np.ceil(np.log2(count)))))
    return 2.0 * points[:count] - 1.0


def near_copies(
    random: Generator, count: int, dimension: int, *, pairs: int, distance: float, apart: bool = True
) -> Float64Array:
    """``count`` points, the first 2 * pairs of them near copies: points 2i and 2i + 1 lie ``distance`` apart.

    The points that are not copies are max-min among themselves where ``apart``, so that nothing else is close.
    """
    distinct = count - pairs
    base = even(random, distinct, dimension, 8) if apart else uniform(random, distinct, dimension)
    direction = random.standard_normal((pairs, dimension))
    direction *= distance / np.linalg.norm(direction, axis=1, keepdims=True)
    points = np.empty((count, dimension))
    points[0 : 2 * pairs : 2] = base[:pairs]
    points[1 : 2 * pairs : 2] = base[:pairs] + direction
    points[2 * pairs :] = base[pairs:]
    return points


def one_duplicate(points: Float64Array, distance: float) -> Float64Array:
    """The same points, the last moved to ``distance`` from the first: a small h_min, almost the same fill."""
    moved = points.copy()
    moved[-1] = moved[0]
    moved[-1, 0] += distance if moved[0, 0] < 0 else -distance
    return moved


def corner_lattice(count: int, dimension: int, side: float) -> Float64Array:
    """A lattice in the corner cube of the given side: the h_min of an even set there, the fill of none."""
    return lattice(int(np.ceil(count ** (1.0 / dimension))), dimension, side)[:count]


def lattice(per_axis: int, dimension: int, side: float = 2.0) -> Float64Array:
    """``per_axis`` ^ dimension points on the whole cube, or on a corner cube of the given side."""
    axis = np.linspace(-1.0, -1.0 + side, per_axis)
    return np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)


def max_min(pool: Float64Array, keep: int) -> Int64Array:
    """The rows of the greedy max-min order of ``keep`` picks over the pool."""
    from evenly.engine.greedy import select

    rows: Int64Array = select(pool, keep=keep, metric="euclidean").rows
    return rows


def clumped(random: Generator, pool: Float64Array, keep: int) -> Int64Array:
    """The paper's control: half of ``keep`` at random, half the rows nearest to those already kept."""
    first = random.choice(len(pool), size=keep - keep // 2, replace=False)
    rest = np.setdiff1d(np.arange(len(pool)), first)
    nearest = cdist(pool[rest], pool[first]).min(axis=1)
    close = rest[np.argsort(nearest, kind="stable")[: keep // 2]]
    return np.concatenate([first, close]).astype(np.int64)


def _fold(points: Float64Array) -> Float64Array:
    """Reflects coordinates outside the cube back into it."""
    return 1.0 - np.abs((points + 1.0) % 4.0 - 2.0)
