"""`evenly extend`: going on from a saved selection over its old rows and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenly.controls.choice import MAXMIN, Choice, saved_choice
from evenly.controls.control import used
from evenly.errors import InputError
from evenly.folder.manifest import Manifest
from evenly.folder.place import selection_folder
from evenly.folder.selection import SelectionFolder
from evenly.request import Order, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded, run_selection
from evenly.types import Progress, silent
from evenly.vectors.registry import encoder_named


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
    saved: SavedPoolRequest,
    new_sources: Sequence[str],
    keep: str,
    out: str,
    *,
    overwrite: bool = False,
    order: Order = "source",
    progress: Progress = silent,
) -> Extension:
    """Goes on from a saved selection: its rows stay kept, further ones are picked from old and new rows.

    The picks are those of a run over old and new rows with the saved picks as anchors. Only new rows are
    embedded where the cache holds the old ones. Rows that the saved selection excluded by its controls stay so by
    the same controls over the whole.

    Args:
        saved: which selection.
        new_sources: files with further rows.
        keep: how much to keep in all, the old rows among it: as for select, over old and new rows.
        out: where all kept rows go.
        overwrite: whether the saved selection itself, or a file that evenly did not write, may be replaced.
        order: of the written rows; picked begins with those kept so far.
        progress: called as each stage goes on.

    Raises:
        InputError: the sources changed, vectors cannot be made for new rows, quotas, or fewer rows than are kept.
    """
    folder = SelectionFolder.open(saved.folder)
    choice = _carried(saved_choice(folder.manifest, keep=keep))
    _check_extendable(folder.manifest)
    if selection_folder(out).resolve() == folder.path.resolve() and not overwrite:
        raise InputError(
            f"{out} has its record in {folder.path}, the selection that is extended; name another file, or add "
            "`overwrite` to replace it"
        )
    pool = folder.pool_request(saved.source, **saved.working)
    pool = replace(pool, sources=[*pool.sources, *new_sources])
    outcome = run_selection(
        SelectRequest(pool, choice, out, overwrite=overwrite, order=order), saved=folder, progress=progress
    )
    return _extension(folder, outcome)


def _check_extendable(manifest: Manifest) -> None:
    if not encoder_named(manifest.encoder.name).any_rows:
        raise InputError(
            f"{manifest.encoder.name} gave vectors of the saved rows alone, so new rows have none; select over old and "
            "new rows with `anchors=kept.npy`, the vectors of the rows kept so far"
        )


def _carried(choice: Choice) -> Choice:
    """The choice of a selection that goes on from a saved one, whatever strategy made that."""
    for name in used(choice.controls, "sized"):
        raise InputError(f"`{name}` shares out the whole size; select over old and new rows with it instead")
    controls = tuple(one for one in (control.carried() for control in choice.controls) if one is not None)
    return replace(choice, controls=controls, start=None, strategy=MAXMIN, refine=False)


def _extension(folder: SelectionFolder, outcome: Recorded) -> Extension:
    picks = folder.picks
    added = outcome.selection.rows[len(picks) :]
    new = int(np.count_nonzero(added >= len(folder)))
    before = {
        "kept": len(picks),
        "h_min": folder.manifest.h_min,
        "fill": outcome.measures["controls"]["fill_of_given"],
    }
    return Extension(outcome, before, len(added) - new, new)
