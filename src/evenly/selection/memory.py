"""The pool in memory: vectors and their codes on one device, both cores or the whole card at work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenly.selection.distance import block_sums, squared_distances, squared_distances_to
from evenly.selection.filter import Codes, FilterMap, PickBounds, fit_map, passes, pick_side, set_thresholds
from evenly.selection.pool import Candidates
from evenly.types import Float64Array, Int64Array


@dataclass(frozen=True)
class Tiles:
    """How the work is cut. Changes the time and never the result.

    Attributes:
        rows: rows of a product tile.
        picks: columns of a product tile; 1024 x 1024 bfloat16 fills a core's second-level cache.
        threads: tiles at work at once.
    """

    rows: int = 1024
    picks: int = 1024
    threads: int = 1


def default_tiles(device: torch.device) -> Tiles:
    return Tiles(rows=32768, picks=4096) if device.type == "cuda" else Tiles(threads=len(os.sched_getaffinity(0)))


class MemoryPool:
    """Rows in one memory.

    Args:
        vectors: (N, d) float32, kept as they are and never copied.
        dtype: precision of the filter; None takes bfloat16 where this processor multiplies it faster.
        components: leading directions the filter keeps; None decides from a sample.
        tiles: how the work is cut; None for what suits the device.

    Memory beside the vectors: the codes, half the vectors' size or less, and 40 bytes a row.
    """

    def __init__(
        self,
        vectors: Tensor,
        *,
        dtype: torch.dtype | None = None,
        components: int | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        self.vectors = vectors
        self.device = vectors.device
        self.tiles = tiles or default_tiles(self.device)
        self.dtype = dtype or torch.bfloat16
        count = len(vectors)
        self.squared_distance = torch.full((count,), torch.inf, dtype=torch.float64, device=self.device)
        self.label = torch.full((count,), -1, dtype=torch.int64, device=self.device)
        self.open = torch.ones(count, dtype=torch.bool, device=self.device)
        self.active = torch.arange(count, device=self.device)
        self._map: FilterMap | None = None
        self._codes: Codes | None = None
        self._workers = ThreadPoolExecutor(self.tiles.threads, initializer=torch.set_num_threads, initargs=(1,))
        self.checked = 0
        self.flagged = 0

    @property
    def count(self) -> int:
        return len(self.vectors)

    def block_sums(self) -> Tensor:
        return block_sums(self.vectors)

    def nearest(self, point: Tensor) -> tuple[float, int]:
        squared = squared_distances_to(self.vectors, point.to(self.device))
        row = int((squared == squared.min()).nonzero()[0])
        return float(squared[row]), row

    def vector(self, row: int) -> Tensor:
        return self.vectors[row : row + 1].cpu()

    def farthest(self, count: int) -> Candidates:
        # A picked or copied row has distance 0; "open" rows above 0 are those one may still choose.
        distance = torch.where(self.open, self.squared_distance, -1.0)
        order = farthest_order(distance, count + 1)
        order = order[distance[order] > 0]
        rest = None
        if len(order) > count:
            last = int(order[count])
            rest = (float(distance[last]), last)
        rows = order[:count]
        return Candidates(
            rows.cpu().numpy(), distance[rows].cpu().numpy(), self.vectors.index_select(0, rows).cpu(), rest
        )

    def cover(self, vectors: Tensor, labels: Int64Array) -> None:
        picks = vectors.to(self.device)
        names = torch.from_numpy(labels).to(self.device)
        if len(picks) and bool(torch.isinf(self.squared_distance[:1])):
            self._cover_first(picks[:1], names[:1])
            picks, names = picks[1:], names[1:]
        if len(picks):
            self._cover_filtered(picks, names)
        own = torch.from_numpy(labels[labels < self.count]).to(self.device)
        self.squared_distance[own] = 0.0
        self.label[own] = own
        self.open[own] = False

    def cover_result(self) -> tuple[Int64Array, Float64Array]:
        return self.label.cpu().numpy(), self.squared_distance.cpu().numpy()

    def _cover_first(self, pick: Tensor, label: Tensor) -> None:
        """The first pick has no distance to beat: every row is computed."""

        def work(block: slice) -> None:
            self.squared_distance[block] = squared_distances_to(self.vectors[block], pick[0])

        self._each_block(self.count, work)
        self.label[:] = label

    def _cover_filtered(self, picks: Tensor, labels: Tensor) -> None:
        codes = self._compacted_codes()
        image = self._map
        assert image is not None
        pick_codes = image.encode(picks)
        bounds = PickBounds.of(pick_codes)
        columns = image.columns
        side = pick_side(pick_codes, columns).T

        def work(block: slice) -> None:
            self._cover_block(block, codes, columns, image.scale, picks, labels, side, bounds)

        self._each_block(len(codes), work)

    def _cover_block(
        self,
        block: slice,
        codes: Codes,
        columns: int,
        scale: float,
        picks: Tensor,
        labels: Tensor,
        side: Tensor,
        bounds: PickBounds,
    ) -> None:
        """Lowers the distances of one block of active rows. See `evenly.selection.filter` for the bound."""
        rows = self.active[block]
        block_codes = Codes(codes.rows[block], codes.squared_norm[block], codes.error[block], codes.rest[block])
        distance = self.squared_distance[rows].sqrt_() * scale
        threshold = set_thresholds(block_codes, columns, distance, bounds)
        for start in range(0, len(picks), self.tiles.picks):
            chunk = slice(start, start + self.tiles.picks)
            product = torch.mm(block_codes.rows, side[:, chunk])
            hit = passes(product)
            if not len(hit):
                continue
            self.flagged += len(hit)
            possible = nearest_possible(product[hit], hit, block_codes, threshold, bounds, columns)
            where, which = possible.nonzero(as_tuple=True)
            self._lower(rows[hit], where, which + start, picks, labels)

    def _lower(self, rows: Tensor, where: Tensor, which: Tensor, picks: Tensor, labels: Tensor) -> None:
        """Computes pairs exactly and keeps each row's nearest; the earlier pick among equals.

        Args:
            rows: (H,) int64 row numbers.
            where: (M,) int64 index into ``rows``, ascending.
            which: (M,) int64 index into ``picks``.
        """
        self.checked += len(where)
        squared = squared_distances(self.vectors, rows[where], picks, which)
        best = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=self.device)
        best.scatter_reduce_(0, where, squared, "amin")
        winner = torch.full((len(rows),), len(picks), dtype=torch.int64, device=self.device)
        ties = squared == best[where]
        winner.scatter_reduce_(0, where[ties], which[ties], "amin")
        nearer = best < self.squared_distance[rows]
        lowered = rows[nearer]
        self.squared_distance[lowered] = best[nearer]
        self.label[lowered] = labels[winner[nearer]]

    def _compacted_codes(self) -> Codes:
        """Codes of the rows whose distance can still fall; drops the others once they are one in eight."""
        if self._codes is None:
            self._map = self._fit()
            self._codes = self._encode_all()
        alive = self.squared_distance[self.active] > 0
        if int(alive.sum()) < 0.875 * len(self.active):
            kept = alive.nonzero().flatten()
            self.active = self.active[kept]
            self._codes = self._codes.take(kept)
        return self._codes

    def _fit(self) -> FilterMap:
        step = max(1, self.count // 4096)
        sample = self.vectors[::step]
        centre = sample.double().mean(0)
        longest = float((sample.double() - centre).square_().sum(1).max().sqrt())
        return fit_map(sample, longest, centre, self.dtype, None)

    def _encode_all(self) -> Codes:
        image = self._map
        assert image is not None
        codes = Codes(
            torch.empty(self.count, image.width, dtype=image.dtype, device=self.device),
            *(torch.empty(self.count, dtype=torch.float64, device=self.device) for _ in range(3)),
        )

        def work(block: slice) -> None:
            part = image.encode(self.vectors[block])
            codes.rows[block], codes.squared_norm[block] = part.rows, part.squared_norm
            codes.error[block], codes.rest[block] = part.error, part.rest

        self._each_block(self.count, work)
        return codes

    def _each_block(self, count: int, work: Callable[[slice], None]) -> None:
        for _ in self._workers.map(work, blocks(count, self.tiles.rows)):
            pass


def blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def farthest_order(distance: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` largest values, largest first, lowest index among equals: (N,) to (count,)."""
    count = min(count, len(distance))
    least = torch.topk(distance, count, sorted=False).values.min()
    above = (distance > least).nonzero().flatten()
    equal = (distance == least).nonzero().flatten()[: count - len(above)]
    chosen = torch.cat([above, equal]).sort().values
    return chosen[torch.argsort(distance[chosen], descending=True, stable=True)]


def nearest_possible(
    product: Tensor, hit: Tensor, codes: Codes, threshold: Tensor, picks: PickBounds, columns: int
) -> Tensor:
    """Which pairs of the passing rows could be a row's nearest pick of this tile.

    The pair with the largest product has an upper bound on its distance; a pair whose lower bound is above it
    cannot be nearest.

    Args:
        product: (H, P) of the filter dtype, the left side of equation (2).
        hit: (H,) int64, which rows of the block these are.
        threshold: (A,) float64, as carried.

    Returns:
        (H, P) bool.
    """
    value = product.float()
    squared_norm, carried = codes.squared_norm[hit], threshold[hit]
    error = codes.error[hit] + picks.error
    best = value.amax(1).double()
    # The product is rounded to bfloat16 on output: 2^-8 of its size. Its sum was off by at most the slack.
    slack = ((squared_norm.sqrt() * picks.norm + picks.norm**2 + carried.abs()) * ((columns + 6) * 2.0**-22)) + 1e-30
    farthest = squared_norm - 2 * (best - best.abs() * 2.0**-8 - slack + carried) + 4 * codes.rest[hit] * picks.rest
    reach = farthest.clamp_(min=0.0).sqrt_() + 2 * error
    least = (squared_norm - reach * reach) * 0.5 - carried - slack
    least = torch.minimum(least, best) 
    least -= least.abs() * 2.0**-7
    return value >= torch.clamp(least, min=0.0).float().nextafter(torch.tensor(-torch.inf))[:, None]
