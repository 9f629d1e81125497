"""JSON by what it holds: one object on every line, or an array, alone or in an object.

Public files of either kind go by the other's name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from evenly.rows.contents import Contents
from evenly.rows.fileformat import FileFormat
from evenly.rows.json_array import JsonArray, write_array
from evenly.rows.json_lines import JsonLines
from evenly.rows.sessions import rows_or_session
from evenly.rows.textfile import BOM, TextFile, write_lines
from evenly.rows.turns import is_turns

_SAID = re.compile(rb"\S")


def _read_lines(name: str, data: Contents, scratch: Path | None) -> TextFile:
    array = data[(start := _start(data)) : start + 1] == b"[" and not is_lines(data)
    return JsonArray(name, data) if array else rows_or_session(name, data)


def _read_array(name: str, data: Contents, scratch: Path | None) -> TextFile:
    return JsonLines(name, data) if is_lines(data) else JsonArray(name, data)


def _start(data: Contents) -> int:
    """The place of the first byte that says something."""
    found = _SAID.search(data, len(BOM) if data[: len(BOM)] == BOM else 0)
    return found.start() if found else 0


def is_lines(data: Contents) -> bool:
    """Whether the first of several lines is an object, or a conversation as a list of turns."""
    start = _start(data)
    end = data.find(b"\n", start)
    if data[start : start + 1] not in (b"{", b"[") or end < 0 or _SAID.search(data, end) is None:
        return False
    try:
        value = json.loads(data[start:end])
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) or is_turns(value)


JSON_LINES = FileFormat("jsonl", (".jsonl", ".ndjson"), _read_lines, write_lines, also=("json",))
JSON_ARRAY = FileFormat("json", (".json",), _read_array, write_array, also=("jsonl",))
SESSION = FileFormat("session", JSON_LINES.endings, _read_lines, write_lines, also=("jsonl",))
"""One session of an agent; its file has the endings of JSON Lines, and is told by what it holds."""
