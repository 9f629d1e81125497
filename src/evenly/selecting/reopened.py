"""A selection folder opened again: its request, its rows, its pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from evenly.controls.request import ControlRequest
from evenly.folder.manifest import Manifest
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.types import Int64Array


def saved_pool(manifest: Manifest, folder: Path, *, use_cache: bool = True) -> PoolRequest:
    """The pool of a saved selection, wherever its sources are now."""
    return PoolRequest(
        sources=source_places(manifest, folder),
        text=manifest.text,
        part=cast(Any, manifest.part),
        split=manifest.options.get("split"),
        metric=cast(Any, manifest.metric),
        encoder=manifest.encoder.name,
        long=cast(Any, manifest.encoder.long),
        precision=cast(Any, manifest.encoder.precision),
        use_cache=use_cache,
    )


def saved_request(manifest: Manifest, folder: Path, keep: str, out: str, *, use_cache: bool) -> SelectRequest:
    """What a saved selection was asked for, with another size and place."""
    return SelectRequest(
        pool=saved_pool(manifest, folder, use_cache=use_cache),
        keep=keep,
        out=out,
        seed=manifest.seed,
        allow_copies=manifest.allow_copies,
        controls=ControlRequest.read(manifest.options.get("controls", {})),
    )


def source_places(manifest: Manifest, folder: Path) -> list[str]:
    """Where the sources of a selection are: where the manifest says, else beside the folder."""
    return [_find(source.name, folder) for source in manifest.sources]


def _find(name: str, folder: Path) -> str:
    beside = folder.resolve().parent / Path(name).name
    return str(beside) if not Path(name).exists() and beside.exists() else name


def kept_in_order(order: pa.Table) -> Int64Array:
    """The kept row numbers of an order table in the order of picking, (k,) int64."""
    rank = order["rank"].to_numpy(zero_copy_only=False).astype(np.float64)
    kept = np.flatnonzero(~np.isnan(rank))
    return kept[np.argsort(rank[kept], kind="stable")]
