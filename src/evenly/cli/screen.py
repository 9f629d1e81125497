"""What a person at a terminal sees when something is done; `shown_progress` is what they see while it runs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

from evenly.bars import shown_progress as shown_progress


def starting(line: str) -> None:
    """Says at once what begins, where somebody looks: libraries and files take seconds to load."""
    if line and sys.stderr.isatty():
        print(
            printable(f"evenly: {line}", shutil.get_terminal_size((80, 24)).columns - 1),
            file=sys.stderr,
            flush=True,
        )


def print_wrapped(line: str, stream: TextIO | None = None) -> None:
    """A line wrapped to the terminal; to 80 columns where there is none."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size((80, 24)).columns if stream.isatty() else 80
    indent = " " * (2 + len(line) - len(line.lstrip()))
    wrapped = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    print("\n".join(wrapped), file=stream)


def print_line(line: str) -> None:
    """A line wrapped where somebody looks, and whole in a file or a pipe."""
    print_wrapped(line) if sys.stdout.isatty() else print(line)


def removed_line(removed: Sequence[object]) -> str | None:
    """Which files of an older run are gone; None where there are none."""
    return f"removed {', '.join(map(str, removed))}, which an older run wrote" if removed else None


def print_json(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def printable(text: str, most: int = 160) -> str:
    """Row text on one line, safe for a terminal: control and direction characters are shown as escapes."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
