"""`select_rows`: selection of records from Python, embedding included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from evenly.engine.greedy import select
from evenly.rows.forms import Part
from evenly.rows.sources import rows_of
from evenly.types import Progress, Selection, silent
from evenly.vectors import Cache
from evenly.vectors.registry import pool_vectors

if TYPE_CHECKING:
    import datasets


def select_rows(
    records: datasets.Dataset | Sequence[dict[str, Any]],
    keep: Any,
    *,
    text: str | None = None,
    part: Part = "all",
    encoder: str = "minilm",
    long: Literal["cut", "mean"] = "cut",
    metric: str = "cosine",
    start: int | Literal["random"] | None = None,
    seed: int = 0,
    allow_copies: bool = False,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Selection:
    """Embeds records and keeps those that lie as far apart as possible.

        selection = select_rows(dataset, keep=0.5)
        even_half = dataset.select(selection.sorted_rows())

    Args:
        records: a ``datasets.Dataset``, or a list of dictionaries.
        keep: a share (0.5, "50%") or a count (5000).
        text: fields or Jinja template that hold the text; None recognises the form of the records.
        part: which part of the text is embedded.
        encoder: ``minilm``, a model folder or hub id, ``vectors:FILE.npy`` or ``column:NAME``.
        long: what happens to texts beyond the encoder's window: ``cut`` or ``mean``.
        metric, start, seed, allow_copies: as `evenly.select`.
        use_cache: whether vectors are kept between runs.
        progress: called as texts are embedded and rows picked.

    Raises:
        InputError: records, text or encoder that cannot be used.
    """
    rows = rows_of(records, text=text, part=part)
    cache = Cache.open() if use_cache else None
    found = pool_vectors(rows, encoder, long=long, cache=cache, progress=progress)
    return select(
        found.vectors,
        keep,
        metric=metric,
        start=start,
        seed=seed,
        allow_copies=allow_copies,
        progress=progress,
    )
