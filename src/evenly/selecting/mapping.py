"""The map of a pool: where each row lies on the page."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenly.engine.layout import neighbour_layout
from evenly.engine.plane import principal_places
from evenly.engine.points import Points
from evenly.files import ANOTHER_CACHE, new_files
from evenly.folder.view import shown_rows
from evenly.request import MapKind
from evenly.types import Float32Array, Progress, silent
from evenly.vectors.cache import Cache

MOST_LAID_OUT = 200_000
"""Rows up to which all are laid out: a minute on two cores. Of more, those that the page shows."""

LAYOUT = "1"
"""Of the way rows are laid out; another one makes cached maps void."""


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Where the N rows of a pool lie on its map.

    Attributes:
        places: (N, 2) float32.
        kind: how they were laid out; ``pca`` for a pool too small to have neighbourhoods, without the following.
        laid_out: rows that were laid out by neighbours; the others lie between the nearest of them.
        shared: the share of their 15 nearest rows that is among the 15 nearest on the map, by a sample.
    """

    places: Float32Array
    kind: MapKind
    laid_out: int = 0
    shared: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """What measures.json says of it."""
        quality = {"laid_out": self.laid_out, "shared": self.shared} if self.kind == "neighbours" else {}
        return {"kind": self.kind, **quality}


def map_of(points: Points, kind: MapKind, cache: Cache | None = None, progress: Progress = silent) -> PoolMap:
    """The map of a pool, from the cache where it was made before.

    Args:
        points: N rows.
        kind: ``neighbours`` puts near rows near one another, ``pca`` takes the first two principal components.
        cache: where maps are kept, or None.
        progress: called as it is made.
    """
    if kind == "pca":
        return PoolMap(principal_places(points.vectors), kind)
    kept = cache and cache.maps / f"{hashlib.sha256(f'{LAYOUT}{points.sha256}'.encode()).hexdigest()}.npz"
    if kept and (found := _load(kept, len(points))) is not None:
        return found
    sample = None if len(points) <= MOST_LAID_OUT else shown_rows(len(points))
    made = neighbour_layout(points, sample, progress)
    if made is None:
        return PoolMap(principal_places(points.vectors), "pca")
    found = PoolMap(made.places, kind, made.laid_out, round(made.shared, 3))
    if kept:
        _save(found, kept)
    return found


def _load(path: Path, rows: int) -> PoolMap | None:
    """A map that was kept, or None where there is none that is whole."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            places, laid_out, shared = saved["places"], int(saved["laid_out"]), float(saved["shared"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if places.shape != (rows, 2) or places.dtype != np.float32:
        return None
    return PoolMap(places, "neighbours", laid_out, shared)


def _save(found: PoolMap, path: Path) -> None:
    name = f"{path.parent}, where maps are kept,"
    new = new_files(name=name, advice=ANOTHER_CACHE, durable=False, make_folders=True)
    with new as files, files.open(path) as stream:
        np.savez(stream, places=found.places, laid_out=found.laid_out, shared=found.shared)
