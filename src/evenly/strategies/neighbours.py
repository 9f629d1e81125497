"""Nearest neighbours for strategies that need similarities: float32 products, so right to about 1e-6."""

from __future__ import annotations

import torch
from torch import Tensor

from evenly.engine.blocks import Blocks, default_blocks


def nearest_neighbours(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest other rows of every row.

    Args:
        vectors: (N, d) float32.
        count: K, below N.

    Returns:
        (N, K) int64 row numbers and (N, K) float32 squared distances, nearest first. Cost: N^2 d.
    """
    squares = vectors.square().sum(1)
    index = torch.empty(len(vectors), count, dtype=torch.int64)
    squared = torch.empty(len(vectors), count)

    def work(block: slice) -> None:
        apart = squares[block, None] + squares - 2.0 * (vectors[block] @ vectors.T)
        rows = torch.arange(block.start, block.stop)
        apart[torch.arange(len(rows)), rows] = torch.inf
        found = torch.topk(apart, count, dim=1, largest=False)
        index[block], squared[block] = found.indices, found.values.clamp_(min=0.0)

    Blocks(rows=1024, threads=default_blocks(vectors.device).threads).over(len(vectors), work)
    return index, squared
