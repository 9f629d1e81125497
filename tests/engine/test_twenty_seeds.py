"""Every pool gives one order on twenty pools of 20,000 clustered rows with copies, to the bit: the textbook's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from evenly.engine.blocks import Blocks
from evenly.engine.disk import DiskPool, least_memory, share_out
from evenly.engine.loop import Order, extend_order
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Pool
from evenly.engine.sharded import ShardedPool
from tests.engine.oracle import textbook_order
from tests.engine.pretend_card import CARD, pretend_card

ROWS, DIMENSION, PICKS, TEXTBOOK_PICKS = 20_000, 40, 3000, 60


def clustered(seed: int) -> np.ndarray:
    """Unequal clusters; every tenth row is a copy of another."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, DIMENSION))
    rows = centres[rng.integers(0, 12, ROWS)] + rng.uniform(0.05, 0.6, (ROWS, 1)) * rng.standard_normal(
        (ROWS, DIMENSION)
    )
    rows[rng.permutation(ROWS)[: ROWS // 10]] = rows[rng.integers(0, ROWS, ROWS // 10)]
    return rows.astype(np.float32)


def pools(rows: np.ndarray, scratch: Path) -> Iterator[tuple[str, Pool]]:
    """A new pool of each other kind on this machine."""
    tensor = torch.from_numpy(rows)
    yield "float32 filter, one thread", MemoryPool(tensor, dtype=torch.float32, blocks=Blocks(threads=1))
    cuts = (0, 4096, 9216, ROWS)
    shards = [MemoryPool(tensor[start:stop], first_row=start) for start, stop in pairwise(cuts)]
    yield "sharded", ShardedPool(shards)
    np.save(scratch / "rows.npy", rows)
    mapped = np.load(scratch / "rows.npy", mmap_mode="r")
    yield "disk", DiskPool(mapped, share_out(ROWS, DIMENSION, least_memory(ROWS, DIMENSION)), scratch)


@pytest.fixture(scope="module")
def on_ray() -> Iterator[None]:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from evenly.engine.ray_pool import cluster

    with cluster():
        yield


Outcome = tuple[list[int], list[float], list[int], list[float]]


def outcome(pool: Pool, rows: np.ndarray, seed: int) -> Outcome:
    order = Order([seed], [np.inf])
    pool.cover(torch.from_numpy(rows[[seed]]), np.array([seed]))
    extend_order(pool, order, PICKS)
    keeper, squared = pool.cover_result()
    return order.rows, order.squared_radii, keeper.tolist(), squared.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_all_pools_agree_with_the_textbook(seed: int, tmp_path: Path) -> None:
    rows = clustered(seed)
    in_memory = outcome(MemoryPool(torch.from_numpy(rows)), rows, seed)
    textbook = textbook_order(rows, TEXTBOOK_PICKS, seed)
    assert in_memory[0][:TEXTBOOK_PICKS] == textbook.rows
    assert in_memory[1][:TEXTBOOK_PICKS] == textbook.squared_radii
    for name, pool in pools(rows, tmp_path):
        assert outcome(pool, rows, seed) == in_memory, name


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_products_on_a_card_agree_with_the_processor(seed: int) -> None:
    """On a real card where there is one, else on one that is pretended."""
    rows = clustered(seed)
    expected = outcome(MemoryPool(torch.from_numpy(rows)), rows, seed)
    if torch.cuda.is_available():
        card = torch.device("cuda")
        assert outcome(MemoryPool(torch.from_numpy(rows).to(card)), rows, seed) == expected
        assert outcome(MemoryPool(torch.from_numpy(rows), device=card), rows, seed) == expected
        return
    with pretend_card(room=0):
        assert outcome(MemoryPool(torch.from_numpy(rows), device=CARD), rows, seed) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("on_ray")
@pytest.mark.parametrize("seed", range(20))
def test_two_ray_workers_agree_with_one_process(seed: int) -> None:
    from evenly.engine.ray_pool import RayPool

    rows = clustered(seed)
    pool = RayPool(rows, workers=2)
    assert outcome(pool, rows, seed) == outcome(MemoryPool(torch.from_numpy(rows)), rows, seed)
    pool.close()
