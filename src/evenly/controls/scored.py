"""Scores of rows as controls take them: finite numbers, one for each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.errors import InputError
from evenly.types import Float64Array

if TYPE_CHECKING:
    from evenly.rows.rows import Rows


def is_file_of_scores(name: str) -> bool:
    """Whether a name reads FILE:FIELD and the file is there; else it names a field of the rows."""
    file, _, field = name.rpartition(":")
    return bool(file and field) and Path(file).is_file()


def read_scores(option: str, rows: Rows, name: str) -> Float64Array:
    """(N,) float64 scores of all rows, of a field or FILE:FIELD.

    Args:
        option: that names them, for messages.
        rows: the pool.
        name: see `is_file_of_scores`.

    Raises:
        InputError: no such field, scores of other rows, or a row whose score is no finite number.
    """
    if is_file_of_scores(name):
        from evenly.rows.scores import scores_of_file

        file, _, field = name.rpartition(":")
        found: Sequence[Any] = scores_of_file(rows, file, field)
    else:
        found = rows.field(name)
    scores = np.empty(len(rows))
    for row, value in enumerate(found):
        try:
            if value is None or isinstance(value, bool):
                raise ValueError
            scores[row] = float(value)
        except ValueError:
            scores[row] = np.nan
        if not np.isfinite(scores[row]):
            raise InputError(
                f"`{option}` {name}: row {rows.ids[row]} has {value!r}, not a finite number; "
                "give every row a score or name another field"
            )
    return scores
