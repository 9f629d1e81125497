"""In which order the rows of a selection are written: that of their source, or that of picking."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evenly.controls.choice import Choice
from evenly.engine.greedy import remaining_rows
from evenly.folder.manifest import Manifest
from evenly.request import PICKED, Order
from evenly.types import Int64Array, Selection
from evenly.words import counted


def rows_to_write(
    order: Order, choice: Choice, selection: Selection, excluded: Int64Array
) -> tuple[Int64Array, dict[str, int]]:
    """The rows of a file of kept rows, from first to last.

    In the order of picking, the whole pool is written where it was asked for: what was not picked follows, first
    copies of other rows, then those that a control excluded, both in the order of the pool.

    Args:
        order: as asked for.
        choice: how the selection was chosen.
        selection: the order of picking.
        excluded: (m,) row numbers that a control excluded.

    Returns:
        (n,) row numbers, and how many were not picked, by why.
    """
    if order != PICKED:
        return selection.sorted_rows(), {}
    whole = (
        "keep" in choice.options and choice.budget.unit == "rows" and selection.asked == selection.pool_rows
    )
    if not whole:
        return selection.rows, {}
    left = remaining_rows(selection.pool_rows, selection.rows)
    last = np.isin(left, excluded)
    counts = {"copies": int((~last).sum()), "excluded": int(last.sum())}
    appended = {name: rows for name, rows in counts.items() if rows}
    return np.concatenate([selection.rows, left[~last], left[last]]), appended


def order_lines(manifest: Manifest, choice: Choice) -> list[str]:
    """What a person should know of the order of the written rows."""
    if manifest.options.order != PICKED:
        return []
    where = "each file" if len(manifest.outputs) > 1 else "the file"
    line = f"order: {where} has its rows in the order of picking"
    if choice.nested and len(manifest.outputs) == 1:
        line += f"; its first k rows are the selection of size k, for every k up to {manifest.kept:,}"
    return [line, *_appended_line(manifest.options.appended, where)]


def _appended_line(appended: Mapping[str, int], where: str) -> list[str]:
    words = {
        "copies": "that equal picked ones",
        "excluded": "that a control excluded",
    }
    said = [f"{counted(rows, 'row')} {words[name]}" for name, rows in appended.items()]
    return [f"order: {where} ends with what was not picked: {', then '.join(said)}"] if said else []
