"""The disk pool: the suite of every pool with everything on disk, and memory that stays within the budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given

from evenly.engine import disk, distance, sharded
from evenly.engine.blocks import Blocks
from evenly.engine.disk import DiskPool, code_bytes, least_memory, share_out
from evenly.engine.distance import unit_rows
from evenly.engine.filter import fit_map
from evenly.engine.loop import central_row
from evenly.engine.mapped import mapped_rows
from evenly.engine.memory import MemoryPool
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.engine.pool import Pool
from evenly.errors import InputError
from tests.engine.invariants import PoolInvariants, relaxed
from tests.engine.pools import hard_pools


def on_disk(rows: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


class TestDiskPool(PoolInvariants):
    """Blocks of 16 rows, the least memory: several shards, all codes in scratch files."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for module in (distance, sharded, disk):
            monkeypatch.setattr(module, "ROWS_PER_SUM", 16)
        self.folder = tmp_path

    def make(self, rows: np.ndarray) -> Pool:
        return DiskPool(
            on_disk(rows, self.folder), share_out(*rows.shape, least_memory(*rows.shape)), self.folder
        )

    @relaxed
    @given(rows=hard_pools())
    def test_start_is_the_row_nearest_the_mean(self, rows: np.ndarray) -> None:
        assert central_row(self.make(rows)) == central_row(MemoryPool(torch.from_numpy(rows)))


@pytest.mark.parametrize("dimension", [1, 384, 4096])
@pytest.mark.parametrize("rows", [1, 5000, 10**7])
@pytest.mark.parametrize("spare", [0, 10**6, 10**9, 10**12])
def test_shares_stay_within_the_budget(rows: int, dimension: int, spare: int) -> None:
    memory = least_memory(rows, dimension) + spare
    budget = share_out(rows, dimension, memory)
    assert budget.shard_rows >= 1024
    assert budget.shard_rows % 1024 == 0
    codes = min(budget.resident_codes, rows) * disk.code_bytes(dimension)
    at_work = min(budget.shard_rows, rows) * (4 * dimension + 2 * disk.code_bytes(dimension))
    assert disk.round_bytes(rows, dimension) + rows * disk.BYTES_PER_ROW + at_work + codes <= memory


def test_less_memory_than_the_least_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"need at least 1\.\d GB for selection, and `memory` allows 537 MB: raise"
    ):
        share_out(10**7, 384, 512 << 20)


def prepared(rows: np.ndarray, scratch: Path) -> np.ndarray:
    """Mapped rows under cosine, where they do not fit into memory."""
    backend = Backend(scratch, memory=least_memory(*rows.shape))
    assert backend.place(*rows.shape).where == "disk"
    return Points.prepared(rows, "cosine", backend).vectors


def test_mapped_rows_are_normalised_in_a_scratch_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).standard_normal((40_000, 6)).astype(np.float32)
    expected = unit_rows(torch.from_numpy(rows)).numpy()
    mapped = on_disk(rows, tmp_path)
    before = sorted(tmp_path.iterdir())
    np.testing.assert_array_equal(prepared(mapped, tmp_path), expected)
    assert sorted(tmp_path.iterdir()) == before
    already = on_disk(np.sign(rows[:, :4]) / 2, tmp_path)
    assert prepared(already, tmp_path) is already


def test_a_zero_row_is_named(tmp_path: Path) -> None:
    rows = np.ones((30_000, 2), dtype=np.float32)
    rows[20_000] = 0
    with pytest.raises(InputError, match="row 20000 of the vectors is zero"):
        prepared(on_disk(rows, tmp_path), tmp_path)


def test_a_scratch_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    rows = on_disk(np.full((30_000, 64), 2.0, dtype=np.float32), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"scratch files in .* cannot be written"):
        prepared(rows, tmp_path / "file" / "scratch")


def test_mapped_rows_are_found_through_views(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    mapped = np.asarray(on_disk(rows, tmp_path))
    found = mapped_rows(mapped[5:])
    assert found is not None
    np.testing.assert_array_equal(found.open(), rows[5:])
    np.testing.assert_array_equal(found.part(slice(2, 9)).open(), rows[7:14])
    assert mapped_rows(rows) is None
    assert mapped_rows(mapped[:, 1:]) is None


MEASURE = """
import json, resource, sys
import numpy as np
from pathlib import Path
from evenly.engine.disk import DiskPool, share_out
from evenly.engine.loop import Order, central_row, extend_order
from evenly.engine.blocks import steady_torch

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

import torch; torch.mm(torch.ones(64, 64).bfloat16(), torch.ones(64, 64).bfloat16())
path, memory, count, scratch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
before = peak()
with steady_torch():
    rows = np.load(path, mmap_mode="r")
    pool = DiskPool(rows, share_out(*rows.shape, memory), scratch)
    start = central_row(pool)
    order = Order([start], [np.inf])
    pool.cover(pool.take(np.array([start])), np.array([start]))
    extend_order(pool, order, count)
    keeper, squared = pool.cover_result()
print(json.dumps({"held": peak() - before, "rows": order.rows}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_within_the_budget_and_the_order_is_the_same(tmp_path: Path) -> None:
    from benchmarks.pools import clustered_pool

    rows = clustered_pool(300_000)
    on_disk(rows, tmp_path)
    memory = 500 << 20  # in memory it would hold 735 MB and a round's candidates
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "rows.npy"), str(memory), "6000", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(run.stdout)
    assert found["held"] <= memory
    from evenly.engine.greedy import select

    assert found["rows"] == select(rows, 6000, metric="euclidean").rows.tolist()


@pytest.mark.parametrize("dimension", [1, 6, 26, 27, 250, 379, 384, 387])
def test_a_budget_counts_codes_as_wide_as_they_are(dimension: int) -> None:
    rows = torch.randn(40, dimension, generator=torch.Generator().manual_seed(0))
    mapping = fit_map(rows, float(rows.abs().max()), dtype=torch.bfloat16)
    codes = mapping.encode(rows, Blocks())
    assert code_bytes(dimension) == codes.rows.element_size() * codes.rows.shape[1]
