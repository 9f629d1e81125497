"""Where the vectors of a pool live during selection: in memory, on disk within a budget, or on a Ray cluster."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Literal

import torch
from torch import Tensor

from evenly.engine.blocks import card_room
from evenly.engine.disk import (
    BYTES_PER_ROW,
    DiskPool,
    code_bytes,
    round_bytes,
    scratch_rows,
    share_out,
)
from evenly.engine.mapped import is_mapped, tensor_of
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Pool
from evenly.errors import InputError
from evenly.types import Float32Array
from evenly.words import size

Where = Literal["memory", "disk", "ray"]

PROCESSOR = torch.device("cpu")

SHARE_OF_FREE = 0.8
"""Without a budget, selection takes at most this share of the memory that is free."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Placement:
    """Where a pool will live.

    Attributes:
        where: memory, disk or ray.
        why: in words.
        memory: bytes that selection will hold at most on this machine.
        scratch: bytes of scratch files on disk.
    """

    where: Where
    why: str
    memory: int
    scratch: int


@dataclass(frozen=True)
class Backend:
    """What the user says of where selection works.

    Attributes:
        scratch: folder for scratch files.
        memory: bytes that selection may hold; None for what is free.
        ray: work on a Ray cluster.
        address: of the cluster; None starts one on this machine.
        device: where products are made: a card, or the processor.
    """

    scratch: Path = field(default_factory=lambda: Path(gettempdir()))
    memory: int | None = None
    ray: bool = False
    address: str | None = None
    device: torch.device = PROCESSOR

    def most_memory(self) -> int | None:
        """Bytes that work on vectors may hold: as the user says, else a share of what is free; None where unknown."""
        free = free_memory()
        return self.memory or (None if free is None else int(SHARE_OF_FREE * free))

    def place(self, rows: int, dimension: int) -> Placement:
        """Decides where a pool will live.

        Args:
            rows: N.
            dimension: d.

        Raises:
            InputError: it fits nowhere; the message says what would help.
        """
        # Normalised where they are, or in a copy that stands for a mapped file.
        vectors = 4 * rows * dimension
        whole = vectors + rows * (code_bytes(dimension) + BYTES_PER_ROW) + round_bytes(rows, dimension)
        if self.ray:
            where = f"the cluster at {self.address}" if self.address else "a Ray cluster on this machine"
            return Placement("ray", f"shards on {where}", vectors, 0)
        free = free_memory()
        products = "" if self.device.type == "cpu" else f", products on {self.device}"
        if self.memory is None and (free is None or whole <= SHARE_OF_FREE * free):
            return Placement("memory", f"{size(whole)} fit into memory{products}", whole, 0)
        if self.memory is not None and whole <= self.memory:
            fit = f"{size(whole)} fit into the {size(self.memory)} allowed{products}"
            return Placement("memory", fit, whole, 0)
        budget = self.memory or int(SHARE_OF_FREE * (free or 0))
        share_out(rows, dimension, budget)  # says where even the disk does not help
        scratch = vectors + rows * code_bytes(dimension)
        self._check_disk(scratch)
        limit = f"the {size(budget)} allowed" if self.memory else f"the {size(budget)} that are free"
        return Placement("disk", f"{size(whole)} do not fit into {limit}{products}", budget, scratch)

    def _check_disk(self, scratch: int) -> None:
        folder = next(place for place in (self.scratch, *self.scratch.parents) if place.exists())
        free = shutil.disk_usage(folder).free
        if scratch > free:
            raise InputError(
                f"selection needs {size(scratch)} of scratch files in {self.scratch}, where {size(free)} are "
                "free; make room there, name another folder with EVENLY_CACHE, or raise `memory`"
            )

    @contextmanager
    def joined(self) -> Iterator[None]:
        """On Ray: a member of the cluster for the time of a ``with`` block."""
        if not self.ray:
            yield
            return
        from evenly.engine.ray_pool import cluster

        with cluster(self.address):
            yield

    def room(self, rows: int, dimension: int) -> Float32Array | None:
        """Where vectors are to be written: a scratch file for a pool on disk, None for an array in memory."""
        on_disk = self.place(rows, dimension).where == "disk"
        return scratch_rows(rows, dimension, self.scratch) if on_disk else None

    @contextmanager
    def open(self, rows: Float32Array) -> Iterator[Pool]:
        """A new pool of (N, d) float32 rows, mapped or in memory."""
        if self.ray:
            from evenly.engine.ray_pool import RayPool

            with self.joined():
                pool = RayPool(rows)
                try:
                    yield pool
                finally:
                    pool.close()
            return
        # Rows in memory stay there: they are no longer part of what is free.
        placement = self.place(*rows.shape) if is_mapped(rows) else None
        if placement is not None and placement.where == "disk":
            budget = share_out(len(rows), rows.shape[1], placement.memory)
            yield DiskPool(rows, budget, self.scratch, self.device)
        else:
            yield memory_pool(tensor_of(rows), self.device)


def memory_pool(rows: Tensor, device: torch.device) -> MemoryPool:
    """The pool of (N, d) float32 rows in memory, its products on a device; all of it on a card that has room for it.

    Raises:
        InputError: a device that is neither the processor nor CUDA: others lack the float64 of exact distances.
    """
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"selection works on cpu or cuda, not on {device.type}; leave the device out")
    if device.type != "cpu":
        count, dimension = rows.shape
        whole = count * (4 * dimension + code_bytes(dimension) + BYTES_PER_ROW)
        if whole <= card_room(device):
            rows = rows.to(device)
    return MemoryPool(rows, device=device)


def read_memory(text: str) -> int:
    """Bytes from "2GB", "512MiB", "1.5G" or a plain number.

    Raises:
        InputError: something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)(B?)\s*", text, re.IGNORECASE)
    if found is None or (found[3] and not found[2]) or float(found[1]) == 0:
        raise InputError(f"`memory` must be a size such as 2GB or 512MiB; got {text!r}")
    units = _BINARY_UNITS if found[3] else _UNITS
    return int(float(found[1]) * units[found[2].upper()])


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine, or of the control group it runs in."""
    limits = []
    try:
        available = Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]
        limits.append(int(available) * 1024)
    except (OSError, IndexError):
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        limits.append(most - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no control group, or one without a limit
    return min(limits) if limits else None
