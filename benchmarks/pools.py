"""Synthetic pools for the benchmarks: clusters on a curved surface of about 20 dimensions in 384, with copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def clustered_pool(
    rows: int,
    dimension: int = 384,
    *,
    intrinsic: int = 20,
    clusters: int = 200,
    copies: float = 0.01,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Unit rows that lie like sentence embeddings do: unequal clusters, few true dimensions, some exact copies.

    A latent point is a cluster centre plus a Gaussian step of a cluster's own width; a fixed random two-layer
    network bends the latent space into ``dimension`` coordinates; a little noise fills the rest.

    Args:
        rows: N.
        dimension: d.
        intrinsic: dimensions of the latent space.
        clusters: how many; their sizes fall as 1 / (number + 10).
        copies: share of rows that repeat an earlier row exactly.
        seed: of everything.

    Returns:
        (N, d) float32 of length 1.
    """
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(clusters) + 10.0)
    centres = rng.standard_normal((clusters, intrinsic))
    widths = rng.uniform(0.2, 0.8, clusters)
    hidden = rng.standard_normal((intrinsic, 256)) / np.sqrt(intrinsic)
    out = rng.standard_normal((256, dimension)) / np.sqrt(256)
    pool = np.empty((rows, dimension), dtype=np.float32)
    for start in range(0, rows, 65536):
        size = min(65536, rows - start)
        cluster = rng.choice(clusters, size, p=weights / weights.sum())
        latent = centres[cluster] + widths[cluster, None] * rng.standard_normal((size, intrinsic))
        surface = np.tanh(latent @ hidden) @ out
        surface += 0.02 * rng.standard_normal((size, dimension))
        pool[start : start + size] = surface / np.linalg.norm(surface, axis=1, keepdims=True)
    repeated = rng.choice(rows - 1, int(copies * rows), replace=False) + 1
    pool[repeated] = pool[rng.integers(0, repeated)]
    return pool
