"""Vectors in memory-mapped files: where they lie, and giving their memory back."""

from __future__ import annotations

import mmap
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evenly.errors import InputError
from evenly.types import Float32Array


@dataclass(frozen=True)
class MappedRows:
    """Float32 rows in a file.

    Attributes:
        path: the file.
        offset: bytes before the first row.
        rows: A.
        dimension: d.
    """

    path: str
    offset: int
    rows: int
    dimension: int

    def part(self, rows: slice) -> MappedRows:
        """Some consecutive rows."""
        start, stop, _ = rows.indices(self.rows)
        return MappedRows(self.path, self.offset + 4 * self.dimension * start, stop - start, self.dimension)

    def open(self) -> Float32Array:
        """Maps the rows for reading: (A, d) float32.

        Raises:
            InputError: the file is not there, or not whole.
        """
        try:
            return np.memmap(self.path, "<f4", "r", self.offset, (self.rows, self.dimension))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be read ({getattr(error, 'strerror', None) or error}); "
                "vectors in files must be where every worker sees them"
            ) from None


def mapped_rows(vectors: Float32Array) -> MappedRows | None:
    """Where an array of rows lies on disk, or None where it is in memory or its file has no name any more."""
    base = _mapping(vectors)
    if base is None or base.filename is None or not vectors.flags.c_contiguous or vectors.dtype != "<f4":
        return None
    path = Path(base.filename)
    if not path.exists():
        return None
    before = vectors.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return MappedRows(str(path), base.offset + before, len(vectors), vectors.shape[1])


def is_mapped(vectors: Float32Array) -> bool:
    """Whether an array of rows lies in a mapped file, with a name or without."""
    return _mapping(vectors) is not None


def _mapping(array: Float32Array) -> np.memmap | None:
    """The outermost memory map that an array is a view of."""
    found = None
    base: object = array
    while isinstance(base, np.ndarray):
        found = base if isinstance(base, np.memmap) else found
        base = base.base
    return found


def release(array: Float32Array) -> None:
    """Gives back the memory of a mapped array; what is read again comes from the file.

    Changes to a copy-on-write map are lost. Does nothing where the array is not mapped.
    """
    base = _mapping(array)
    if base is not None and isinstance(base.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.base.madvise(mmap.MADV_DONTNEED)


def tensor_of(rows: Float32Array) -> Tensor:
    """A tensor that shares the memory of rows which nobody writes to, read-only ones included."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(rows)
