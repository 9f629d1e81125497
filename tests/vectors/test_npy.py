"""Vectors that users bring."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.vectors.npy import load_vectors

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_float32_rows_stay_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    loaded = load_vectors(tmp_path / "v.npy", 4)
    assert isinstance(loaded.base, np.memmap) or isinstance(loaded, np.memmap)
    assert np.array_equal(loaded, VECTORS)


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4", "i8", "u1"])
def test_other_numbers_become_float32(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "v.npy", np.asfortranarray(VECTORS.astype(dtype)))
    loaded = load_vectors(tmp_path / "v.npy", 4)
    assert loaded.dtype == np.float32
    assert loaded.flags.c_contiguous
    assert np.array_equal(loaded, VECTORS)


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, VECTORS)
    return stream.getvalue()


def _with(value: float) -> np.ndarray:
    spoiled = VECTORS.copy()
    spoiled[2, 1] = value
    return spoiled


BAD = {
    "other rows": (_saved(VECTORS[:3]), "holds 3 vectors for 4 rows"),
    "flat": (_saved(VECTORS.ravel()), r"must have shape \(rows, dimensions\)"),
    "no dimensions": (_saved(VECTORS[:, :0]), r"must have shape \(rows, dimensions\)"),
    "nan": (_saved(_with(np.nan)), "row 2 of given holds nan at dimension 1"),
    "infinite": (_saved(_with(np.inf)), "row 2 of given holds inf"),
    "too large for float32": (_saved(_with(1.0).astype(np.float64) * 1e39), "holds inf"),
    "text": (_saved(VECTORS.astype(str)), "must hold numbers"),
    "objects": (_saved(VECTORS.astype(object)), "not a .npy file of numbers"),
    "pickle": (pickle.dumps([1, 2]), "not a .npy file of numbers"),
    "archive": (_archive(), "is an archive"),
    "empty": (b"", "not a .npy file of numbers"),
    "cut off": (_saved(VECTORS)[:-8], "not a .npy file of numbers"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD.keys())
def test_bad_files_get_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "v.npy").write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        load_vectors(tmp_path / "v.npy", 4, "given")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        load_vectors(tmp_path / "v.npy", 4)
