"""Before long work: how large a pool is, where it will live, and what embedding and selecting will cost.

Seconds come from a short measurement on this machine: some of the texts are embedded (their vectors stay in the
cache), and a part of the vectors is selected from. A rough figure: within a factor of about 1.5 on a machine whose
load does not change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from evenly.checks import check_metric
from evenly.engine.blocks import default_blocks, steady_torch
from evenly.engine.compiled import LOOPS
from evenly.engine.disk import DiskPool, DiskShares, scratch_rows, share_out
from evenly.engine.filter import product_dtype
from evenly.engine.greedy import Greedy
from evenly.engine.memory import PAIRS_PER_ROW
from evenly.engine.placing import PROCESSOR, Backend, memory_pool
from evenly.engine.points import Points
from evenly.engine.pool import Pool
from evenly.opened import backend_of, embedded_rows
from evenly.request import PoolRequest
from evenly.rows.index import KeyArray
from evenly.rows.rows import Rows
from evenly.types import Float32Array, Int64Array, Metric
from evenly.vectors.cache import Cache
from evenly.vectors.embedding import distinct, embed_texts
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.kind import Encoder
from evenly.vectors.registry import encoder_of
from evenly.words import rough_duration, size

MEASURED_SECONDS = 1.0
SLOW_SECONDS = 20.0
"""Where the first texts take so long, waking up is little of it, and nobody waits for as many again."""
FIRST_TEXTS = 64
FIRST_ROWS = 4096
MOST_ROWS = 16 * FIRST_ROWS

MEASURED_SHARE = 0.04
"""A larger sample is taken while the last one took less than half of `MEASURED_SECONDS`, or than this of the whole."""

PRODUCT_SHAPE = (8192, 1024)
"""Rows and picks of the product that says how many pairs a second this machine multiplies."""
PRODUCT_SECONDS = 0.1


@dataclass(frozen=True)
class Plan:
    """What a run will need.

    Attributes:
        rows: N.
        dimension: d.
        keep: picks asked for, where the budget says how many; else 0.
        cached, to_embed: distinct texts whose vectors are and are not in the cache; both 0 for given vectors.
        where, why: where selection will hold the pool.
        memory: bytes that selection will hold at most.
        scratch: bytes of scratch files.
        seconds: predicted, for the stages "embed" and "select".
        measured_on: how many texts and rows the seconds were measured on.
        embedding_memory: bytes that embedding will hold beside the vectors, where a large model embeds; else 0.
    """

    rows: int
    dimension: int
    keep: int
    cached: int
    to_embed: int
    where: str
    why: str
    memory: int
    scratch: int
    seconds: dict[str, float]
    measured_on: dict[str, int]
    embedding_memory: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """As a person reads it."""
        first = f"{self.rows:,} rows of {self.dimension} numbers"
        if self.cached or self.to_embed:
            first += f"; {self.to_embed:,} distinct texts to embed, {self.cached:,} in the cache"
        scratch = f", {size(self.scratch)} of scratch files" if self.scratch else ""
        if self.embedding_memory:
            first += f"; embedding holds about {size(self.embedding_memory)} beside them"
        return [
            first,
            f"selection works {PLACES[self.where]}: {self.why}",
            f"it will hold up to {size(self.memory)}{scratch}",
            f"embedding about {rough_duration(self.seconds['embed'])}, selecting {self.keep:,} about "
            f"{rough_duration(self.seconds['select'])} (measured on {self.measured_on['texts']:,} texts and "
            f"{self.measured_on['rows']:,} rows)",
        ]


PLACES = {"memory": "in memory", "disk": "from disk", "ray": "on Ray"}


def plan_rows(request: PoolRequest, picks: int, rows: Rows, given: Float32Array | None = None) -> Plan:
    """What a selection of so many of the rows, which are read already, will cost.

    Args:
        request: how they are embedded.
        picks: how many of them.
        rows: N of them.
        given: their vectors, where these are there already.

    Raises:
        InputError: what is asked fits nowhere.
    """
    metric = check_metric(request.metric)
    engine, cache, kind = backend_of(request), Cache.of(request), encoder_of(request).for_pool(rows, request)
    if given is None and isinstance(kind, EmbeddingKind):
        encoder, (texts, keys) = kind.load(request), kind.texts(rows)
        dimension = encoder.dimension
        engine.place(len(rows), dimension)  # refuses before anything is measured
        embedding = _measure_embedding(texts, keys, encoder, cache)
        known = _cached_rows(keys, encoder, cache)
        sample = curved_rows(min(len(rows), MOST_ROWS), dimension) if known is None else known
    else:
        vectors = embedded_rows(request, rows).vectors if given is None else given
        embedding = _Embedding(0, 0, 0.0, 0)
        dimension = vectors.shape[1]
        sample = vectors[_spread(len(vectors))]
    placement = engine.place(len(rows), dimension)
    on_disk = share_out(len(rows), dimension, placement.memory) if placement.where == "disk" else None
    seconds, measured = _measure_selection(sample, len(rows), picks, metric, on_disk, engine)
    return Plan(
        rows=len(rows),
        dimension=dimension,
        keep=picks,
        cached=embedding.cached,
        to_embed=embedding.missing,
        where=placement.where,
        why=placement.why,
        memory=placement.memory,
        scratch=placement.scratch,
        seconds={"embed": embedding.seconds, "select": seconds},
        measured_on={"texts": embedding.measured, "rows": measured},
        embedding_memory=embedding.memory,
    )


@dataclass(frozen=True)
class _Embedding:
    """Distinct texts cached and missing, predicted seconds for the missing, how many were measured, and the bytes
    that the encoder held."""

    cached: int
    missing: int
    seconds: float
    measured: int
    memory: int = 0


def _measure_embedding(
    texts: Sequence[str], keys: KeyArray, encoder: Encoder, cache: Cache | None
) -> _Embedding:
    first, _ = distinct(keys)
    known = cache.store(encoder).known(keys[first]) if cache else np.zeros(len(first), dtype=bool)
    missing = first[~known]
    if not len(missing):
        return _Embedding(len(first), 0, 0.0, 0)
    shuffled = np.random.default_rng(0).permutation(missing)
    at, size, spent = 0, FIRST_TEXTS, 0.0
    while at < len(shuffled):
        part = [texts[row] for row in shuffled[at : at + size].tolist()]
        started = time.perf_counter()
        embed_texts(part, encoder, cache=cache)
        spent, at = time.perf_counter() - started, at + len(part)
        if spent >= MEASURED_SECONDS and (at > FIRST_TEXTS or spent >= SLOW_SECONDS):
            break
        size = max(FIRST_TEXTS, int(size * min(4.0, 1.25 * MEASURED_SECONDS / max(spent, 1e-3))))
    left = len(missing) - at
    # The last part alone: the first ones also pay for waking up.
    return _Embedding(int(known.sum()), len(missing), spent / len(part) * left, at, encoder.memory)


def _measure_selection(
    sample: Float32Array, rows: int, keep: int, metric: Metric, on_disk: DiskShares | None, engine: Backend
) -> tuple[float, int]:
    """Predicted seconds for a pool of so many rows, and the rows measured on.

    Args:
        sample: rows in random order that are like those of the pool.
        rows: N.
        keep: picks.
        metric: of all distances.
        on_disk: how a pool on disk shares out its memory; None for one in memory.
        engine: where it works.
    """

    starting = 0.0  # what a process pays once: threads, kernels, compiled loops

    def timed(size: int) -> float:
        nonlocal starting
        with LOOPS.counting_anew():  # the run to come is another process
            first = once(size)
        with LOOPS.counting_anew():
            again = once(size)
        best = min(first, again)  # other work on the machine only adds
        starting += first - best
        return best

    def once(size: int) -> float:
        part, count = np.array(sample[:size]), max(1, keep * size // rows)
        if on_disk is not None:
            mapped = scratch_rows(size, part.shape[1], engine.scratch)
            mapped[:] = part
        started = time.perf_counter()
        if engine.device.type == "cpu":
            LOOPS.for_pairs(PAIRS_PER_ROW * rows)  # as that run does at once, where its pool is large
        points = Points.prepared(part if on_disk is None else mapped, metric, engine)
        pool: Pool
        if on_disk is None:
            pool = memory_pool(points.tensor, engine.device)
        else:
            pool = DiskPool(points.vectors, on_disk.scaled(size / rows), engine.scratch, engine.device)
        Greedy(count, metric).run(pool)
        return time.perf_counter() - started

    timed(min(FIRST_ROWS // 8, len(sample)))
    rate = pairs_per_second(sample.shape[1], engine.device)
    sizes = [min(FIRST_ROWS, len(sample))]
    spent = [timed(sizes[0])]
    while True:
        predicted = predicted_seconds(sizes[-2:], spent[-2:], rows, keep / rows, rate)
        enough = max(MEASURED_SECONDS / 2, MEASURED_SHARE * predicted)
        if sizes[-1] == len(sample) or (len(sizes) > 1 and spent[-1] >= enough):
            return starting + predicted, sizes[-1]
        sizes.append(min(4 * sizes[-1], len(sample)))
        spent.append(timed(sizes[-1]))


def predicted_seconds(sizes: list[int], spent: list[float], rows: int, share: float, rate: float) -> float:
    """Seconds to select a share of ``rows``, from smaller pools of the same kind.

    What selecting costs is the products of all rows with all picks, which grow with the square of the rows, and
    the rest: a fixed part, for the filter is fitted once, and one for each row, in rounds whose number hardly grows.

    Args:
        sizes: rows of one or two pools that were selected from, rising.
        spent: seconds that took.
        rows: N.
        share: picks for each row.
        rate: pairs of row and pick multiplied in a second.
    """
    if sizes[-1] == rows:
        return spent[-1]
    products = [size * size * share / rate for size in sizes]
    rest = [max(0.0, seconds - product) for seconds, product in zip(spent, products, strict=True)]
    # Noise may hide that larger pools cost more; some part of the rest does grow.
    least = 0.2 * rest[-1] / sizes[-1]
    growth = (
        max((rest[-1] - rest[0]) / (sizes[-1] - sizes[0]), least) if len(sizes) > 1 else rest[-1] / sizes[-1]
    )
    return rows * rows * share / rate + rest[-1] + growth * (rows - sizes[-1])


def pairs_per_second(dimension: int, device: torch.device = PROCESSOR) -> float:
    """Pairs of rows that a device multiplies in a second, with all its cores, in the precision of the filter."""
    count, picks = PRODUCT_SHAPE
    left, right = torch.ones(count, dimension), torch.ones(dimension, picks)
    left, right = (each.to(device, product_dtype(device, dimension)) for each in (left, right))
    blocks = default_blocks(device)
    with steady_torch():
        spent: list[float] = []
        while sum(spent) < PRODUCT_SECONDS:  # the first wakes threads up; the best counts
            started = time.perf_counter()
            blocks.over(count, lambda block: torch.mm(left[block], right).shape)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spent.append(time.perf_counter() - started)
    return count * picks / min(spent)


def _cached_rows(keys: KeyArray, encoder: Encoder, cache: Cache | None) -> Float32Array | None:
    """Vectors of rows in random order where the cache has enough of them, and they are soon read."""
    if cache is None or len(keys) > 4 * MOST_ROWS:
        return None
    store = cache.store(encoder)
    known = np.flatnonzero(store.known(keys))
    at = known[_spread(len(known))]
    vectors = np.empty((len(at), encoder.dimension), dtype=np.float32)
    tokens = store.fetch(keys[at], vectors, np.arange(len(at)))
    found = vectors[tokens >= 0]  # the others were damaged
    return found if len(found) >= min(FIRST_ROWS, len(keys)) else None


def _spread(count: int) -> Int64Array:
    """Row numbers in random order, as many as are measured at most."""
    return np.asarray(np.random.default_rng(0).permutation(count)[:MOST_ROWS])


def curved_rows(count: int, dimension: int) -> Float32Array:
    """Rows that lie as embeddings do, on a curved surface of few dimensions, where there are no vectors yet."""
    generator = np.random.default_rng(0)
    latent = generator.standard_normal((count, 20)) @ generator.standard_normal((20, dimension)) / 20**0.5
    rows = np.tanh(latent) + 0.02 * generator.standard_normal((count, dimension))
    return np.asarray(rows, dtype=np.float32)
