"""``vectors:FILE.npy``: vectors that users bring, in a file that ``numpy.save`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenly.errors import InputError, first_line
from evenly.request import PoolRequest
from evenly.vectors.kind import EncoderKind, PoolVectors

if TYPE_CHECKING:
    import numpy.typing as npt

    from evenly.rows.rows import Rows
    from evenly.rows.vector_field import Room
    from evenly.types import Float32Array, Progress


class NpyFile(EncoderKind):
    """One vector for each row of the pool, in its order."""

    prefix = "vectors:"
    usage = "vectors:FILE.npy"
    any_rows = False

    def check(self) -> None:
        if not self.rest:
            raise InputError(f"{self.name} names no file; use {self.usage}")
        open_vectors(self.rest)

    def vectors(self, rows: Rows, request: PoolRequest, room: Room, progress: Progress) -> PoolVectors:
        return given(load_vectors(self.rest, len(rows)), self.name)


def given(vectors: Float32Array, name: str) -> PoolVectors:
    """Vectors that came with the rows, with their record: their identity is their content."""
    from evenly.engine.points import vectors_sha256
    from evenly.records import EncoderRecord

    record = EncoderRecord(name=name, identity=vectors_sha256(vectors), dimension=vectors.shape[1])
    return PoolVectors(vectors, record, "")


def load_vectors(path: Path | str, rows: int | None = None, name: str = "") -> Float32Array:
    """Opens a .npy file of vectors.

    Args:
        path: a file that ``numpy.save`` wrote.
        rows: N, the rows of the pool it must match; None takes any, but at least one.
        name: what to call it in a message; the path if empty.

    Returns:
        (N, d) float32; memory-mapped and read-only where the file holds float32 rows in C order, else a copy.

    Raises:
        InputError: as `open_vectors`; another number of rows, NaN or infinite numbers (names the first such row).
    """
    import numpy as np

    from evenly.checks import check_finite_rows

    called = name or str(path)
    array = open_vectors(path, name)
    if rows is None and not len(array):
        raise InputError(f"{called} holds no vectors; give at least one")
    if rows is not None and len(array) != rows:
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
    import numpy as np

    called = name or str(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{called} is not there; give a .npy file with one vector per row") from None
    except (ValueError, OSError, EOFError) as error:
        reason = first_line(error)
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
