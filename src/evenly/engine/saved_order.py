"""The picks of a run on disk: all one needs to go on after a crash, or later with a larger keep."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path

import numpy as np

from evenly.engine.loop import Order, order_arrays
from evenly.files import ANOTHER_CACHE, new_files

SAVE_SECONDS = 2.0
"""A crash loses at most so much picking."""


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
        self.loaded = 0  # picks that were there

    def load(self) -> Order | None:
        """The saved picks, or None where there are none that are whole."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                rows, squared_radii = saved["rows"], saved["squared_radii"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if rows.shape != squared_radii.shape or rows.dtype != np.int64 or squared_radii.dtype != np.float64:
            return None
        self._saved_picks = self.loaded = len(rows)
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
        name = f"{self.path.parent}, where the picks so far are saved,"
        new = new_files(name=name, advice=ANOTHER_CACHE, durable=False, make_folders=True)
        with new as files, files.open(self.path) as stream:
            np.savez(stream, rows=rows, squared_radii=squared_radii)
        self._saved_picks = len(order)
