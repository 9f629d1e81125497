"""The memory pool inherits the suite of every pool; here its fast paths are also made to run where they would not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from evenly.engine.blocks import Blocks
from evenly.engine.compiled import LOOPS
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Pool
from tests.engine.invariants import PoolInvariants

VARIANTS = {
    "default": {},
    "small blocks": {"blocks": Blocks(rows=37, picks=29, threads=2)},
    "one thread": {"blocks": Blocks(rows=64, picks=64, threads=1)},
    "float32 filter": {"dtype": torch.float32},
    "bfloat16 filter": {"dtype": torch.bfloat16},
    "three components": {"components": 3},
    "one component in float32": {
        "components": 1,
        "dtype": torch.float32,
        "blocks": Blocks(rows=48, picks=48),
    },
}


SLOW = {"one thread", "one component in float32"}
EACH_VARIANT = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in VARIANTS]


@pytest.mark.parametrize("variant", EACH_VARIANT)
class TestMemoryPool(PoolInvariants):
    @pytest.fixture(autouse=True)
    def _variant(self, variant: str) -> None:
        self.options = VARIANTS[variant]

    @pytest.fixture(autouse=True)
    def _torch_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LOOPS, "after_pairs", 10**12)

    def make(self, rows: np.ndarray) -> Pool:
        return MemoryPool(torch.from_numpy(rows), **self.options)


@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
@pytest.mark.parametrize("variant", ["default", "small blocks", "float32 filter", "three components"])
class TestMemoryPoolCompiled(PoolInvariants):
    """The compiled loops from the first pair on."""

    @pytest.fixture(autouse=True)
    def _variant(self, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options = VARIANTS[variant]
        monkeypatch.setattr(LOOPS, "after_pairs", -1)

    def make(self, rows: np.ndarray) -> Pool:
        return MemoryPool(torch.from_numpy(rows), **self.options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("home", ["cuda", "cpu"])
class TestMemoryPoolOnCuda(PoolInvariants):
    """Vectors on the card, or in main memory and the products alone on the card."""

    @pytest.fixture(autouse=True)
    def _home(self, home: str) -> None:
        self.home = home

    def make(self, rows: np.ndarray) -> Pool:
        return MemoryPool(torch.from_numpy(rows).to(self.home), device=torch.device("cuda"))


def test_tiles_within_tiles_do_not_wait_for_each_other() -> None:
    blocks = Blocks(rows=4, threads=2)
    found = blocks.over(10, lambda block: blocks.over(6, lambda inner: (block.start, inner.start)))
    assert found == [[(start, inner) for inner in (0, 4)] for start in (0, 4, 8)]


@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
def test_torch_serves_where_compiled_loops_cannot_be_kept() -> None:
    program = (
        "import numba.core.caching as caching\n"
        "caching.CompileResultCacheImpl._locator_classes = []  # as where no folder can be written to\n"
        "from evenly.engine.compiled import LOOPS\n"
        "assert LOOPS.load() is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
@pytest.mark.skipif(LOOPS.load() is None, reason="numba is not installed")
def test_threads_that_meet_where_the_loops_are_compiled() -> None:
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from evenly.engine.compiled import LOOPS\n"
        "with ThreadPoolExecutor(8) as threads:\n"
        "    found = list(threads.map(lambda _: LOOPS.load(), range(8)))\n"
        "assert all(each is found[0] for each in found)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
