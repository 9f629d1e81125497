"""Rows laid out on a plane so that near rows lie near one another: t-SNE from exact neighbours.

Each row is drawn to its nearest rows and pushed away by all others (van der Maaten & Hinton, JMLR 9, 2008). The
neighbours are exact and count alike, as Böhm, Berens & Kobak (JMLR 23, 2022) found to serve as well as weights fitted
to a perplexity. The push of all rows on all is a convolution: rows are spread over a grid, multiplied by the kernel in
Fourier space, and read off again (Linderman et al., Nature Methods 16, 2019; here with the kernel's own gradient, so
that one charge is enough). Step sizes are those of Belkina et al. (Nature Communications 10, 2019).

Everything is added up in a fixed order, so one machine gives one map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import on_all_cores, steady_torch
from evenly.engine.copies import first_equal_rows
from evenly.engine.mapped import tensor_of
from evenly.engine.neighbours import nearest
from evenly.engine.plane import principal_plane
from evenly.engine.points import Points
from evenly.types import Float32Array, Int64Array, Progress, silent

NEIGHBOURS = 15
"""Rows that each is drawn to: as many as UMAP takes by default."""

FEWEST_ROWS = 100
"""Distinct rows below which there is no neighbourhood to keep: 15 neighbours would be a good part of all."""

STEPS = 300
EARLY_STEPS = 100
"""Steps in which rows are drawn `EXAGGERATION` times as much, to find their region. On alpaca_data 200 steps keep 0.365
of the 15 nearest, 300 0.388, 400 0.408."""

EXAGGERATION = 12.0
"""As in the papers above; so many rows are one step size, too."""

LONGEST_STEP = 4.0
"""Along each axis, some ten times what a step of a settled map is: few rows would fly apart before their gains fall."""

CELL = 0.5
"""Width of a grid cell, where the kernel falls to a half within 1."""

FEWEST_CELLS = 64
"""Cells along the map while it is still small."""

REFERENCES = 3
"""Rows of a sample between which a row that was not laid out is placed."""

CHECKED_ROWS = 2_000
"""Rows of which it is measured how many neighbours they keep: right to 0.003 (standard error)."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A map of N rows.

    Attributes:
        places: (N, 2) float32.
        laid_out: rows that were laid out by their neighbours; the others were placed beside the nearest of them.
        shared: of the 15 nearest of those rows, the share that is among the 15 nearest on the map; by a sample.
    """

    places: Float32Array
    laid_out: int
    shared: float


def neighbour_layout(
    points: Points, sample: Int64Array | None = None, progress: Progress = silent
) -> Layout | None:
    """Lays rows out by their nearest neighbours.

    Args:
        points: N rows. Equal rows have equal places.
        sample: ascending numbers of the rows that are laid out; the others are placed between the nearest of them. None
            lays out all.
        progress: called as neighbours are found and as steps are made.

    Returns:
        The layout; None where fewer than `FEWEST_ROWS` distinct rows would be laid out. Cost: one low-precision product
        of the M rows laid out with themselves, one of the others with them, and 300 steps linear in M.
    """
    chosen = points.distinct
    if sample is not None:
        chosen = sample[np.flatnonzero(first_equal_rows(points.vectors[sample]) == np.arange(len(sample)))]
    if len(chosen) < FEWEST_ROWS:
        return None
    coded = points.coded_of(chosen)
    found = nearest(
        coded, coded, NEIGHBOURS, own=np.arange(len(chosen)), progress=progress, stage="map: neighbours"
    )
    start = np.stack(principal_plane(points.vectors)(points.take(chosen).numpy()), axis=1)
    laid_out = _moved(found.index, start, progress)
    places = np.empty((len(points), 2), dtype=np.float32)
    places[chosen] = laid_out
    if sample is None:
        places = places[points.first_equal]
    else:
        rest = np.setdiff1d(np.arange(len(points)), chosen)
        places[rest] = _between(points, rest, chosen, laid_out, progress)
    return Layout(places, len(points) if sample is None else len(sample), shared(found.index, laid_out))


def shared(neighbours: Int64Array, places: Float32Array) -> float:
    """The share of true neighbours, (N, K) row numbers, that are among the K nearest on the map; by at most
    `CHECKED_ROWS` rows drawn at random."""
    count, wanted = neighbours.shape
    rows = np.random.default_rng(0).permutation(count)[:CHECKED_ROWS]
    plane = tensor_of(places)
    kept = 0
    with steady_torch():
        for part in np.array_split(rows, -(-len(rows) // 256)):
            away = torch.cdist(plane[part], plane)
            away[torch.arange(len(part)), torch.from_numpy(part)] = torch.inf
            near = away.topk(wanted, largest=False).indices.numpy()
            kept += int((near[:, :, None] == neighbours[part][:, None, :]).sum())
    return float(kept / (len(rows) * wanted))


def _between(
    points: Points, rows: Int64Array, chosen: Int64Array, laid_out: Float32Array, progress: Progress
) -> Float32Array:
    """Places of some rows: the mean of those of the nearest rows laid out, each by one over its distance."""
    found = nearest(
        points.coded_of(rows), points.coded_of(chosen), REFERENCES, progress=progress, stage="map: the rest"
    )
    away = np.sqrt(found.squared_distance)
    weight = 1.0 / np.maximum(away, 1e-3 * away[:, -1:] + 1e-12)  # a copy lies where its row lies
    weight /= weight.sum(axis=1, keepdims=True)
    between: Float32Array = (laid_out[found.index] * weight[:, :, None]).sum(axis=1).astype(np.float32)
    return between


def _moved(neighbours: Int64Array, start: Float32Array, progress: Progress) -> Float32Array:
    """(N, 2) places after all steps, from (N, K) neighbours and (N, 2) places to begin with."""
    count = len(neighbours)
    pull, push = _Pull(neighbours), _Push()
    # So small that the kernel is flat: at first only the pull and the starting order matter.
    places: Float32Array = start / max(float(start[:, 0].std()), 1e-12) * np.float32(0.01)
    speed, gain = np.zeros_like(places), np.ones_like(places)
    with steady_torch():
        for step in range(STEPS):
            early = step < EARLY_STEPS
            drawn, pushed = on_all_cores(partial(_forces, places), [pull, push])
            slope = 4 * (drawn * (EXAGGERATION if early else 1.0) - pushed)
            rate = count / EXAGGERATION if early else count
            # Jacobs' rule: faster where the direction stays, slower where it turns.
            gain = np.maximum(np.where((slope > 0) == (speed > 0), gain * 0.8, gain + 0.2), 0.01)
            speed = (0.5 if early else 0.8) * speed - np.float32(rate) * gain * slope
            speed = np.clip(speed, -LONGEST_STEP, LONGEST_STEP).astype(np.float32)
            places = (places + speed).astype(np.float32)
            progress("map: layout", step + 1, STEPS)
    centred: Float32Array = places - places.mean(axis=0)
    return centred


def _forces(places: Float32Array, of: _Pull | _Push) -> Float32Array:
    return of.forces(places)


class _Pull:
    """What draws each row to its neighbours, and to those whose neighbour it is."""

    def __init__(self, neighbours: Int64Array) -> None:
        count, wanted = neighbours.shape
        row, other = np.repeat(np.arange(count), wanted), neighbours.ravel()
        pairs = np.sort(np.concatenate([row * count + other, other * count + row]))
        first = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]])
        row, self.other = np.divmod(pairs[first], count)
        both = np.diff(np.r_[first, len(pairs)])  # 2 where each is a neighbour of the other
        self.weight = (both / both.sum()).astype(np.float32)
        self.start = np.searchsorted(row, np.arange(count))
        self.length = np.diff(np.r_[self.start, len(row)])

    def forces(self, places: Float32Array) -> Float32Array:
        """(N, 2)"""
        away = [
            np.repeat(axis, self.length) - axis.take(self.other) for axis in np.ascontiguousarray(places.T)
        ]
        weight = self.weight / (1 + away[0] * away[0] + away[1] * away[1])
        drawn: Float32Array = np.stack([np.add.reduceat(weight * axis, self.start) for axis in away], axis=1)
        return drawn


class _Push:
    """What pushes each row away from all others, by a grid that grows with the map."""

    def __init__(self) -> None:
        self.cells = 0
        self.kernels: list[Tensor] = []
        self.corners = np.zeros((4, 4), dtype=np.float32)

    def forces(self, places: Float32Array) -> Float32Array:
        """(N, 2), with the sum over all pairs already divided out."""
        low = places.min(axis=0)
        self._fit(int((places.max(axis=0) - low).max() / CELL) + 4)
        side, doubled = self.cells, (2 * self.cells, 2 * self.cells)
        at = (places - low) / CELL + 1
        whole = np.floor(at)
        part = at - whole
        corner = (whole[:, 0].astype(np.int64) * side + whole[:, 1].astype(np.int64))[:, None]
        corner = corner + np.array([0, 1, side, side + 1])
        x, y = part[:, :1], part[:, 1:]
        share = np.concatenate([(1 - x) * (1 - y), (1 - x) * y, x * (1 - y), x * y], axis=1)
        charge = np.bincount(corner.ravel(), weights=share.ravel(), minlength=side * side)
        spread = torch.fft.rfft2(torch.from_numpy(charge.astype(np.float32)).view(side, side), s=doubled)
        fields = [
            torch.fft.irfft2(spread * kernel, s=doubled)[:side, :side].reshape(-1).numpy()
            for kernel in self.kernels
        ]
        near, *push = [(field.take(corner) * share).sum(axis=1) for field in fields]
        own = ((share @ self.corners) * share).sum(axis=1)  # what the grid makes of a row's push on itself
        total = float((near - own).sum(dtype=np.float64))
        pushed: Float32Array = (np.stack(push, axis=1) / max(total, 1e-12)).astype(np.float32)
        return pushed

    def _fit(self, wanted: int) -> None:
        """Kernels for at least so many cells along each side; a quarter more, so that they are seldom made anew."""
        if wanted <= self.cells:
            return
        self.cells = _smooth(max(FEWEST_CELLS, wanted * 5 // 4))
        doubled = 2 * self.cells
        steps = torch.arange(doubled)
        away = torch.where(steps < self.cells, steps, steps - doubled).float() * CELL
        x, y = away[:, None], away[None, :]
        near = 1 / (1 + x * x + y * y)
        # Spreading rows over corners and reading off between them blurs the kernel, twice; that is taken back.
        blur = torch.sinc(torch.fft.fftfreq(doubled)) ** 4
        blur = blur[:, None] * blur[None, : self.cells + 1]
        self.kernels = [torch.fft.rfft2(kernel) / blur for kernel in (near, near * near * x, near * near * y)]
        sharp = torch.fft.irfft2(self.kernels[0], s=(doubled, doubled))
        corners = [(a, b) for a in (0, 1) for b in (0, 1)]
        self.corners = np.array(
            [[float(sharp[abs(a - c), abs(b - d)]) for c, d in corners] for a, b in corners], dtype=np.float32
        )


def _smooth(least: int) -> int:
    """The next number without a prime factor above five: Fourier transforms of such sizes are fast."""
    size = least
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
