"""The pool in memory: on the processor, on a card, or with the products alone on a card.

Distances and exact sums are on the device of the vectors: main memory or a card. Products are made on a device that
may be another. Then only codes, thresholds and the few pairs that pass go to and fro, and codes for which the card has
no room stay with the vectors and are sent a block at a time.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from evenly.engine.blocks import Blocks, card_room, default_blocks, even_chunk
from evenly.engine.compiled import LOOPS, Loops
from evenly.engine.distance import ROWS_PER_SUM, block_sums, squared_distances, squared_distances_to
from evenly.engine.filter import (
    Codes,
    FilterMap,
    PickSide,
    as_integers,
    fit_map,
    largest_coordinate,
    largest_of_rows,
    missing_bits,
    product_dtype,
    worthwhile_components,
)
from evenly.engine.pool import Candidates, largest
from evenly.types import BoolArray, Float64Array, Int64Array

SAMPLE_ROWS = 4096
"""Rows from which the filter's map is fitted."""

SUMS_AT_ONCE = 4
"""Blocks of the mean that one thread adds up at a time."""

PAIRS_PER_ROW = 6
"""Exact distances to come for each row: most rows are lowered in each of the first rounds, however many follow."""

SPECTRUM_ROWS = 512
"""Rows from which it is judged how many directions the map needs."""


class MemoryPool:
    """Rows in the memory of one device.

    Args:
        vectors: (N, d) float32, kept as they are and never copied.
        first_row: pool row number of the first of them, where the rows are part of a larger pool.
        device: where products are made; None for where the vectors are.
        dtype: precision of the filter; None takes what the device multiplies faster.
        components: leading directions the filter keeps; None decides from a sample.
        mapping: the filter's map where it is fitted already, as to the whole of a larger pool.
        blocks: how the work is cut; None for what suits the devices.

    Memory beside the vectors: the codes, half the vectors' size or less, and about 70 bytes a row.
    """

    _settled_stay = 1 / 32
    """Share of settled rows that are multiplied on: to let each leave at once would cost more than it saves."""

    def __init__(
        self,
        vectors: Tensor,
        *,
        first_row: int = 0,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        components: int | None = None,
        mapping: FilterMap | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.vectors = vectors
        self.first_row = first_row
        self.rows_device = vectors.device
        self.device = device or self.rows_device
        self.blocks = blocks or default_blocks(self.device)
        self.row_blocks = blocks or default_blocks(self.rows_device)
        self._dtype = dtype or product_dtype(self.device, vectors.shape[1])
        self._components = components
        count = len(vectors)
        self._squared_distance = torch.full((count,), torch.inf, dtype=torch.float64, device=self.rows_device)
        self._keeper = torch.full((count,), -1, dtype=torch.int64, device=self.rows_device)
        self._active = torch.arange(count, device=self.rows_device)  # rows whose distance can still fall
        self._place = torch.arange(count, device=self.rows_device)  # of each row among them, or -1
        self._map = mapping
        self._codes: Codes | None = None  # of the active rows
        self._loops(PAIRS_PER_ROW * count)  # a large pool loads them now, not in the middle of a round

    @property
    def count(self) -> int:
        return len(self.vectors)

    def block_sums(self) -> Tensor:
        blocks = replace(self.row_blocks, rows=SUMS_AT_ONCE * ROWS_PER_SUM)
        return torch.cat(blocks.over(self.count, lambda block: block_sums(self.vectors[block])))

    def nearest(self, point: Tensor, among: BoolArray | None = None) -> tuple[float, int]:
        here = point.to(self.rows_device)
        squared = torch.cat(
            self.row_blocks.over(self.count, lambda block: squared_distances_to(self.vectors[block], here))
        )
        if among is not None:
            own = torch.from_numpy(among[self.first_row : self.first_row + self.count])
            squared[~own.to(self.rows_device)] = torch.inf
        row = int((squared == squared.min()).nonzero()[0])
        return float(squared[row]), self.first_row + row

    def take(self, rows: Int64Array) -> Tensor:
        return self.vectors.index_select(
            0, torch.from_numpy(rows - self.first_row).to(self.rows_device)
        ).cpu()

    def farthest(self, count: int) -> Candidates:
        squared = self._squared_distance.cpu().numpy()
        order = largest(squared, count + 1)
        order = order[squared[order] > 0]
        rows = order[:count]
        numbers = rows + self.first_row
        rest = None
        if len(order) > count:
            rest = (float(squared[order[count]]), self.first_row + int(order[count]))
        return Candidates(
            numbers, squared[rows], self.take(numbers), rest, self._codes_at(torch.from_numpy(numbers))
        )

    def cover(self, vectors: Tensor, labels: Int64Array) -> None:
        picks = vectors.to(self.rows_device)
        names = torch.from_numpy(labels).to(self.rows_device)
        if len(picks) and bool(torch.isinf(self._squared_distance).any()):
            self._cover_exactly(picks[0], names[0])
            picks, names = picks[1:], names[1:]
        at_hand = self._codes_at(names)  # now, for the picks' own rows may leave
        own = names[(names >= self.first_row) & (names < self.first_row + self.count)]
        self._squared_distance[own - self.first_row] = 0.0
        self._keeper[own - self.first_row] = own
        mapping, codes = self._current_codes()
        pick_codes = at_hand[1] if at_hand else mapping.encode(picks, self.row_blocks)
        near = pick_codes.filterable.to(self.rows_device)
        if not bool(near.all()):
            # A pick that far off ties with none that is near, so the order between the two kinds does not matter.
            for far in (~near).nonzero().flatten():
                self._cover_exactly(picks[far], names[far])
            pick_codes = pick_codes.take(near.nonzero().flatten().to(pick_codes.device))
            picks, names = picks[near], names[near]
        if len(picks):
            self._cover_filtered(mapping, codes, pick_codes, picks, names)

    def forget(self) -> None:
        # Anew, for the last cover may still be in somebody's hands.
        self._squared_distance = torch.full_like(self._squared_distance, torch.inf)
        self._keeper = torch.full_like(self._keeper, -1)
        if len(self._active) < self.count:  # codes of the rows that left are gone
            self._active = torch.arange(self.count, device=self.rows_device)
            self._place = torch.arange(self.count, device=self.rows_device)
            self._codes = None

    def cover_result(self) -> tuple[Int64Array, Float64Array]:
        return self._keeper.cpu().numpy(), self._squared_distance.cpu().numpy()

    def _codes_at(self, names: Tensor) -> tuple[FilterMap, Codes] | None:
        """The map and a copy of the codes of some rows, on the device; None where not all of them are active rows.

        Args:
            names: (R,) int64 pool row numbers.
        """
        own = names.to(self.rows_device) - self.first_row
        if self._map is None or self._codes is None or not bool(((own >= 0) & (own < self.count)).all()):
            return None
        place = self._place[own]
        if not bool((place >= 0).all()):
            return None
        return self._map, self._codes.take(place.to(self._codes.device)).to(self.device)

    def _cover_exactly(self, pick: Tensor, label: Tensor) -> None:
        """Computes the distance of every row to one pick: for the first, which has no distance to beat."""

        def work(block: slice) -> None:
            squared = squared_distances_to(self.vectors[block], pick)
            nearer = squared < self._squared_distance[block]
            self._squared_distance[block][nearer] = squared[nearer]
            self._keeper[block][nearer] = label

        self.row_blocks.over(self.count, work)

    def _cover_filtered(
        self, mapping: FilterMap, codes: Codes, pick_codes: Codes, picks: Tensor, labels: Tensor
    ) -> None:
        """Lowers the distances of all active rows; see `evenly.engine.filter` for the bound.

        Args:
            mapping: the map that made the codes.
            codes: of the active rows.
            pick_codes: of the picks, all filterable.
            picks: (P, d) float32.
            labels: (P,) int64.
        """
        chunk = even_chunk(len(picks), self.blocks.picks)
        padded = -(-len(picks) // chunk) * chunk
        side = PickSide.of(pick_codes.to(self.device), mapping.columns, padded)

        def work(block: slice) -> None:
            rows, part = self._active[block], codes[block].to(self.device)
            distance = self._squared_distance[rows].sqrt_() * mapping.scale
            threshold = side.set_thresholds(part, distance.to(self.device))
            loops = self._loops(0)
            for start in range(0, len(picks), chunk):
                some = slice(start, start + chunk)
                product = self.blocks.product(part.rows, side.matrix[:, some])
                if loops is None:
                    hit = (largest_of_rows(product) >= 0).nonzero().flatten()
                    if not len(hit):
                        continue
                    loops = self._loops(len(hit))
                if loops is not None:
                    self._lower_compiled(
                        loops, product, rows, picks[some], labels[some], part, threshold, side
                    )
                else:
                    pairs = side.nearest_possible(product, hit, part, threshold)
                    hit, where, which = (each.to(self.rows_device) for each in (hit, *pairs))
                    self._lower(rows[hit], where, which + start, picks, labels)

        self.blocks.over(len(codes), work, taper=True)

    def _loops(self, pairs: int) -> Loops | None:
        return LOOPS.for_pairs(pairs) if self.device.type == self.rows_device.type == "cpu" else None

    def _lower_compiled(
        self,
        loops: Loops,
        product: Tensor,
        rows: Tensor,
        picks: Tensor,
        labels: Tensor,
        codes: Codes,
        threshold: Tensor,
        side: PickSide,
    ) -> None:
        """`PickSide.nearest_possible` and `_lower` in one compiled loop; see `evenly.engine.compiled`."""
        loops.lower_rows(
            (as_integers(product).numpy(), missing_bits(product)),
            rows.numpy(),
            self.vectors.numpy(),
            (picks.numpy(), labels.numpy()),
            tuple(each.numpy() for each in (codes.squared_norm, codes.error, threshold)),
            side.bounds,
            self._map.scale if self._map else 1.0,
            (self._squared_distance.numpy(), self._keeper.numpy()),
        )

    def _lower(self, rows: Tensor, where: Tensor, which: Tensor, picks: Tensor, labels: Tensor) -> None:
        """Computes pairs exactly and keeps each row's nearest; the earlier pick among equals.

        Args:
            rows: (H,) int64 row numbers.
            where: (M,) int64 index into ``rows``.
            which: (M,) int64 index into ``picks``.
        """
        paired = rows[where]
        squared = torch.cat(
            self.row_blocks.over(
                len(paired), lambda some: squared_distances(self.vectors, paired[some], picks, which[some])
            )
        )
        best = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=self.rows_device)
        best.scatter_reduce_(0, where, squared, "amin")
        nearest = torch.full((len(rows),), len(picks), dtype=torch.int64, device=self.rows_device)
        equal = squared == best[where]
        nearest.scatter_reduce_(0, where[equal], which[equal], "amin")
        nearer = best < self._squared_distance[rows]
        lowered = rows[nearer]
        self._squared_distance[lowered] = best[nearer]
        self._keeper[lowered] = labels[nearest[nearer]]

    def _current_codes(self) -> tuple[FilterMap, Codes]:
        """The map and the codes of the active rows. Picked and copied rows leave; the last rows take their places."""
        self._map = self._map or self._fitted_map()
        if self._codes is None:
            self._codes = self._map.encode(self.vectors, self.row_blocks, self._codes_device(self._map))
        above = self._squared_distance[self._active] > 0
        left = int(above.sum())
        if left < (1 - self._settled_stay) * len(self._active):
            free = (~above[:left]).nonzero().flatten()
            last = above[left:].nonzero().flatten() + left
            moved = self._active[last]
            self._place[self._active[~above]] = -1
            self._place[moved] = free
            self._active[free] = moved
            self._active = self._active[:left]
            self._codes.move(last.to(self._codes.device), free.to(self._codes.device))
            self._codes = self._codes[:left]
        return self._map, self._codes

    def _codes_device(self, mapping: FilterMap) -> torch.device:
        """Where codes are kept: where products are made, if there is room for them."""
        fits = self.device.type == "cpu" or self.count * mapping.row_bytes <= card_room(self.device)
        return self.device if fits else self.rows_device

    def _fitted_map(self) -> FilterMap:
        sample = self.vectors[:: max(1, self.count // SAMPLE_ROWS)]
        components = self._components
        few = sample[:: max(1, len(sample) // SPECTRUM_ROWS)]
        if components is None and self.count >= SAMPLE_ROWS:
            components = worthwhile_components(few)
        if components is None:
            sample = few  # no more than a centre is wanted
        largest = max(self.row_blocks.over(self.count, lambda rows: largest_coordinate(self.vectors[rows])))
        return fit_map(sample, largest, dtype=self._dtype, components=components)
