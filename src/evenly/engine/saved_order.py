"""The picks of a run on disk: all one needs to go on after a crash, or later with a larger keep."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from pathlib import Path

import numpy as np

from evenly.engine.loop import Order, order_arrays
from evenly.errors import InputError

SAVE_SECONDS = 2.0


class SavedOrder:
    """One order in one file, named by what the order is a function of.

    A file that is cut short or changed fails its checksum and counts as absent: the picks are then made again,
    which costs time and never changes them.

    Args:
        folder: where orders are kept.
        parts: texts that determine the order: hash of the vectors, start, controls.
    """

    def __init__(self, folder: Path, *parts: str) -> None:
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        self.path = folder / f"{key}.npz"
        self._saved_at = time.monotonic()
        self._saved_picks = 0

    def load(self) -> Order | None:
        """The saved picks, or None where there are none that are whole."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                rows, squared_radii = saved["rows"], saved["squared_radii"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if rows.shape != squared_radii.shape or rows.dtype != np.int64 or squared_radii.dtype != np.float64:
            return None
        self._saved_picks = len(rows)
        return Order(rows.tolist(), squared_radii.tolist())

    def save_now_and_then(self, order: Order) -> None:
        """Saves where the last time was a while ago."""
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save(order)

    def save(self, order: Order) -> None:
        """Saves under a temporary name and renames; a longer order is never replaced by a shorter one.

        Raises:
            InputError: the folder cannot be written. What was saved before stays.
        """
        self._saved_at = time.monotonic()
        if len(order) <= self._saved_picks:
            return
        rows, squared_radii = order_arrays(order)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.savez(stream, rows=rows, squared_radii=squared_radii)
            temporary.replace(self.path)
        except OSError as error:
            raise InputError(
                f"the picks so far cannot be saved to {self.path.parent}: {error.strerror}; "
                "make room there, name another cache with EVENLY_CACHE, or use --no-cache"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._saved_picks = len(order)
