"""The pool on disk: vectors in a mapped file, taken a shard at a time, within a memory budget.

What stays in memory for every row is its distance, its keeper and the norms of its code, about 70 bytes. Codes stay
as far as the budget allows; those of the other shards go to a scratch file. A round is one pass over the codes in
row order, and reads only those vectors whose distance may fall. After each shard the memory of its mapped pages is
given back, so that it is never more than one shard's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import slices
from evenly.engine.distance import ROWS_PER_SUM
from evenly.engine.filter import Codes, FilterMap, code_width, fit_map, worthwhile_components
from evenly.engine.loop import MOST_AT_MOST
from evenly.engine.mapped import release, tensor_of
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Pool
from evenly.engine.sharded import Answer, ShardedPool
from evenly.errors import InputError
from evenly.files import scratch_stream
from evenly.types import Float32Array
from evenly.words import size

BYTES_PER_ROW = 80
"""Kept for every row whatever its width: distance, keeper, norms and errors of its code, and the result."""

FIXED_BYTES = 256 << 20
"""Pairs of the candidates of a round, and the blocks at work."""

ROWS_AT_ONCE = 16 * ROWS_PER_SUM
"""Rows of a pass that does no more than read."""

SAMPLE_ROWS = 2048
"""Rows from which the map and its components are fitted; their own pairs, 16 MB of float32, say how far neighbours
are."""


PICKS_KEPT = ". The picks so far are kept"


def code_bytes(dimension: int) -> int:
    """Bytes of a row's code, at most: bfloat16 coordinates and the columns that carry two squares."""
    return 2 * code_width(dimension)


def round_bytes(rows: int, dimension: int) -> int:
    """Bytes of a round beside the pool: vectors of the candidates, as offered, joined and coded, and `FIXED_BYTES`."""
    return FIXED_BYTES + 8 * 4 * dimension * min(rows, MOST_AT_MOST)


@dataclass(frozen=True)
class DiskShares:
    """How a pool on disk shares out its memory.

    Attributes:
        shard_rows: rows at work at once, a multiple of `ROWS_PER_SUM`.
        resident_codes: rows whose codes stay in memory.
    """

    shard_rows: int
    resident_codes: int

    def scaled(self, share: float) -> DiskShares:
        """For a pool of that share of the rows: shards as large, and as many of them with their codes in memory."""
        return replace(self, resident_codes=int(self.resident_codes * share))


def least_memory(rows: int, dimension: int) -> int:
    """The smallest budget in bytes that a pool on disk runs in."""
    return round_bytes(rows, dimension) + BYTES_PER_ROW * rows + 4 * ROWS_PER_SUM * _bytes_at_work(dimension)


def share_out(rows: int, dimension: int, memory: int) -> DiskShares:
    """Shares a budget between the shard at work, a quarter of what is free, and codes that stay.

    Raises:
        InputError: less than `least_memory`.
    """
    least = least_memory(rows, dimension)
    if memory < least:
        raise InputError(
            f"{rows:,} rows of {dimension} numbers need at least {size(least)} for selection, and `memory` allows "
            f"{size(memory)}: raise it, or spread them over machines with `engine=ray`"
        )
    free = memory - round_bytes(rows, dimension) - BYTES_PER_ROW * rows
    blocks_at_once = free // 4 // (ROWS_PER_SUM * _bytes_at_work(dimension))
    shard_rows = ROWS_PER_SUM * int(min(blocks_at_once, -(-rows // ROWS_PER_SUM)))
    left = free - shard_rows * _bytes_at_work(dimension)
    return DiskShares(shard_rows, int(left // code_bytes(dimension)))


def _bytes_at_work(dimension: int) -> int:
    """Bytes per row of a shard at work: its mapped vectors, and its codes, twice as they go to a scratch file."""
    return 4 * dimension + 2 * code_bytes(dimension)


class DiskPool(ShardedPool):
    """Shards over one mapped array of rows, one at work at a time.

    Args:
        vectors: (N, d) float32, memory-mapped.
        shares: from `share_out`.
        scratch: folder for codes that do not fit.
        device: where products are made; codes are sent to a card a block at a time.
    """

    def __init__(
        self, vectors: Float32Array, shares: DiskShares, scratch: Path, device: torch.device | None = None
    ) -> None:
        mapping = _fitted_map(vectors)
        shards = []
        for part in slices(len(vectors), shares.shard_rows):
            store = None if part.stop <= shares.resident_codes else scratch
            shards.append(_StoredShard(vectors[part], part.start, mapping, store, device))
        super().__init__(shards)

    def _ask_one(self, number: int, question: Callable[[Pool], Answer]) -> Answer:
        shard = self._shards[number]
        answer = question(shard)
        if isinstance(shard, _StoredShard):
            shard.put_away()
        return answer


class _StoredShard(MemoryPool):
    """A memory pool over mapped rows that can give back its memory between two questions.

    Args:
        rows: (A, d) float32, mapped.
        first_row: their pool row number.
        mapping: of the whole pool.
        scratch: folder for the codes; None keeps them in memory.
        device: where products are made.
    """

    _settled_stay = 1 / 8  # when rows leave, the stored codes are written anew

    def __init__(
        self,
        rows: Float32Array,
        first_row: int,
        mapping: FilterMap,
        scratch: Path | None,
        device: torch.device | None,
    ) -> None:
        super().__init__(tensor_of(rows), first_row=first_row, mapping=mapping, device=device)
        self._rows = rows
        self._scratch = scratch
        self._stored: Any = None  # the codes' bits on disk, mapped copy-on-write

    def _codes_device(self, mapping: FilterMap) -> torch.device:
        return self.rows_device

    def _codes_at(self, names: Tensor) -> tuple[FilterMap, Codes] | None:
        return None  # codes in a scratch file are read in row order, once a round; others are made anew

    def forget(self) -> None:
        super().forget()
        if self._codes is None:
            self._stored = None

    def put_away(self) -> None:
        """Gives back the memory of mapped pages, after moving new codes to a scratch file."""
        release(self._rows)
        if self._scratch is None or self._codes is None or not len(self._codes):
            return
        if self._stored is None or len(self._codes) < len(self._stored):
            self._stored = _stored_bits(self._codes.rows, self._scratch)
            self._codes = replace(
                self._codes, rows=torch.from_numpy(self._stored).view(self._codes.rows.dtype)
            )
        # Thresholds that were written among the codes go with the pages: each cover writes them anew.
        release(self._stored)


def _fitted_map(vectors: Float32Array) -> FilterMap:
    """The filter's map for all shards, from one pass: a sample spread over the pool, and its largest number."""
    step = max(1, len(vectors) // SAMPLE_ROWS)
    sampled, largest = [], 0.0
    for block in slices(len(vectors), ROWS_AT_ONCE):
        rows = vectors[block]
        sampled.append(rows[-block.start % step :: step].copy())
        largest = max(largest, float(rows.max()), -float(rows.min()))
        release(vectors)
    sample = torch.from_numpy(np.concatenate(sampled))
    components = worthwhile_components(sample) if len(sample) >= SAMPLE_ROWS else None
    return fit_map(sample, largest, dtype=torch.bfloat16, components=components)


def _stored_bits(codes: Tensor, scratch: Path) -> Any:
    """The bits of codes in a file without a name, which vanishes with the process, mapped copy-on-write."""
    bits = codes.view(torch.int16).numpy()
    with scratch_stream(scratch, PICKS_KEPT) as file:
        file.write(bits.data)
        file.flush()
        return np.memmap(file, bits.dtype, "c", 0, bits.shape)


def scratch_rows(rows: int, dimension: int, scratch: Path) -> Float32Array:
    """Room for (N, d) float32 rows in a file without a name, which vanishes with the process.

    The room is taken at once, for a disk that filled later would end the process.
    """
    with scratch_stream(scratch, PICKS_KEPT) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, 4 * rows * dimension)
        return np.memmap(file, "<f4", "r+" if hasattr(os, "posix_fallocate") else "w+", 0, (rows, dimension))
