"""A pool in shards is the pool in one piece: the suite of every pool, and one order at several cuts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

from evenly.engine import distance, sharded
from evenly.engine.loop import Order, central_row, extend_order
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Pool
from evenly.engine.sharded import ShardedPool
from evenly.errors import InputError
from tests.engine.invariants import PoolInvariants, relaxed
from tests.engine.pools import hard_pools


def cut(rows: np.ndarray, size: int) -> ShardedPool:
    starts = range(0, len(rows), size)
    return ShardedPool(
        [MemoryPool(torch.from_numpy(rows[start : start + size]), first_row=start) for start in starts]
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pools can be cut where the blocks of the mean are small."""
    monkeypatch.setattr(distance, "ROWS_PER_SUM", 4)
    monkeypatch.setattr(sharded, "ROWS_PER_SUM", 4)


@pytest.mark.usefixtures("small_blocks")
class TestShardedPool(PoolInvariants):
    def make(self, rows: np.ndarray) -> Pool:
        thirds = -(-len(rows) // 12) * 4
        return cut(rows, thirds)

    @relaxed
    @given(rows=hard_pools())
    def test_start_is_the_row_nearest_the_mean(self, rows: np.ndarray) -> None:
        assert central_row(self.make(rows)) == central_row(MemoryPool(torch.from_numpy(rows)))


def test_take_gives_vectors_in_the_order_asked(small_blocks: None) -> None:
    rows = np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32)
    asked = np.array([29, 0, 13, 12, 0])
    np.testing.assert_array_equal(cut(rows, 8).take(asked).numpy(), rows[asked])
    assert cut(rows, 8).take(asked[:0]).shape == (0, 5)


def test_any_cut_gives_the_same_order_and_the_same_start() -> None:
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((6, 24))[rng.integers(0, 6, 5000)] + 0.2 * rng.standard_normal((5000, 24))
    rows = rows.astype(np.float32)
    rows[3000:3500] = rows[:500]
    orders = []
    for pool in (MemoryPool(torch.from_numpy(rows)), cut(rows, 1024), cut(rows, 4096)):
        start = central_row(pool)
        order = Order([start], [np.inf])
        pool.cover(pool.take(np.array([start])), np.array([start]))
        extend_order(pool, order, 700)
        orders.append((order.rows, order.squared_radii, *(part.tolist() for part in pool.cover_result())))
    assert orders[0] == orders[1] == orders[2]


def test_shards_of_unequal_width_are_refused() -> None:
    shards = [
        MemoryPool(torch.zeros(1024, 3)),
        MemoryPool(torch.zeros(10, 4), first_row=1024),
    ]
    with pytest.raises(InputError, match="shard 1 holds vectors of 4 numbers, shard 0 of 3"):
        ShardedPool(shards)


def test_a_shard_that_ends_within_a_block_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 1024 rows"):
        ShardedPool([MemoryPool(torch.zeros(10, 3)), MemoryPool(torch.zeros(10, 3), first_row=10)])
