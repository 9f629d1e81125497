"""Texts to vectors as tasks on a Ray cluster: the same encoder on every worker, the same vectors bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING, cast

import numpy as np

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.types import Int64Array
from evenly.vectors.kind import Encoded, Encoder

if TYPE_CHECKING:
    from evenly.vectors.embedding_kind import EmbeddingKind

TEXTS_PER_TASK = 2048
"""Some seconds of work on one core: a task that is lost with its worker costs no more."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClusterEncoder(Encoder):
    """An encoder whose batches run on the cluster that this program has joined.

    Workers load it themselves, so its files must be on their machines; where they are not the same, or compute in
    another way, the run stops rather than mix two kinds of vectors.

    Attributes:
        kind: what loads it.
        request: with the precision that was chosen here.
    """

    kind: EmbeddingKind
    request: PoolRequest

    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        from evenly.engine.ray_pool import over_cluster

        parts = [rows[at : at + TEXTS_PER_TASK] for at in range(0, len(rows), TEXTS_PER_TASK)]
        jobs = ({row: texts[row] for row in part.tolist()} for part in parts)
        yield from over_cluster(partial(_encode, self.kind, self.request, self.identity, self.runtime), jobs)


def on_cluster(encoder: Encoder, kind: EmbeddingKind, request: PoolRequest) -> ClusterEncoder:
    """The same encoder, at work on the cluster, whose machines take their processors and keep nothing."""
    there = replace(request, sources=(), device="cpu", precision=encoder.precision, use_cache=False)
    known = {field.name: getattr(encoder, field.name) for field in fields(Encoder)}
    return ClusterEncoder(**known, kind=kind, request=there)


def _encode(
    kind: EmbeddingKind, request: PoolRequest, identity: str, runtime: str, texts: dict[int, str]
) -> Encoded:
    """Embeds the texts of one task; runs on a worker. Errors name the texts by their numbers in the pool."""
    encoder = _loaded(kind, request)
    if (encoder.identity, encoder.runtime) != (identity, runtime):
        raise InputError(
            f"a worker's {kind.name} is not this machine's, or it computes otherwise ({encoder.runtime}; here "
            f"{runtime}): vectors would differ; use machines of one kind with the same files, or embed with "
            "`engine=local` first"
        )
    # A dict in place of a sequence: texts are only looked up by number.
    done = list(encoder.encode(cast(Sequence[str], texts), np.fromiter(texts, dtype=np.int64)))
    return Encoded(
        np.concatenate([part.rows for part in done]),
        np.concatenate([part.vectors for part in done]),
        np.concatenate([part.tokens for part in done]),
    )


@cache
def _loaded(kind: EmbeddingKind, request: PoolRequest) -> Encoder:
    """Once for each worker process."""
    return kind.load(request)
