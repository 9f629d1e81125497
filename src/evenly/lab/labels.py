"""Labels on points: smooth, independent, mixed; and how rough labels are, as the data alone says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from evenly.errors import InputError
from evenly.lab.designs import Generator
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


def draw_labels(model: str, random: Generator, points: Float64Array) -> Float64Array:
    """Labels (N,) of mean 0 and variance 1 over the points: smooth, independent normal, or half of each."""
    if model not in LABEL_MODELS:
        raise InputError(f"label model {model!r} is not known; use {', '.join(LABEL_MODELS)}")
    smooth = standardise(smooth_target(random, points.shape[1])(points))
    noise = standardise(random.standard_normal(len(points)))
    share = {"smooth": 0.0, "mixed": 0.5, "independent": 1.0}[model]
    return standardise(np.sqrt(1.0 - share) * smooth + np.sqrt(share) * noise)


def standardise(values: Float64Array) -> Float64Array:
    """Mean 0 and variance 1."""
    centred = values - values.mean()
    standard: Float64Array = centred / np.sqrt(np.mean(centred**2))
    return standard


def roughness(points: Float64Array, labels: Float64Array) -> float:
    """rho = mean (y_i - y_nn(i))^2 / (2 var y): near 0 for smooth labels, near 1 for independent ones."""
    from scipy.spatial import cKDTree

    neighbour = cKDTree(points).query(points, k=2)[1][:, 1]
    return float(np.mean((labels - labels[neighbour]) ** 2) / (2.0 * np.var(labels)))
