"""`evenly slice`: another size from a saved order, without picking again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenly.controls.choice import Choice, saved_choice
from evenly.controls.control import used
from evenly.controls.findings import findings
from evenly.controls.keep import Keep
from evenly.controls.prepared import prepare
from evenly.engine.budgets import Budget, affordable, far_enough
from evenly.engine.knee import knee
from evenly.engine.orders import selection_of
from evenly.errors import InputError
from evenly.folder.place import selection_folder
from evenly.folder.selection import SelectionFolder
from evenly.opened import check_request, open_pool, read_pool
from evenly.records import OutputRecord
from evenly.request import Order, SavedPoolRequest
from evenly.rows.rows import Rows
from evenly.selecting.record import check_writing
from evenly.selecting.request import SelectRequest, Stopwatch
from evenly.selecting.run import Recorded, record
from evenly.types import Progress, silent


@dataclass(frozen=True)
class Slice:
    """A shorter prefix of a saved order.

    Attributes:
        kept: rows in it.
        saved: rows the order holds.
        h_min: its smallest distance; None for a single row.
        outputs: the files written.
        removed: kept rows of an older run in the output folder that were not written again.
    """

    kept: int
    saved: int
    h_min: float | None
    outputs: list[OutputRecord]
    removed: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        outputs = [output.model_dump() for output in self.outputs]
        return {
            "kept": self.kept,
            "saved": self.saved,
            "h_min": self.h_min,
            "outputs": outputs,
            "removed": self.removed,
        }


def slice_selection(
    saved: SavedPoolRequest,
    keep: str,
    out: str,
    *,
    tokenizer: str | None = None,
    overwrite: bool = False,
    order: Order = "source",
    progress: Progress = silent,
) -> Slice:
    """Writes the first rows of a saved order, and their record as select writes it.

    Args:
        saved: which selection. Without cached vectors its rows are embedded anew to measure what was cut.
        keep: a count, a share of the pool, a budget of tokens or characters, a distance, or knee.
        out: where the rows go, as for select.
        tokenizer: for a budget of tokens; None takes the encoder's.
        overwrite: whether a file that evenly did not write may be replaced.
        order: of the written rows.
        progress: called as each stage goes on.

    Raises:
        InputError: the order is not nested, is shorter than asked for, its sources changed, or the record would
            take the place of the saved order.
    """
    folder = SelectionFolder.open(saved.folder)
    asked = Keep(keep, tokenizer)
    asked.check(Choice())
    choice = saved_choice(folder.manifest, keep=keep, tokenizer=tokenizer)
    _check_nested(choice)
    if selection_folder(out).resolve() == folder.path.resolve():
        raise InputError(f"{out} has its record in {folder.path}, the order that is cut; name another file")
    watch = Stopwatch()
    pool = folder.pool_request(saved.source, **saved.working)
    check_request(pool)
    with watch.time("read"):
        rows = read_pool(pool, progress=progress)
    folder.check_sources(rows)
    request = SelectRequest(pool, choice, out, overwrite=overwrite, order=order, map=folder.map_kind)
    older = check_writing(request, rows, folder)
    count = _prefix(folder, asked, rows)
    least = max(1, folder.manifest.options.given)
    if count < least:
        raise InputError(
            f"`keep` {keep} is {count:,} rows and the order begins with {least:,} that were to be kept; raise it"
        )
    written = _record(request, folder, rows, count, older=older, watch=watch, progress=progress)
    manifest, removed = written.manifest, [str(path) for path in written.removed]
    return Slice(count, len(folder.picks), manifest.h_min, manifest.outputs, removed)


def _record(
    request: SelectRequest,
    folder: SelectionFolder,
    rows: Rows,
    count: int,
    *,
    older: Sequence[Path],
    watch: Stopwatch,
    progress: Progress,
) -> Recorded:
    """Measures what was cut and writes it as select does."""
    manifest, picks = folder.manifest, folder.picks[:count]
    with ExitStack() as opened:
        with watch.time("embed"):
            pool = opened.enter_context(open_pool(request.pool, rows, progress=progress))
        with watch.time("select"), pool.points.reusing():
            prepared = prepare(request.choice, pool, picks[: manifest.options.given])
            selection = selection_of(pool.points, picks, anchors=prepared.anchors)
            found = findings(prepared, selection)
    return record(request, prepared, selection, found, watch, older=older, progress=progress)


def _check_nested(choice: Choice) -> None:
    for name in used(choice.controls, "sized"):
        raise InputError(f"`{name}` depends on the size kept; select again with the other size")
    if not choice.nested:
        raise InputError("only the greedy max-min order is nested; select again with the other size")


def _prefix(folder: SelectionFolder, keep: Keep, rows: Rows) -> int:
    manifest, picks, radii, budget = folder.manifest, folder.picks, folder.radii, keep.budget
    if budget.unit == "knee":
        if not manifest.exhausted and len(picks) < len(rows):
            raise InputError(
                f"the knee is that of the whole order, and this one holds {len(picks):,} of {len(rows):,} rows; "
                "select again with `keep=knee`"
            )
        return knee(np.minimum.accumulate(radii))
    if budget.unit == "rows":
        count = budget.count(len(rows))
        if count > len(picks):
            raise _too_short(budget, len(picks))
        return count
    if budget.unit == "distance":
        count = far_enough(radii, budget.amount)
    else:
        count = affordable(keep.costs(rows, manifest.encoder.name)[picks], budget.amount)
    if count == len(picks) and not manifest.exhausted and count < len(rows):
        raise _too_short(budget, len(picks))
    return count


def _too_short(budget: Budget, saved: int) -> InputError:
    return InputError(
        f"the saved order holds {saved:,} rows and `keep` {budget.text} asks for more; select again with a "
        "larger one (it goes on from the cached picks)"
    )
