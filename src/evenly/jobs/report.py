"""`evenly report`: the page of a selection again, with another map if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evenly.errors import InputError, MissingExtraError
from evenly.folder.selection import SelectionFolder
from evenly.folder.view import SHOWN_ROWS
from evenly.opened import open_pool
from evenly.report.page import write_report
from evenly.request import SavedPoolRequest
from evenly.selecting.mapping import map_of
from evenly.types import Float32Array, Progress, silent

UMAP_SEED = 0

FEWEST_MAPPED = 4
"""Rows that umap-learn can lay out: it looks for three eigenvectors of a graph of all rows."""


def report_folder(
    saved: SavedPoolRequest,
    *,
    map: Literal["neighbours", "pca", "umap"] | None = None,
    limit_points: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Writes the page of a selection folder from its saved files.

    Args:
        saved: which selection.
        map: see `evenly.selecting.mapping.map_of`, or ``umap`` (umap-learn, seeded). Another one than was saved needs
            the vectors, from the cache or made anew. None takes the map that was saved.
        limit_points: most points on the map; None for the page's own limit.

    Raises:
        MissingExtraError: ``umap`` without the extra ``report``.
        InputError: the folder or its sources cannot be read.
    """
    folder, coordinates = SelectionFolder.open(saved.folder), None
    if map == folder.map_kind:
        map = None
    if map is not None:
        if map == "umap" and len(folder) < FEWEST_MAPPED:
            raise InputError(
                f"the map umap takes at least {FEWEST_MAPPED} rows, and the pool has {len(folder)}; use `map=pca`"
            )
        asked = folder.pool_request(saved.source, **saved.working)
        with open_pool(asked, progress=progress) as pool:
            folder.check_sources(pool.rows)
            if map == "umap":
                coordinates = _umap(pool.points.vectors)
            else:
                made = map_of(pool.points, map, pool.cache, progress)
                map, coordinates = made.kind, made.places
    limit = SHOWN_ROWS if limit_points is None else limit_points
    return write_report(folder.path, limit_points=limit, map=map, coordinates=coordinates)


def _umap(vectors: Float32Array) -> Float32Array:
    try:
        import umap
    except ImportError:
        raise MissingExtraError("the map umap", "report") from None
    neighbours = min(15, len(vectors) - 1)
    made: Float32Array = umap.UMAP(n_neighbors=neighbours, random_state=UMAP_SEED).fit_transform(vectors)
    return made
