"""A file that is one session of a coding agent, an event on every line: it is one row (see `evenly.rows.events`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evenly.errors import InputError
from evenly.rows.contents import Contents
from evenly.rows.events import Event, is_event, messages_of
from evenly.rows.fileformat import Record
from evenly.rows.forms import recognise
from evenly.rows.json_lines import JsonLines
from evenly.rows.textfile import TextFile

_SEARCHED_LINES = 100
"""Lines in which the first message of a session must stand; what comes before it sets the session up."""


def is_session(lines: JsonLines) -> bool:
    """Whether JSON Lines are the events of one session and no rows."""
    try:
        for row in range(min(len(lines), _SEARCHED_LINES)):
            line = lines.record(row)
            if not isinstance(line.get("type"), str) or recognise(line) is not None:
                return False
            if is_event(line):
                return True
    except InputError:  # rows are read in their order, and the first that is wrong is named
        pass
    return False


class Session(TextFile):
    """One session as one row. Its fields: ``session_id``, ``cwd`` and ``model`` where they are said, ``messages``."""

    format = "session"

    def __init__(self, name: str, lines: JsonLines) -> None:
        super().__init__(name, lines.data)
        self._lines = lines
        self.opening, self.separator, self.closing = lines.data[: lines.starts[0]], b"", b""
        self.starts = np.array([lines.starts[0]], dtype=np.int64)
        self.ends = np.array([len(lines.data)], dtype=np.int64)

    def _found(self) -> Iterator[Record]:
        return self.records()

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        events = [event for event in self._lines.records() if isinstance(event, dict)]
        return {**_about(events), "messages": messages_of(events)}


def _about(events: Sequence[Event]) -> dict[str, Any]:
    """What the events say of their session."""
    places = [place for event in events for place in (event, event.get("payload"), event.get("message"))]
    known = [place for place in places if isinstance(place, Mapping)]
    first = known[0] if known else {}
    begins = events[0].get("payload") if isinstance(events[0].get("payload"), Mapping) else first
    found = {
        "session_id": next(
            (place["sessionId"] for place in known if isinstance(place.get("sessionId"), str)),
            begins.get("id") if isinstance(begins, Mapping) else None,
        )
    }
    for name in ("cwd", "model"):
        found[name] = next((place[name] for place in known if isinstance(place.get(name), str)), None)
    return {name: value for name, value in found.items() if isinstance(value, str)}


def rows_or_session(name: str, data: Contents) -> TextFile:
    """JSON Lines: rows, or one session."""
    lines = JsonLines(name, data)
    return Session(name, lines) if is_session(lines) else lines
