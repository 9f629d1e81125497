"""`evenly extend`: going on from a saved selection over its old rows and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evenly.controls.request import ControlRequest
from evenly.errors import InputError
from evenly.folder.manifest import ORDER_FILE, Manifest, read_manifest
from evenly.selecting.reopened import kept_in_order, saved_request
from evenly.selecting.run import Recorded, Saved, run_selection
from evenly.types import Int64Array, Progress, silent


@dataclass(frozen=True, eq=False)
class Extension:
    """A longer selection, and what the new rows brought.

    Attributes:
        outcome: of the selection over old and new rows.
        before: of the saved one: rows kept, h_min, and fill over old and new rows.
        added_old: rows added from the old sources.
        added_new: rows added from the new ones.
    """

    outcome: Recorded
    before: dict[str, Any]
    added_old: int
    added_new: int

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        counts = {"added_old": self.added_old, "added_new": self.added_new}
        return {**self.outcome.to_dict(), "before": self.before, **counts}

    @property
    def line(self) -> str:
        """What a person should know."""
        manifest = self.outcome.manifest
        h_min = "-" if manifest.h_min is None else f"{manifest.h_min:.4g}"
        was = "-" if self.before["h_min"] is None else f"{self.before['h_min']:.4g}"
        return (
            f"kept {self.before['kept']:,} as before and added {self.added_new:,} of the new rows and "
            f"{self.added_old:,} of the old; over old and new rows fill fell from {self.before['fill']:.4g} to "
            f"{manifest.fill:.4g}, h_min was {was} and is {h_min}"
        )


def extend_selection(
    folder: Path,
    new_sources: Sequence[str],
    keep: str,
    out: str,
    *,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Extension:
    """Goes on from a saved selection: its rows stay kept, further ones are picked from old and new rows.

    The picks are those of a run over old and new rows with the saved picks as anchors. Only new rows are
    embedded where the cache holds the old ones. Rows that the saved selection set aside by its controls stay so by
    the same controls over the whole.

    Args:
        folder: what select or extend wrote.
        new_sources: files with further rows.
        keep: how much to keep in all, the old rows among it: as for select, over old and new rows.
        out: where all kept rows go.
        use_cache: whether the cache may be used.
        progress: called as each stage goes on.

    Raises:
        InputError: the sources changed, vectors cannot be made for new rows, quotas, or fewer rows than are kept.
    """
    manifest = read_manifest(folder)
    _check_extendable(manifest)
    picks = kept_in_order(pq.read_table(folder / ORDER_FILE))
    request = saved_request(manifest, folder, keep, out, use_cache=use_cache)
    both = replace(request.pool, sources=[*request.pool.sources, *new_sources])
    request = replace(request, pool=both, controls=_carried(manifest))
    outcome = run_selection(request, saved=Saved(picks, manifest.sources), progress=progress)
    return _extension(manifest, outcome, picks)


def _check_extendable(manifest: Manifest) -> None:
    if manifest.encoder.name.startswith("vectors:"):
        raise InputError(
            "the vectors of the saved rows came from a file, so new rows have none; select over old and new rows "
            "with --anchors kept.npy, the vectors of the rows kept so far"
        )
    controls = manifest.options.get("controls", {})
    if any(name in controls for name in ("quota", "at_least", "match_length")):
        raise InputError("quotas share out the whole size; select over old and new rows with them instead")


def _carried(manifest: Manifest) -> ControlRequest:
    """The controls of the saved selection. Its must-keep rows are among its picks already."""
    return replace(ControlRequest.read(manifest.options.get("controls", {})), must=())


def _extension(manifest: Manifest, outcome: Recorded, picks: Int64Array) -> Extension:
    order = pq.read_table(outcome.folder / ORDER_FILE, columns=["rank"])
    added = kept_in_order(order)[len(picks) :]
    new = int(np.count_nonzero(added >= manifest.pool_rows))
    before = {
        "kept": len(picks),
        "h_min": manifest.h_min,
        "fill": outcome.measures["controls"]["fill_of_given"],
    }
    return Extension(outcome, before, len(added) - new, new)
