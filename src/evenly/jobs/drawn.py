"""The rows of a comparison: drawn from the sources, embedded, and opened as pools that arms are picked from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from evenly.checks import check_metric
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.opened import OpenedPool, backend_of, check_request, embedded_rows, read_pool
from evenly.request import PoolRequest
from evenly.rows.chat import Conversation, conversation
from evenly.rows.rows import Rows
from evenly.rows.sources import part_of
from evenly.train.settings import Request
from evenly.types import Int64Array, Progress, silent
from evenly.vectors.registry import encoder_named

WARM_UP_ROWS = 20_000
"""Rows outside the pool that the proxy may be warmed up on: more than it sees in its warm-up."""
TIMED = (32, 256)
"""Rows that are embedded anew to say what embedding costs where the cache holds vectors: the first number shows what
loading costs, the difference what a row costs."""


@dataclass(frozen=True, eq=False)
class DrawnPool:
    """The rows of a comparison and those outside it.

    Attributes:
        request: which rows, and how they are embedded.
        all_rows: those of the sources.
        rows: those of the pool, in memory.
        members: (P,) int64, their row numbers in the sources: pool row i is row members[i].
        outside: row numbers of the sources that are in no arm and no test, for warming up the proxy.
    """

    request: PoolRequest
    all_rows: Rows
    rows: Rows
    members: Int64Array
    outside: Int64Array

    def messages(self) -> list[Conversation]:
        """The rows of the pool as turns, with all that trainers know of them."""
        return [conversation(self.rows.whole(row)) for row in range(len(self.rows))]

    def messages_outside(self) -> list[Conversation]:
        """Rows outside the pool as turns."""
        return [conversation(self.all_rows.whole(int(row))) for row in self.outside]

    def sources(self) -> list[str]:
        """The short name of the source of every row of the pool."""
        numbers = np.searchsorted(self.rows.starts, np.arange(len(self.rows)), side="right") - 1
        return [self.rows.source_names[number] for number in numbers.tolist()]

    @contextmanager
    def open(
        self,
        request: PoolRequest | None = None,
        among: Int64Array | None = None,
        progress: Progress = silent,
    ) -> Iterator[tuple[OpenedPool, float]]:
        """Some rows of the pool, embedded, and the seconds that embedding them costs.

        Where vectors may come from the cache the seconds are scaled up from a few rows that are embedded anew.

        Args:
            request: how to embed, where not as the pool is.
            among: (C,) ascending pool row numbers; None for all.
            progress: called as texts are embedded.
        """
        asked = self.request if request is None else request
        chosen = np.arange(len(self.members)) if among is None else among
        rows = self.rows
        if among is not None or (asked.text, asked.part) != (self.request.text, self.request.part):
            rows = part_of(self.rows, chosen, text=asked.text, part=asked.part)
        backend = backend_of(asked)
        started = time.perf_counter()
        with backend.joined():
            if encoder_named(asked.encoder).any_rows:
                found = embedded_rows(asked, rows, backend=backend, progress=progress)
            else:
                found = embedded_rows(asked, self.all_rows, progress=progress)
                found = replace(found, vectors=found.vectors[self.members[chosen]], tokens=None)
            seconds = time.perf_counter() - started
            if asked.use_cache and found.tokens is not None:
                seconds = _seconds_anew(asked, rows)
            points = Points.prepared(found.vectors, check_metric(asked.metric), backend)
            yield (
                OpenedPool.of(asked, rows, points, found),
                seconds,
            )


def _seconds_anew(request: PoolRequest, rows: Rows) -> float:
    """What embedding rows costs where nothing is cached, from some of them."""
    anew, spent = replace(request, use_cache=False), []
    for count in TIMED:
        some = part_of(rows, _spread(len(rows), count), text=request.text, part=request.part)
        started = time.perf_counter()
        embedded_rows(anew, some)
        spent.append(time.perf_counter() - started)
    if len(rows) <= TIMED[-1]:
        return spent[-1]
    each = max(spent[1] - spent[0], 0.0) / (TIMED[1] - TIMED[0])
    return spent[1] + each * (len(rows) - TIMED[1])


def _spread(rows: int, count: int) -> Int64Array:
    return np.unique(np.linspace(0, rows - 1, min(rows, count)).astype(np.int64))


def part_of_pool(pool: OpenedPool, among: Int64Array) -> OpenedPool:
    """Some rows of an opened pool as one of their own; their vectors are not made again."""
    rows = part_of(pool.rows, among, text=pool.request.text, part=pool.request.part)
    tokens = None if pool.tokens is None else pool.tokens[among]
    return replace(pool, rows=rows, points=pool.points.part(among), tokens=tokens)


def draw_pool(request: Request, progress: Progress = silent) -> DrawnPool:
    """Reads sources and draws the pool from them, always the same for the same sources and size.

    Raises:
        InputError: no source, or something of it that cannot be used; no such encoder.
    """
    if not request.sources:
        raise InputError(
            "no source was named; name a file, a folder or a dataset id, or put sources into the recipe"
        )
    asked = request.pool_request()
    check_request(asked)
    rows = read_pool(asked, progress=progress)
    count = len(rows) if request.pool is None else request.pool
    if not 1 <= count <= len(rows):
        raise InputError(f"`pool` {count} must lie between 1 and the {len(rows)} rows of the sources")
    order = np.random.default_rng([0, 7]).permutation(len(rows))
    members = np.sort(order[:count])
    drawn = part_of(rows, members, text=asked.text, part=asked.part)
    return DrawnPool(asked, rows, drawn, members, order[count : count + WARM_UP_ROWS])
