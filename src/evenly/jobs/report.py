"""`evenly report`: the page of a selection again, with another map if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evenly.errors import MissingExtraError
from evenly.folder.manifest import read_manifest
from evenly.opened import open_pool
from evenly.report.page import write_report
from evenly.report.points import LIMIT_POINTS
from evenly.selecting.reopened import saved_pool
from evenly.types import Float32Array, Progress, silent

UMAP_SEED = 0


def report_folder(
    folder: Path,
    *,
    map: Literal["pca", "umap"] = "pca",
    limit_points: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Writes the page of a selection folder from its saved files.

    Args:
        folder: what select wrote.
        map: ``pca`` (saved) or ``umap`` (umap-learn, seeded; needs the vectors, from the cache or made anew).
        limit_points: most points on the map; None for the page's own limit.

    Raises:
        MissingExtraError: ``umap`` without the extra ``report``.
        InputError: the folder or its sources cannot be read.
    """
    coordinates = None
    if map == "umap":
        with open_pool(saved_pool(read_manifest(folder), folder), progress=progress) as pool:
            coordinates = _umap(pool.points.vectors)
    return write_report(folder, limit_points=limit_points or LIMIT_POINTS, map=map, coordinates=coordinates)


def _umap(vectors: Float32Array) -> Float32Array:
    try:
        import umap
    except ImportError:
        raise MissingExtraError("--map umap", "report") from None
    neighbours = min(15, len(vectors) - 1)
    made: Float32Array = umap.UMAP(n_neighbors=neighbours, random_state=UMAP_SEED).fit_transform(vectors)
    return made
