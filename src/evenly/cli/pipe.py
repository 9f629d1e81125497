"""Kept rows on standard output, for pipes: ``--out -``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from evenly.rows.formats import kind_of

STANDARD_OUTPUT = "-"


@contextmanager
def place_of(out: str, sources: Sequence[str]) -> Iterator[str]:
    """Where kept rows are written: ``out``, or for "-" a file that is printed when the block ends well, and is gone
    then with its record.

    Args:
        out: as the user named it.
        sources: the first says in which format they are printed, without compression; JSON Lines for standard input.
    """
    if out != STANDARD_OUTPUT:
        yield out
        return
    first = str(sources[0])
    kind = kind_of("standard-input.jsonl" if first == "-" else first)
    ending = kind.format.endings[0] if kind else ".parquet"
    with TemporaryDirectory(prefix="evenly-") as folder:
        place = Path(folder, f"kept{ending}")
        yield str(place)
        with place.open("rb") as kept:
            shutil.copyfileobj(kept, sys.stdout.buffer)
        sys.stdout.buffer.flush()
