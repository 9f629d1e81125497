"""Rows as trainers take them: their media and their size.

`evenly.rows.whole` has the row itself; nothing of it is left behind.
"""

from __future__ import annotations

from typing import Any

from evenly.rows.turns import as_json
from evenly.rows.whole import WholeRow

MEDIA = ("images", "image", "videos", "audios")


def bytes_of_text(row: WholeRow) -> int:
    """UTF-8 bytes of all that a template may write, the longer of two answers counted."""
    answers = max(_size(row.chosen), _size(row.rejected))
    return _size(row.turns) + answers + _size(row.tools)


def _size(value: Any) -> int:
    if not value:
        return 0
    return len((value if isinstance(value, str) else as_json(value)).encode("utf-8", "surrogatepass"))
