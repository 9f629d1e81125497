"""From what the user calls the encoder to the vectors of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenly.checks import check_finite_rows
from evenly.engine.mapped import release
from evenly.engine.points import vectors_sha256
from evenly.records import EncoderRecord
from evenly.rows.rows import Rows
from evenly.rows.vector_field import Room
from evenly.types import Float32Array, Progress, silent
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
