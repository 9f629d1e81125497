"""The pool on a Ray cluster: shards in worker processes, exact and identical to one machine.

A round costs one exchange: each worker offers its farthest rows, the loop runs here on the union, the picks go out
once through the object store. The picks stay there, so a worker that dies is replaced by a new one that loads the
same shard and is covered with all of them again. No other module imports ray.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from evenly.engine.blocks import available_cores, default_blocks, steady_torch
from evenly.engine.distance import ROWS_PER_SUM
from evenly.engine.mapped import MappedRows, mapped_rows, tensor_of
from evenly.engine.memory import MemoryPool
from evenly.engine.pool import Candidates, Pool
from evenly.engine.sharded import Answer, ShardedPool, join_candidates
from evenly.errors import InputError, MissingExtraError, first_line
from evenly.types import Float32Array, Float64Array, Int64Array

try:
    import ray
    from ray.exceptions import GetTimeoutError, RayActorError, RayError, RaySystemError, RayTaskError
except ImportError:
    raise MissingExtraError("`engine` ray", "ray") from None

ATTEMPTS = 3
"""A shard whose worker dies so many times in a row, on one question, cannot be helped by another worker."""

CONNECT_SECONDS = 5.0
"""A plain connection that takes longer goes nowhere."""

JOIN_SECONDS = 30.0
"""Python and Ray take several seconds to start on a busy machine; a cluster that is there answers then."""

START_SECONDS = 120.0
"""Starting a worker loads torch over what may be a network file system; beyond this the cluster lacks the CPUs."""


Job = TypeVar("Job")
Done = TypeVar("Done")


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Joins the Ray cluster at an address, or starts one on this machine; leaves it at the end.

    Args:
        address: ``host:port``, ``ray://host:port``, ``auto`` for the cluster that this machine belongs to, or None.
            A program that has joined a cluster already stays in that one.

    Raises:
        InputError: the address does not answer.
    """
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=available_cores(), include_dashboard=False, **quiet)
    else:
        _check_answers(address)
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RaySystemError, RuntimeError, ValueError) as error:
            raise _no_answer(address, first_line(error)) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes, and may end the process; so a plain connection and then a child try first."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"`ray_address` must be host:port, ray://host:port or auto; got {address!r}")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(address, getattr(error, "strerror", None) or str(error)) from None
    join = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')"
    try:
        subprocess.run(
            [sys.executable, "-c", join, address], capture_output=True, check=True, timeout=JOIN_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _no_answer(address, f"no Ray cluster within {JOIN_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise _no_answer(address, lines[-1][:200]) from None


def _no_answer(address: str, reason: str) -> InputError:
    return InputError(
        f"the Ray cluster at {address} does not answer ({reason}); see `ray status` there, "
        "or leave `ray_address` out to use this machine"
    )


@dataclass(frozen=True)
class _Farthest:
    """A question whose answer travels as arrays, which the object store hands over without copying."""

    count: int

    def __call__(self, shard: Pool) -> tuple[Int64Array, Float64Array, Any, tuple[float, int] | None]:
        found = shard.farthest(self.count)
        return found.rows, found.squared_distances, found.vectors.numpy(), found.rest


@dataclass(frozen=True)
class _Cover:
    """Some picks of a round."""

    vectors: Any
    labels: Int64Array

    def __call__(self, shard: Pool) -> None:
        shard.cover(torch.tensor(self.vectors), self.labels.copy())


class _Worker:
    """A memory pool over one shard, in a process of its own."""

    def load(self, source: Float32Array | MappedRows, first_row: int, threads: int) -> None:
        rows = tensor_of(source.open() if isinstance(source, MappedRows) else source)
        blocks = replace(default_blocks(rows.device), threads=threads)
        self._pool = MemoryPool(rows, first_row=first_row, blocks=blocks)

    def answer(self, loaded: None, question: Callable[[Pool], Answer]) -> Answer:
        """Answers once ``loaded``, what `load` returned, is there; fails as `load` failed."""
        with steady_torch():
            return question(self._pool)


@dataclass(frozen=True)
class _Started:
    """A worker, whether its process runs, and what its `load` will return."""

    actor: Any
    ready: Any
    loaded: Any


class RayPool(ShardedPool):
    """Shards on the workers of the cluster that this program has joined (see `cluster`).

    Args:
        vectors: (N, d) float32. Those of a memory-mapped file are read from it by each worker; others travel
            through the object store.
        workers: processes, at most; None starts one for each machine, or two on one machine.

    Raises:
        InputError: the cluster has no room for the workers, or a worker cannot read its shard.

    Memory: each worker holds its shard, as a `MemoryPool` does; the object store holds the picks.
    """

    def __init__(self, vectors: Float32Array, *, workers: int | None = None) -> None:
        self._covered: list[Any] = []  # references to the `_Cover` of each round
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        wanted = workers or max(2, sum(cpus > 0 for cpus in nodes))
        size = -(-len(vectors) // (wanted * ROWS_PER_SUM)) * ROWS_PER_SUM
        self._first_rows = list(range(0, len(vectors), size))
        self._threads = max(1, min(sum(nodes) // len(self._first_rows), max(nodes, default=1)))
        self._sources = [_source(vectors, slice(start, start + size)) for start in self._first_rows]
        self._workers = [self._start(number) for number in range(len(self._first_rows))]
        self._open()

    def close(self) -> None:
        """Ends the workers and forgets the picks."""
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers, self._sources, self._covered = [], [], []

    def farthest(self, count: int) -> Candidates:
        offers = self._ask(_Farthest(self._share(count)))
        tensors = [
            Candidates(rows, squared, torch.tensor(vectors), rest) for rows, squared, vectors, rest in offers
        ]
        return join_candidates(tensors, count)

    def cover(self, vectors: Tensor, labels: Int64Array) -> None:
        picks = ray.put(_Cover(vectors.numpy(), labels))
        self._collect(picks)
        self._covered.append(picks)

    def forget(self) -> None:
        super().forget()
        self._covered.clear()

    def _ask(self, question: Callable[[Pool], Answer]) -> list[Answer]:
        return self._collect(ray.put(question))

    def _ask_one(self, number: int, question: Callable[[Pool], Answer]) -> Answer:
        packed = ray.put(question)
        answer: Answer = self._receive(number, packed, self._send(number, packed))
        return answer

    def _collect(self, packed: Any) -> list[Any]:
        """Asks all workers at once and waits for all answers."""
        waiting = [self._send(number, packed) for number in range(len(self._workers))]
        return [self._receive(number, packed, answer) for number, answer in enumerate(waiting)]

    def _send(self, number: int, packed: Any) -> Any:
        worker = self._workers[number]
        return worker.actor.answer.remote(worker.loaded, packed)

    def _receive(self, number: int, packed: Any, answer: Any) -> Any:
        """An answer; where the worker died, that of a new one which is brought to the same state."""
        deaths = 0
        while True:
            try:
                ray.get(self._workers[number].ready, timeout=START_SECONDS)
                return _got(answer, f"worker {number}")
            except GetTimeoutError:
                raise InputError(
                    f"the Ray cluster has no room for {len(self._workers)} workers of {self._threads} CPUs: "
                    f"worker {number} waited {START_SECONDS:.0f} s; free CPUs (see `ray status`) or ask for fewer"
                ) from None
            except RayActorError as error:
                deaths += 1
                if deaths == ATTEMPTS:
                    raise self._lost(number, error) from None
            self._workers[number] = self._start(number)
            for picks in self._covered:
                self._send(number, picks)
            answer = self._send(number, packed)

    def _start(self, number: int) -> _Started:
        """A worker on its way to holding a shard."""
        actor = ray.remote(num_cpus=self._threads, max_restarts=0)(_Worker).remote()
        ready = actor.__ray_ready__.remote()
        source, first_row = self._sources[number], self._first_rows[number]
        return _Started(actor, ready, actor.load.remote(source, first_row, self._threads))

    def _lost(self, number: int, error: RayActorError) -> InputError:
        lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
        reason = next((line for line in lines if "memory" in line.lower()), lines[0])[:200]
        return InputError(
            f"worker {number} of {len(self._first_rows)} died {ATTEMPTS} times in a row ({reason}); where memory "
            "ran out, add machines or memory. The picks so far are kept: the same command goes on from them"
        )


def _source(vectors: Float32Array, part: slice) -> Any:
    """What a worker loads its shard from: a place in a file, or a reference that Ray turns into the array."""
    on_disk = mapped_rows(vectors)
    return on_disk.part(part) if on_disk else ray.put(vectors[part])


def _got(answer: Any, who: str) -> Any:
    """The answer that a reference stands for; a worker's own failure in one line where the user can mend it."""
    try:
        return ray.get(answer)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from None
        if isinstance(cause, MemoryError) or "memory" in str(cause):
            raise InputError(
                f"{who} ran out of memory ({first_line(cause)[:200]}); add machines or memory, or more "
                "and smaller workers. The picks so far are kept: the same command goes on from them"
            ) from None
        raise


def over_cluster(work: Callable[[Job], Done], jobs: Iterable[Job]) -> Iterator[Done]:
    """Runs jobs as tasks on the cluster, one to a CPU, and yields their results in order.

    Ray runs the task of a lost worker again. Twice as many jobs as CPUs are under way at most.

    Args:
        work: a function that a worker can import.
        jobs: what it is called with.

    Raises:
        InputError: as ``work`` raised it, or where workers keep dying.
    """
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(lambda job: work(job))
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Any] = deque()
    try:
        for job in jobs:
            waiting.append(task.remote(job))
            if len(waiting) > most:
                yield _got(waiting.popleft(), "a worker")
        while waiting:
            yield _got(waiting.popleft(), "a worker")
    except RayError as error:
        if isinstance(error, RayTaskError):
            raise
        reason = first_line(error)[:200]
        raise InputError(f"workers of the Ray cluster keep dying ({reason}); see `ray status`") from None
    finally:
        for left in waiting:
            ray.cancel(left)
