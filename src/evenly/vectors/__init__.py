"""Texts to vectors: encoders on this machine, batches on all cores, and a cache keyed by content."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenly.errors import InputError
from evenly.types import Float32Array, Int64Array, Progress, silent
from evenly.vectors.cache import Cache, CacheSize, text_keys
from evenly.vectors.encoders import Encoder, Long, load_encoder
from evenly.vectors.given import load_vectors

if TYPE_CHECKING:
    from evenly.rows.index import KeyArray

__all__ = ["Cache", "CacheSize", "Embedded", "Encoder", "embed_texts", "load_encoder", "load_vectors"]

_COPY_ROWS = 65536


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of a pool, and what they cost.

    Attributes:
        vectors: (N, d) float32, in the order of the texts; equal texts have equal vectors.
        long_rows: rows longer than the encoder's window.
        distinct: distinct texts among the rows; each is embedded once.
        cached: distinct texts whose vectors were in the cache.
        embedded: distinct texts embedded now; cached + embedded = distinct.
        seconds: wall time.
    """

    vectors: Float32Array
    long_rows: int
    distinct: int
    cached: int
    embedded: int
    seconds: float


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    cache: Cache | None,
    keys: KeyArray | None = None,
    long: Long = "cut",
    progress: Progress = silent,
    out: Float32Array | None = None,
) -> Embedded:
    """Embeds texts, each distinct text once and only where the cache does not have it.

    Vectors are bit for bit the same from the cache, from a fresh run, and from a run that was interrupted and
    went on, on one kind of machine (see `Encoder.encode`).

    Args:
        texts: N strings.
        encoder: from `load_encoder`.
        cache: where vectors are kept between runs; None keeps nothing.
        keys: (N, 4) uint64 of the texts where they are known (see `text_keys`); no text that is cached is
            looked at then.
        long: ``cut`` embeds the first window of a text longer than the encoder's window, ``mean``
            averages all its windows.
        progress: called with stage "embed", distinct texts done, distinct texts.
        out: (N, d) float32 to write to, such as a memory map; None makes an array.

    Raises:
        InputError: a text that is no string, holds half a character, or has no tokens; ``out`` of another
            shape; a cache that cannot be written. What was embedded until then, or until Ctrl-C, stays in
            the cache.
    """
    started = time.perf_counter()
    if long not in ("cut", "mean"):
        raise InputError(f"long {long!r} is not known; use cut or mean")
    vectors = _target(out, (len(texts), encoder.dimension))
    keys = text_keys(texts) if keys is None else keys
    first, copy_of = _distinct(keys)
    tokens = np.full(len(texts), -1, dtype=np.int64)
    shelf = cache.shelf(encoder, long) if cache is not None else None
    if shelf is not None:
        tokens[first] = shelf.fetch(keys[first], vectors, first, progress)
    missing = first[tokens[first] < 0]
    done = len(first) - len(missing)
    progress("embed", done, len(first))
    with shelf.writer() if shelf is not None else nullcontext() as writer:
        for part in encoder.encode(texts, missing, long=long):
            vectors[part.rows], tokens[part.rows] = part.vectors, part.tokens
            if writer is not None:
                writer.add(keys[part.rows], part.tokens, part.vectors)
            done += len(part.rows)
            progress("embed", done, len(first))
    copies = np.flatnonzero(copy_of != np.arange(len(texts)))
    for start in range(0, len(copies), _COPY_ROWS):
        block = copies[start : start + _COPY_ROWS]
        vectors[block] = vectors[copy_of[block]]
    return Embedded(
        vectors=vectors,
        long_rows=int((tokens[copy_of] > encoder.window).sum()),
        distinct=len(first),
        cached=len(first) - len(missing),
        embedded=len(missing),
        seconds=time.perf_counter() - started,
    )


def _target(out: Float32Array | None, shape: tuple[int, int]) -> Float32Array:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise InputError(f"out must be float32 of shape {shape}; got {out.dtype} of shape {out.shape}")
    return out


def _distinct(keys: KeyArray) -> tuple[Int64Array, Int64Array]:
    """The first row of each distinct key in row order, and for every row the first row equal to it."""
    whole = np.ascontiguousarray(keys).view("V32").ravel()
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return np.sort(first), np.asarray(first[inverse.ravel()], dtype=np.int64)
