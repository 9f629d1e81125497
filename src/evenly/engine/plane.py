"""The first two principal components of many rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from evenly.engine.blocks import ROWS_AT_ONCE, slices, steady_torch
from evenly.engine.mapped import release, tensor_of
from evenly.types import Float32Array

_SAMPLE_ROWS = 4_096


def principal_plane(vectors: Float32Array) -> Callable[[Float32Array], tuple[Float32Array, Float32Array]]:
    """Fits the first two principal components of (N, d) rows on a sample.

    Returns:
        A map from (B, d) rows to x and y, (B,) float32 each.
    """
    with steady_torch():
        sample = tensor_of(vectors[:: max(1, len(vectors) // _SAMPLE_ROWS)]).double()
        centre = sample.mean(0)
        sample -= centre
        _, basis = torch.linalg.eigh(sample.T @ sample)
        axes = basis[:, -2:].flip(1)
        # A component's sign is arbitrary: the largest entry is made positive, so that maps agree between runs.
        axes *= torch.sign(axes[axes.abs().argmax(0), torch.arange(axes.shape[1])])
        middle = (centre @ axes).float()

    def place(rows: Float32Array) -> tuple[Float32Array, Float32Array]:
        plane = np.zeros((len(rows), 2), dtype=np.float32)
        with steady_torch():
            plane[:, : axes.shape[1]] = (tensor_of(rows) @ axes.float() - middle).numpy()
        return plane[:, 0], plane[:, 1]

    return place


def principal_places(vectors: Float32Array) -> Float32Array:
    """The first two principal components of (N, d) rows, (N, 2) float32."""
    place = principal_plane(vectors)
    places = np.empty((len(vectors), 2), dtype=np.float32)
    for block in slices(len(vectors), ROWS_AT_ONCE):
        places[block] = np.stack(place(vectors[block]), axis=1)
        release(vectors)
    return places
