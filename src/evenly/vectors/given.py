"""Vectors that users bring themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenly.checks import check_finite_rows
from evenly.errors import InputError
from evenly.types import Float32Array


def load_vectors(path: Path | str, rows: int, name: str = "") -> Float32Array:
    """Opens a .npy file of vectors.

    Args:
        path: a file that ``numpy.save`` wrote.
        rows: N, the rows of the pool it must match.
        name: what to call it in a message; the path if empty.

    Returns:
        (N, d) float32; memory-mapped and read-only where the file holds float32 rows in C order, else a copy.

    Raises:
        InputError: as `open_vectors`; another number of rows, NaN or infinite numbers (names the first such row).
    """
    called = name or str(path)
    array = open_vectors(path, name)
    if len(array) != rows:
        raise InputError(f"{called} holds {len(array)} vectors for {rows} rows; one for each row is needed")
    with np.errstate(over="ignore"):
        vectors: Float32Array = np.asarray(array, dtype=np.float32, order="C")
    check_finite_rows(vectors, name=called)
    return vectors


def open_vectors(path: Path | str, name: str = "") -> npt.NDArray[Any]:
    """Maps a .npy file of vectors, (rows, d) numbers of any type, without reading them.

    Raises:
        InputError: no such file, not a .npy of numbers, not two-dimensional.
    """
    called = name or str(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{called} is not there; give a .npy file with one vector per row") from None
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{called} is not a .npy file of numbers ({reason}); write it with numpy.save"
        ) from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{called} is an archive of arrays; write the one array of vectors with numpy.save")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{called} holds {array.dtype}; it must hold numbers")
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{called} must have shape (rows, dimensions), both at least 1; got {array.shape}")
    return array


def load_array(path: Path, what: str) -> Float32Array:
    """The (A, d) numbers of a .npy file as float32.

    Args:
        path: of the file.
        what: what its rows are to the user, for messages.

    Raises:
        InputError: unreadable, no such array, or numbers that are not finite.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the {what} {path} cannot be read as a .npy file: {error}") from None
    if (
        not isinstance(found, np.ndarray)
        or found.ndim != 2
        or found.dtype.kind not in "fiu"
        or not found.size
    ):
        raise InputError(f"the {what} {path} must hold one array of numbers of shape (rows, dimensions)")
    vectors = np.ascontiguousarray(found, dtype=np.float32)
    check_finite_rows(vectors, name=str(path))
    return vectors
