"""Embedding: each distinct text once, and only where the cache does not have it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evenly.engine.mapped import release
from evenly.errors import InputError
from evenly.records import EncoderRecord
from evenly.request import PoolRequest
from evenly.rows.index import KeyArray
from evenly.rows.rows import Rows
from evenly.rows.vector_field import Room
from evenly.types import Float32Array, Int64Array, Progress, silent
from evenly.vectors.cache import Cache, text_keys
from evenly.vectors.kind import Encoder, PoolVectors

if TYPE_CHECKING:
    from evenly.vectors.embedding_kind import EmbeddingKind

COPIES_AT_ONCE = 65536
"""Copies of vectors made at a time: bounds memory where they lie in a mapped file."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of texts, and how they came about.

    Attributes:
        vectors: (N, d) float32, in the order of the texts; equal texts have equal vectors.
        tokens: (N,) int64, tokens of each whole text, special ones included.
        long_rows: rows longer than the encoder's window.
        full: (n,) int64, of the distinct texts the rows of those that fill the window.
        distinct: distinct texts among the rows; each is embedded once.
        cached: distinct texts whose vectors were in the cache.
        embedded: distinct texts embedded now; cached + embedded = distinct.
    """

    vectors: Float32Array
    tokens: Int64Array
    long_rows: int
    full: Int64Array
    distinct: int
    cached: int
    embedded: int


def embed_rows(
    kind: EmbeddingKind, rows: Rows, request: PoolRequest, room: Room, progress: Progress
) -> PoolVectors:
    """The vectors of a pool; see `evenly.vectors.kind.EncoderKind.vectors`.

    Where cutting makes different texts equal, because they share an opening as long as the window (one system prompt
    for all, say), those texts are embedded once more, as the mean of all their windows. Which texts these are
    depends on the pool alone, so that a run over the same rows does the same.
    """
    encoder = _loaded(kind, request)
    target = room(encoder.dimension)

    def after_some(stage: str, done: int, total: int) -> None:
        if target is not None:
            release(target)
        progress(stage, done, total)

    texts, keys = kind.texts(rows)
    embedded = embed_texts(
        texts, encoder, cache=Cache.of(request), keys=keys, progress=after_some, out=target
    )
    vectors, alike, openings = embedded.vectors, np.zeros(0, dtype=np.int64), frozenset[bytes]()
    if kind.windows and encoder.long == "cut" and embedded.long_rows:
        alike, openings = _alike(vectors, embedded.full)
    averaged = 0
    if len(alike):
        whole = _loaded(kind, replace(request, long="mean"))
        own = [texts[row] for row in alike.tolist()]
        means = embed_texts(own, whole, cache=Cache.of(request), keys=keys[alike], progress=progress).vectors
        of = distinct(keys)[1]
        again = np.flatnonzero(np.isin(of, alike))
        vectors[again] = means[np.searchsorted(alike, of[again])]
        averaged = len(again)
    record = EncoderRecord(
        name=encoder.name,
        identity=encoder.identity,
        dimension=encoder.dimension,
        long_rows=embedded.long_rows,
        long=encoder.long,
        precision=encoder.precision,
        averaged=averaged,
        options=kind.asked,
        notes=encoder.note if kind.options() else "",
    )
    return PoolVectors(vectors, record, _note(encoder, embedded, averaged), embedded.tokens, openings)


def _loaded(kind: EmbeddingKind, request: PoolRequest) -> Encoder:
    encoder = kind.load(request)
    if request.engine != "ray":
        return encoder
    from evenly.vectors.cluster import on_cluster

    return on_cluster(encoder, kind, request)


def _alike(vectors: Float32Array, full: Int64Array) -> tuple[Int64Array, frozenset[bytes]]:
    """Of texts that fill the window and differ, those whose vectors are equal; and what stands for these vectors."""
    found = vector_digests(vectors, full)
    counts = Counter(found)
    alike = [row for row, digest in zip(full.tolist(), found, strict=True) if counts[digest] > 1]
    several = frozenset(digest for digest, count in counts.items() if count > 1)
    return np.array(alike, dtype=np.int64), several


def vector_digests(vectors: Float32Array, rows: Int64Array) -> list[bytes]:
    """16 bytes that stand for each of some vectors."""
    return [hashlib.blake2b(vectors[row].tobytes(), digest_size=16).digest() for row in rows.tolist()]


def _note(encoder: Encoder, embedded: Embedded, averaged: int) -> str:
    note = f"{embedded.embedded:,} texts embedded in {encoder.precision} on {encoder.device}"
    if embedded.cached:
        note += f", {embedded.cached:,} from the cache"
    if embedded.long_rows:
        done = "cut to it" if encoder.long == "cut" else "averaged over their windows"
        note += f"; {embedded.long_rows:,} rows longer than {encoder.window} tokens were {done}"
    if averaged:
        note += f", but {averaged:,} of them that begin alike and differ later, which were averaged over their windows"
    return f"{note}; {encoder.note}" if encoder.note else note


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    cache: Cache | None,
    keys: KeyArray | None = None,
    progress: Progress = silent,
    out: Float32Array | None = None,
) -> Embedded:
    """Embeds texts, each distinct text once and only where the cache does not have it.

    Vectors are bit for bit the same from the cache, from a fresh run, and from a run that was interrupted and
    went on, on one kind of machine (see `Encoder`).

    Args:
        texts: N strings.
        encoder: from `evenly.vectors.registry.load_encoder`.
        cache: where vectors are kept between runs; None keeps nothing.
        keys: (N, 4) uint64 of the texts where they are known (see `text_keys`); no text that is cached is
            looked at then.
        progress: called with stage "embed", distinct texts done, distinct texts.
        out: (N, d) float32 to write to, such as a memory map; None makes an array.

    Raises:
        InputError: a text that is no string, holds half a character, or has no tokens; ``out`` of another
            shape; a cache that cannot be written. What was embedded until then, or until Ctrl-C, stays in
            the cache.
    """
    vectors = _target(out, (len(texts), encoder.dimension))
    keys = text_keys(texts) if keys is None else keys
    first, copy_of = distinct(keys)
    tokens = np.full(len(texts), -1, dtype=np.int64)
    store = cache.store(encoder) if cache is not None else None
    if store is not None:
        tokens[first] = store.fetch(keys[first], vectors, first, progress)
    missing = first[tokens[first] < 0]
    done = len(first) - len(missing)
    progress("embed", done, len(first))
    with store.writing() if store is not None else nullcontext() as keep:
        for part in encoder.encode(texts, missing):
            vectors[part.rows], tokens[part.rows] = part.vectors, part.tokens
            if keep is not None:
                keep(keys[part.rows], part.tokens, part.vectors)
            done += len(part.rows)
            progress("embed", done, len(first))
    copies = np.flatnonzero(copy_of != np.arange(len(texts)))
    for start in range(0, len(copies), COPIES_AT_ONCE):
        block = copies[start : start + COPIES_AT_ONCE]
        vectors[block] = vectors[copy_of[block]]
    return Embedded(
        vectors=vectors,
        tokens=tokens[copy_of],
        long_rows=int((tokens[copy_of] > encoder.window).sum()),
        full=first[tokens[first] >= encoder.window],
        distinct=len(first),
        cached=len(first) - len(missing),
        embedded=len(missing),
    )


def _target(out: Float32Array | None, shape: tuple[int, int]) -> Float32Array:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise InputError(f"out must be float32 of shape {shape}; got {out.dtype} of shape {out.shape}")
    return out


def distinct(keys: KeyArray) -> tuple[Int64Array, Int64Array]:
    """The first row of each distinct key in row order, and for every row the first row equal to it."""
    whole = np.ascontiguousarray(keys).view("V32").ravel()
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return np.sort(first), np.asarray(first[inverse.ravel()], dtype=np.int64)
