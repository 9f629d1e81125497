"""From what the user calls the encoder to the vectors of a pool."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenly.checks import check_finite_rows
from evenly.engine.distance import unit_rows
from evenly.engine.mapped import release, tensor_of
from evenly.engine.placing import Engine
from evenly.records import EncoderRecord
from evenly.rows.rows import Rows
from evenly.rows.vector_field import Room
from evenly.types import Float32Array, Metric, Progress, silent
from evenly.vectors import Cache, embed_texts, load_encoder, load_vectors
from evenly.vectors.cluster import on_cluster
from evenly.vectors.folders import find_folder
from evenly.vectors.given import open_vectors

FILE = "vectors:"
COLUMN = "column:"

ROWS_AT_ONCE = 16384
"""Rows of a mapped file that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class PoolVectors:
    """The vectors of a pool as they came from the encoder, and where they came from.

    Attributes:
        vectors: (N, d) float32; writeable where they are this run's own.
        record: for the manifest.
        note: one line on what was embedded and what was cached, or empty where vectors were given.
    """

    vectors: Float32Array
    record: EncoderRecord
    note: str


def check_encoder(encoder: str) -> None:
    """Refuses, before rows are read, which may take minutes, an encoder or a file of vectors that is not there.

    Args:
        encoder: as for `pool_vectors`.

    Raises:
        InputError: it is not there.
    """
    if encoder.startswith(FILE):
        open_vectors(encoder.removeprefix(FILE))
    elif not encoder.startswith(COLUMN):
        find_folder(encoder)


def pool_vectors(
    rows: Rows,
    encoder: str,
    *,
    long: Literal["cut", "mean"] = "cut",
    cache: Cache | None,
    device: str | None = None,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    trust_remote_code: bool = False,
    ray: bool = False,
    room: Room = lambda dimension: None,
    progress: Progress = silent,
) -> PoolVectors:
    """Embeds the rows, or reads the vectors that the user brings.

    Args:
        rows: the pool.
        encoder: ``minilm``, a folder or hub id, ``vectors:FILE.npy`` or ``column:NAME``.
        long: what happens to texts beyond the encoder's window.
        cache: where vectors are kept between runs, or None.
        device: as torch names it; None for what there is.
        precision: of the encoder; ``auto`` takes what the device multiplies fast.
        trust_remote_code: lets an encoder folder's own code run.
        ray: embed on the Ray cluster that this program has joined.
        room: where (N, d) vectors go, once d is known; None for an array in memory.
        progress: called as texts are embedded.
    """
    if encoder.startswith(FILE):
        return _given(load_vectors(encoder.removeprefix(FILE), len(rows)), encoder)
    if encoder.startswith(COLUMN):
        vectors = rows.vectors(encoder.removeprefix(COLUMN), room)
        check_finite_rows(vectors, name=encoder)
        return _given(vectors, encoder)
    model = load_encoder(
        encoder, device=device, precision=precision, trust_remote_code=trust_remote_code, cache=cache
    )
    if ray:
        model = on_cluster(model)
    target = room(model.dimension)

    def after_some(stage: str, done: int, total: int) -> None:
        if target is not None:
            release(target)
        progress(stage, done, total)

    embedded = embed_texts(
        rows.texts(), model, cache=cache, keys=rows.keys, long=long, progress=after_some, out=target
    )
    record = EncoderRecord(
        name=encoder,
        identity=model.identity,
        dimension=model.dimension,
        long_rows=embedded.long_rows,
        long=long,
        precision=model.precision,
    )
    note = f"{embedded.embedded:,} texts embedded in {model.precision} on {model.device}"
    if embedded.cached:
        note += f", {embedded.cached:,} from the cache"
    if embedded.long_rows:
        done = "cut to it" if long == "cut" else "averaged over their windows"
        note += f"; {embedded.long_rows:,} rows longer than {model.window} tokens were {done}"
    return PoolVectors(embedded.vectors, record, note if not model.note else f"{note}; {model.note}")


def _given(vectors: Float32Array, name: str) -> PoolVectors:
    return PoolVectors(
        vectors, EncoderRecord(name=name, identity=vectors_sha256(vectors), dimension=vectors.shape[1]), ""
    )


def prepared_rows(vectors: Float32Array, metric: Metric, engine: Engine) -> Float32Array:
    """The rows that distances are taken of.

    Args:
        vectors: (N, d) float32. Where they are writeable, they are this run's own and are normalised in place, for
            a second copy would be most of what a selection holds.
        metric: ``cosine`` normalises rows.
        engine: makes room for the normalised copy of vectors that belong to others, such as a mapped file.

    Raises:
        InputError: a zero row under cosine.
    """
    if metric == "euclidean" or not vectors.flags.writeable:
        return engine.prepare(vectors, metric)
    rows = tensor_of(vectors)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[start : start + ROWS_AT_ONCE]
        block.copy_(unit_rows(block, first_row=start))
        release(vectors)
    return vectors


def vectors_sha256(vectors: Float32Array) -> str:
    """Hash of (N, d) float32 rows, little-endian and row-major."""
    digest = hashlib.sha256()
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        digest.update(np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE], dtype="<f4").data)
        release(vectors)
    return digest.hexdigest()
