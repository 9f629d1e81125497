"""Sizes as people write them, and where a pool goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evenly.engine import placing
from evenly.engine.disk import DiskPool, least_memory
from evenly.engine.distance import unit_rows
from evenly.engine.memory import MemoryPool
from evenly.engine.placing import Backend, read_memory
from evenly.engine.points import Points
from evenly.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("512MiB", 512 << 20),
        ("1.5g", 1_500_000_000),
        (" 3 TiB ", 3 << 40),
        ("1000000", 10**6),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert read_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 XB", "0", "2iB", "1e9", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="`memory` must be a size such as 2GB"):
        read_memory(text)


def test_the_budget_decides(tmp_path: Path) -> None:
    least = least_memory(100_000, 384)
    small, large = Backend(tmp_path, memory=least), Backend(tmp_path, memory=1 << 40)
    assert small.place(100_000, 384).where == "disk"
    assert small.place(100_000, 384).scratch > 100_000 * 384 * 4
    assert large.place(100_000, 384).where == "memory"
    assert Backend(tmp_path, ray=True).place(100_000, 384).where == "ray"


def test_without_a_budget_the_free_memory_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "free_memory", lambda: 10**9)
    engine = Backend(tmp_path)
    assert engine.place(10_000, 384).where == "memory"
    assert engine.place(500_000, 384).where == "disk"
    with pytest.raises(InputError, match=r"`memory` allows .*: raise it, or spread"):
        engine.place(50_000_000, 384)


def test_a_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing.shutil, "disk_usage", lambda folder: type("", (), {"free": 10**6}))
    with pytest.raises(InputError, match=r"needs .* of scratch files in .* where 1 MB are free"):
        Backend(tmp_path / "new", memory=least_memory(100_000, 384)).place(100_000, 384)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_prepared_rows_are_the_same_on_disk(
    tmp_path: Path, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(2).standard_normal((30_000, 64)).astype(np.float32)
    engine = Backend(tmp_path, memory=least_memory(30_000, 64))
    room = engine.room(30_000, 64)
    assert room is not None
    room[:] = vectors
    points = Points.prepared(room, metric, engine)  # type: ignore[arg-type]
    expected = unit_rows(torch.from_numpy(vectors)) if metric == "cosine" else torch.from_numpy(vectors)
    np.testing.assert_array_equal(points.vectors, expected)
    with points.open() as pool:
        assert isinstance(pool, DiskPool)
        assert torch.equal(pool.take(np.arange(30_000)), expected)
    with Backend(tmp_path).open(points.vectors) as pool:
        assert isinstance(pool, MemoryPool)
    assert list(tmp_path.iterdir()) == []
