"""The Ray pool against the memory pool, with workers that die; an address where nothing answers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from evenly.engine.constraints import Constraints
from evenly.engine.greedy import Greedy
from evenly.engine.loop import Order, central_row, extend_order
from evenly.engine.memory import MemoryPool
from evenly.engine.mixture import Mixture
from evenly.engine.pool import Pool
from evenly.errors import InputError

pytest.importorskip("ray", reason="the extra ray is not installed")

Outcome = tuple[list[int], list[float], list[int], list[float]]


@pytest.fixture(scope="module")
def two_cores() -> Iterator[None]:
    from evenly.engine.ray_pool import cluster

    with cluster():
        yield


def clustered(rows: int, dimension: int = 32) -> np.ndarray:
    rng = np.random.default_rng(rows)
    pool = rng.standard_normal((9, dimension))[rng.integers(0, 9, rows)]
    pool = (pool + 0.3 * rng.standard_normal((rows, dimension))).astype(np.float32)
    pool[rows // 2 : rows // 2 + rows // 10] = pool[: rows // 10]
    return pool


def outcome(pool: Pool, count: int, after_round: object = lambda order: None) -> Outcome:
    start = central_row(pool)
    order = Order([start], [np.inf])
    pool.cover(pool.take(np.array([start])), np.array([start]))
    extend_order(pool, order, count, after_round=after_round)
    keeper, squared = pool.cover_result()
    return order.rows, order.squared_radii, keeper.tolist(), squared.tolist()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "256.0.0.1:80"])
def test_an_address_that_does_not_answer_is_one_line(address: str) -> None:
    from evenly.engine.ray_pool import cluster

    with pytest.raises(InputError, match=r"ray_address` must be|does not answer") as error, cluster(address):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_something_else_that_listens_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    from evenly.engine import ray_pool

    monkeypatch.setattr(ray_pool, "JOIN_SECONDS", 3.0)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(InputError, match="does not answer"), ray_pool.cluster(address):
            pass


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
class TestOnTwoWorkers:
    @pytest.mark.parametrize("rows", [700, 6000])
    def test_order_radii_and_cover_equal_one_process(self, rows: int) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(rows)
        pool = RayPool(vectors, workers=2)
        assert outcome(pool, rows // 2) == outcome(MemoryPool(torch.from_numpy(vectors)), rows // 2)
        pool.close()

    def test_parts_take_turns_as_in_one_process(self) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(3000)
        group = np.random.default_rng(0).integers(0, 3, 3000)
        asked = Constraints(mixture=Mixture(("a", "b", "c"), group, np.array([5, 3, 2])))
        pool = RayPool(vectors, workers=2)
        found = Greedy(900, "euclidean", asked).run(pool)
        expected = Greedy(900, "euclidean", asked).run(MemoryPool(torch.from_numpy(vectors)))
        assert found.rows.tolist() == expected.rows.tolist()
        pool.close()

    def test_workers_read_a_mapped_file(self, tmp_path: Path) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(3000)
        np.save(tmp_path / "vectors.npy", vectors)
        mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
        pool = RayPool(mapped, workers=2)
        assert outcome(pool, 900) == outcome(MemoryPool(torch.from_numpy(vectors)), 900)
        pool.close()

    def test_a_worker_killed_in_each_of_ten_rounds_changes_nothing(self) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(8192)
        pool = RayPool(vectors, workers=2)
        killed = []

        def kill_one(order: Order) -> None:
            if len(killed) < 10:
                number = len(killed) % 2
                killed.append(pool._ask_one(number, lambda shard: os.getpid()))
                os.kill(killed[-1], signal.SIGKILL)

        expected = outcome(MemoryPool(torch.from_numpy(vectors)), 4000)
        assert outcome(pool, 4000, kill_one) == expected
        assert len(set(killed)) == 10
        pool.close()

    def test_a_pool_that_forgot_its_picks_is_as_new(self) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(3000)
        pool = RayPool(vectors, workers=2)
        expected = outcome(pool, 2500)
        pool.forget()
        os.kill(pool._ask_one(1, lambda shard: os.getpid()), signal.SIGKILL)
        assert outcome(pool, 2500) == expected
        pool.close()

    def test_a_worker_that_dies_every_time_is_one_line(self) -> None:
        from evenly.engine.ray_pool import RayPool

        pool = RayPool(clustered(1024), workers=1)
        with pytest.raises(InputError, match="worker 0 of 1 died 3 times in a row") as error:
            pool._ask_one(0, lambda shard: os.kill(os.getpid(), signal.SIGKILL))
        assert "\n" not in str(error.value)
        pool.close()

    def test_what_a_worker_cannot_do_is_one_line(self, tmp_path: Path) -> None:
        from evenly.engine.ray_pool import RayPool

        vectors = clustered(2048)
        np.save(tmp_path / "vectors.npy", vectors)
        mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
        os.truncate(tmp_path / "vectors.npy", 1000)
        with pytest.raises(InputError, match=r"vectors\.npy cannot be read"):
            RayPool(mapped, workers=2)
        pool = RayPool(vectors, workers=1)
        with pytest.raises(InputError, match="worker 0 ran out of memory"):
            pool._ask_one(0, lambda shard: torch.empty(1 << 46).sum())
        pool.close()

    def test_tasks_come_back_in_order(self) -> None:
        from evenly.engine.ray_pool import over_cluster

        assert list(over_cluster(lambda number: str(number), range(12))) == [
            str(number) for number in range(12)
        ]
