"""What the forecast looks at, measured on the pool of a comparison and stored with its outcome."""

from __future__ import annotations

import numpy as np

from evenly.jobs.drawn import DrawnPool
from evenly.measures.roughness import nearest_others, roughness_over, trapped_share
from evenly.opened import embedded_rows
from evenly.request import Part
from evenly.rows.sources import part_of
from evenly.train.result import Evidence
from evenly.types import Float64Array, Int64Array, Progress
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.registry import encoder_named

ROWS = 1000
"""Rows that it is measured on: roughness is then known to about 3 %, and a million distances are held."""
LEAST_ROWS = 8
"""As for a forecast: below, a nearest neighbour says nothing."""
CLOSE = 0.25
"""Of the median distance to the nearest prompt: what counts as a near copy in the trapped share, as in the forecast."""


def evidence_of(
    drawn: DrawnPool, candidates: Int64Array, near_copy: float, progress: Progress
) -> Evidence | None:
    """Label roughness, trapped share and redundancy of the rows that arms may take.

    Prompts and answers are embedded apart. None where vectors were given, which are of whole rows, or where fewer than
    8 rows have both a prompt and an answer.
    """
    if not isinstance(encoder_named(drawn.request.encoder), EmbeddingKind):
        return None
    order = np.random.default_rng([0, 8]).permutation(candidates)
    both = [int(row) for row in order[: 2 * ROWS] if all(text.strip() for text in drawn.rows.pair(int(row)))]
    if len(both) < LEAST_ROWS:
        return None
    rows = np.sort(np.array(both[:ROWS]))

    def embedded(part: Part) -> Float64Array:
        some = part_of(drawn.rows, rows, text=drawn.request.text, part=part)
        vectors = embedded_rows(drawn.request, some, progress=progress).vectors.astype(np.float64)
        unit: Float64Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
        return unit

    prompts, answers = embedded("prompt"), embedded("response")
    distance, neighbour = nearest_others(prompts)
    return Evidence(
        rows=len(rows),
        roughness=roughness_over(neighbour, answers),
        trapped=trapped_share(distance, neighbour, answers, CLOSE * float(np.median(distance))),
        redundancy=float(np.mean(distance**2 / 2.0 <= near_copy)),
    )
