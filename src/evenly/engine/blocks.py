"""Cutting work into blocks and sharing them out among cores. Changes the time and never the result."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch

from evenly.types import Progress, silent

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_THREADS = "evenly-blocks"

SHARE_OF_CARD = 0.8
"""What is free on a card is not free in one piece, and other programs take of it too."""


ROWS_AT_ONCE = 2048
"""Rows of a pass over the pool that a thread has in memory at a time, where they lie in a mapped file."""

CHUNK_STEP = 64
"""See `even_chunk`."""


@dataclass(frozen=True)
class Blocks:
    """How the work is cut.

    Attributes:
        rows: rows of a product block.
        picks: columns of a product block, at most.
        threads: blocks at work at once.
    """

    rows: int = 4096
    picks: int = 1024
    threads: int = 1

    @property
    def low_rows(self) -> int:
        """Rows of a low slice."""
        return -(-self.rows // 4)

    def over(self, count: int, work: Callable[[slice], _Result], *, taper: bool = False) -> list[_Result]:
        """Runs ``work`` on consecutive slices that cover ``count`` rows, ``threads`` at once; results in order.

        Args:
            count: rows.
            work: takes a slice of them, of ``rows`` rows; the last may be of fewer.
            taper: whether the last slices are a quarter as high, so that all threads end at nearly the same time.

        One thread is the caller's own. So is that of a block which calls this: a thread that waited for its own kind
        would wait for ever.
        """
        if self.threads == 1 or threading.current_thread().name.startswith(_THREADS):
            return [work(block) for block in slices(count, self.rows)]
        high = max(count // self.rows - self.threads + 1, 0) * self.rows if taper else count
        low = slices(count, self.low_rows, start=high)
        threads = torch.get_num_threads()
        try:
            return list(_workers(self.threads).map(work, itertools.chain(slices(high, self.rows), low)))
        finally:
            torch.set_num_threads(
                threads
            )  # a worker that starts sets it to one for threads that come after it too

    def product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The product of a block, in memory that this thread's next product takes again.

        Blocks of ever new sizes, each allocated anew, would leave holes several times their size in the heap. In
        bfloat16 rows of zeros fill a block up to whole low slices: see `even_chunk`.
        """
        rows = len(left)
        missing = -rows % self.low_rows
        if missing and left.dtype == torch.bfloat16 and left.device.type == "cpu":
            left = torch.nn.functional.pad(left, (0, 0, 0, missing))
        size = len(left) * right.shape[1]
        if (_scratch.room.dtype, _scratch.room.device) != (left.dtype, left.device) or len(
            _scratch.room
        ) < size:
            _scratch.room = left.new_empty(max(size, self.rows * self.picks))
        return torch.mm(left, right, out=_scratch.room[:size].view(len(left), right.shape[1]))[:rows]


class _Scratch(threading.local):
    """Each thread's memory for products."""

    def __init__(self) -> None:
        self.room = torch.empty(0)


_scratch = _Scratch()


def default_blocks(device: torch.device) -> Blocks:
    """Blocks that suit the device: large ones for a card, one per core that this process may use otherwise."""
    return Blocks(rows=32768, picks=4096) if device.type == "cuda" else Blocks(threads=available_cores())


def card_room(device: torch.device) -> int:
    """Bytes of a card that codes and vectors may take of what is free; the rest is for the blocks at work."""
    return int(SHARE_OF_CARD * torch.cuda.mem_get_info(device)[0])


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slices(count: int, size: int, start: int = 0) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` that cover ``count``, but for what lies before ``start``."""
    return (slice(at, min(at + size, count)) for at in range(start, count, size))


def on_all_cores(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], progress: Progress = silent, stage: str = ""
) -> list[_Result]:
    """Results of ``work`` over tasks, in their order, one single-threaded task per core at a time."""
    done = itertools.count(1)

    def one(part: slice) -> _Result:
        result = work(tasks[part.start])
        progress(stage, next(done), len(tasks))
        return result

    return Blocks(rows=1, threads=available_cores()).over(len(tasks), one)


def over_rows(count: int, work: Callable[[slice], _Result]) -> list[_Result]:
    """Results of ``work`` over consecutive slices of so many rows, `ROWS_AT_ONCE` each, on all cores."""
    return Blocks(rows=ROWS_AT_ONCE, threads=available_cores()).over(count, work)


@contextmanager
def steady_torch() -> Iterator[None]:
    """Keeps torch operations of the calling thread on one core, and products at the precision that was asked for.

    Threads that wait for one another at the end of every small operation cost more than they save, most of
    all on a busy machine; the blocks have the cores. And the filter's error bound is that of sums in float32:
    settings that let torch add in less are put aside.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    cuda = torch.backends.cuda.matmul
    reduced = cuda.allow_bf16_reduced_precision_reduction
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    cuda.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        cuda.allow_bf16_reduced_precision_reduction = reduced


def even_chunk(count: int, most: int) -> int:
    """The size that cuts ``count`` into as few and as equal chunks as ``most`` allows, rounded up.

    Multiples of `CHUNK_STEP` only: for each new shape of a product the library compiles a kernel, which takes
    longer than the product, and about a megabyte.
    """
    chunks, step = -(-count // most), min(CHUNK_STEP, most)
    return -(-count // (chunks * step)) * step


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """Each thread runs its torch operations on one core."""
    return ThreadPoolExecutor(threads, _THREADS, initializer=torch.set_num_threads, initargs=(1,))
