"""Pools whose products are made on a card inherit the suite of every pool, on a card that is pretended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given

from evenly.engine import disk, distance, sharded
from evenly.engine.blocks import Blocks
from evenly.engine.disk import DiskPool, least_memory, share_out
from evenly.engine.greedy import Greedy, select, select_prepared
from evenly.engine.loop import central_row
from evenly.engine.memory import MemoryPool
from evenly.engine.placing import Backend
from evenly.engine.points import Points
from evenly.engine.pool import Pool
from evenly.errors import InputError
from tests.engine.invariants import PoolInvariants, relaxed
from tests.engine.pools import hard_pools
from tests.engine.pretend_card import CARD, OnCard, pretend_card
from tests.engine.test_disk_pool import on_disk

SMALL = Blocks(rows=37, picks=29)
ROOM = {"vectors on the card": 1 << 40, "codes on the card": 1 << 40, "codes sent by blocks": 0}
EACH = [pytest.param(holds, marks=[pytest.mark.slow] if ROOM[holds] else []) for holds in ROOM]


@pytest.mark.parametrize("holds", EACH)
class TestPoolOnCard(PoolInvariants):
    @pytest.fixture(autouse=True)
    def _card(self, holds: str) -> Iterator[None]:
        self.holds = holds
        with pretend_card(ROOM[holds]):
            yield

    def make(self, rows: np.ndarray) -> Pool:
        vectors, blocks = torch.from_numpy(rows), SMALL if len(rows) < 1000 else None
        if self.holds == "vectors on the card":
            return MemoryPool(vectors.to(CARD), blocks=blocks)
        return MemoryPool(vectors, device=CARD, blocks=blocks)


@pytest.mark.slow
class TestDiskPoolWithCard(PoolInvariants):
    """Blocks of 16 rows, little memory; codes go from scratch files to the card."""

    @pytest.fixture(autouse=True)
    def _card(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        for module in (distance, sharded, disk):
            monkeypatch.setattr(module, "ROWS_PER_SUM", 16)
        self.folder = tmp_path
        with pretend_card():
            yield

    def make(self, rows: np.ndarray) -> Pool:
        budget = share_out(*rows.shape, least_memory(*rows.shape) + 400 * len(rows))
        return DiskPool(on_disk(rows, self.folder), budget, self.folder, CARD)

    @relaxed
    @given(rows=hard_pools())
    def test_start_is_the_row_nearest_the_mean(self, rows: np.ndarray) -> None:
        assert central_row(self.make(rows)) == central_row(MemoryPool(torch.from_numpy(rows)))


@pytest.mark.parametrize("room", [0, 3_000_000, 1 << 40])
def test_the_engine_takes_of_the_card_what_it_has_room_for(tmp_path: Path, room: int) -> None:
    rows = np.random.default_rng(0).standard_normal((2000, 384)).astype(np.float32)
    plain = select_prepared(Points(rows, "euclidean"), 700)
    engine = Backend(tmp_path, device=CARD)
    assert engine.place(2000, 384).why.endswith("fit into memory, products on cuda:0")
    with pretend_card(room), engine.open(rows) as pool:
        assert isinstance(pool, MemoryPool)
        found = Greedy(700, "euclidean").run(pool)
        assert isinstance(pool.vectors, OnCard) == (room == 1 << 40)
        assert pool._codes is not None
        assert isinstance(pool._codes.rows, OnCard) == (room > 0)
    np.testing.assert_array_equal(found.rows, plain.rows)
    np.testing.assert_array_equal(found.radii, plain.radii)
    np.testing.assert_array_equal(found.keeper, plain.keeper)


@pytest.mark.parametrize("room", [0, 1 << 40])
def test_select_works_on_a_card(room: int) -> None:
    rows = np.random.default_rng(1).standard_normal((500, 48))
    plain = select(rows, 0.4)
    with pretend_card(room):
        found = select(rows, 0.4, device="cuda:0")
    np.testing.assert_array_equal(found.rows, plain.rows)
    np.testing.assert_array_equal(found.keeper_distance, plain.keeper_distance)


def test_the_pretended_card_fails_where_a_card_would() -> None:
    with pretend_card():
        there, here = torch.arange(3.0).to(CARD), torch.arange(3.0)
        assert there.device == (there + 1).device == torch.zeros(2, device=CARD).device == CARD
        assert there.cpu().device == here.device == torch.device("cpu")
        with pytest.raises(RuntimeError, match="mixes tensors"):
            there + here
        with pytest.raises(TypeError, match="can't convert"):
            there.numpy()
        here[:] = there + 1
    assert here.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("device", "said"), [("toaster", "must name a device that torch has here"), ("meta", "cpu or cuda")]
)
def test_a_device_that_cannot_select_is_one_line(device: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        select(np.eye(4), 2, device=device)
    assert "\n" not in str(error.value)
