"""Texts to vectors as tasks on a Ray cluster: the same encoder on every worker, the same vectors bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache, partial
from typing import TYPE_CHECKING, cast

import numpy as np

from evenly.errors import InputError
from evenly.types import Int64Array
from evenly.vectors import Encoder, load_encoder
from evenly.vectors.encoders import Encoded, Long

if TYPE_CHECKING:
    from evenly.vectors.running import Precision

TEXTS_PER_TASK = 2048


class ClusterEncoder(Encoder):
    """An encoder whose batches run on the cluster that this program has joined.

    Workers load it by name, so its files must be on their machines; where they are not the same, or compute in
    another way, the run stops rather than mix two kinds of vectors.
    """

    def encode(
        self, texts: Sequence[str], rows: Int64Array | None = None, *, long: Long = "cut"
    ) -> Iterator[Encoded]:
        from evenly.engine.ray_pool import over_cluster

        asked = np.arange(len(texts)) if rows is None else rows
        parts = [asked[at : at + TEXTS_PER_TASK] for at in range(0, len(asked), TEXTS_PER_TASK)]
        jobs = ({row: texts[row] for row in part.tolist()} for part in parts)
        work = partial(_encode, self.name, self.precision, self.identity, self.runtime, long)
        yield from over_cluster(work, jobs)


def on_cluster(encoder: Encoder) -> ClusterEncoder:
    """The same encoder, at work on the cluster."""
    return ClusterEncoder(**{field.name: getattr(encoder, field.name) for field in fields(encoder)})


def _encode(
    name: str, precision: Precision, identity: str, runtime: str, long: Long, texts: dict[int, str]
) -> Encoded:
    """Embeds the texts of one task; runs on a worker. Errors name the texts by their numbers in the pool."""
    encoder = _loaded(name, precision)
    if (encoder.identity, encoder.runtime) != (identity, runtime):
        raise InputError(
            f"a worker's {name} is not this machine's, or it computes otherwise ({encoder.runtime}; here {runtime}): "
            "vectors would differ; use machines of one kind with the same files, or embed with --engine local first"
        )
    rows = np.fromiter(texts, dtype=np.int64)
    # A dict in place of a sequence: texts are only looked up by number.
    done = list(encoder.encode(cast(Sequence[str], texts), rows, long=long))
    return Encoded(
        np.concatenate([part.rows for part in done]),
        np.concatenate([part.vectors for part in done]),
        np.concatenate([part.tokens for part in done]),
    )


@cache
def _loaded(name: str, precision: Precision) -> Encoder:
    """Once for each worker process."""
    return load_encoder(name, device="cpu", precision=precision)
