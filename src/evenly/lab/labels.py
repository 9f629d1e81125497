"""Labels on points: smooth, independent, mixed; and how rough labels are, as the data alone says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from evenly.errors import InputError
from evenly.lab.designs import Generator
from evenly.lab.geometry import nearest_other
from evenly.measures.roughness import roughness_over
from evenly.types import Float64Array

LabelModel = Literal["smooth", "mixed", "independent"]
Target = Callable[[Float64Array], Float64Array]
LABEL_MODELS: tuple[LabelModel, ...] = get_args(LabelModel)


def smooth_target(random: Generator, dimension: int, *, waves: int = 6, frequency: float = 2.0) -> Target:
    """A random smooth function of about unit variance: ``waves`` cosines of frequency about ``frequency``."""
    direction = frequency * random.standard_normal((waves, dimension)) / np.sqrt(dimension)
    phase = random.uniform(0.0, 2.0 * np.pi, waves)
    weight = random.standard_normal(waves)
    weight *= np.sqrt(2.0) / np.linalg.norm(weight)

    def target(points: Float64Array) -> Float64Array:
        values: Float64Array = np.cos(points @ direction.T + phase) @ weight
        return values

    return target


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels on points, and the part of them that a function of the point can give.

    Attributes:
        values: (N,) labels of mean 0 and variance 1 over the points.
        clean: maps any points (M, d) to their labels without the independent part; 0 for independent labels.
    """

    values: Float64Array
    clean: Target


def draw_labels(model: str, random: Generator, points: Float64Array) -> Labels:
    """Labels of the points under a label model: smooth, independent normal, or half of the variance each."""
    if model not in LABEL_MODELS:
        raise InputError(f"label model {model!r} is not known; use {', '.join(LABEL_MODELS)}")
    target = smooth_target(random, points.shape[1])
    noise = standardise(random.standard_normal(len(points)))
    share = {"smooth": 0.0, "mixed": 0.5, "independent": 1.0}[model]
    on_points = target(points)
    slope = np.sqrt(1.0 - share) / on_points.std()
    drawn = slope * (on_points - on_points.mean()) + np.sqrt(share) * noise
    scale = drawn.std()  # not 1 where target and noise happen to correlate

    def clean(places: Float64Array) -> Float64Array:
        values: Float64Array = slope / scale * (target(places) - on_points.mean())
        return values

    return Labels(drawn / scale, clean)


def standardise(values: Float64Array) -> Float64Array:
    """Mean 0 and variance 1."""
    centred = values - values.mean()
    standard: Float64Array = centred / np.sqrt(np.mean(centred**2))
    return standard


def roughness(points: Float64Array, labels: Float64Array) -> float:
    """rho = mean |y_i - y_nn(i)|^2 / (2 var y): near 0 for smooth labels, near 1 for independent ones.

    Args:
        points: (N, d).
        labels: (N,) numbers, or (N, e) vectors such as embedded responses; var y is then their total variance.
    """
    return roughness_over(nearest_other(points)[1], labels)
