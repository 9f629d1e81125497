"""`select`, `select_rows` and `extend`: rows that lie far apart, with every control of the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from evenly.api.options import CHOOSING, READING, WORKING, split_options, takes_options
from evenly.api.pools import are_records, opened
from evenly.bars import own_or_bars
from evenly.checks import check_int
from evenly.controls.choice import ALL_STRATEGIES, MAXMIN, Choice
from evenly.controls.control import used
from evenly.controls.findings import excluded_rows
from evenly.controls.prepared import prepare
from evenly.errors import InputError
from evenly.opened import OpenedPool
from evenly.selecting.picking import pick, refined
from evenly.types import Int64Array, Progress, Selection, VectorsLike


@takes_options(*CHOOSING, *WORKING)
def select(
    vectors: VectorsLike, keep: Any = None, *, progress: Progress | None = None, **options: Any
) -> Selection:
    """Keeps the rows of a pool that lie as far apart as possible: the greedy max-min order.

        selection = select(vectors, keep=0.5)
        selection = select(vectors, keep="10%", avoid=test_vectors, distance=0.1, by=languages, quota="proportional")

    At every pick no row that may be picked was farther from the picks before it. Ties go to the lowest row number. The
    order depends on the vectors and the options alone.

    Args:
        vectors: (N, d) finite numbers, compared as float32: numpy, torch, nested lists or a datasets column.
        keep: a share (0.5, "50%") or a count (5000) of rows, "distance:0.35" or "knee". May be left out where another
            option says how much is kept.
        progress: called as ``progress(stage, done, total)``; None shows bars in a terminal or a notebook, and
            `evenly.silent` nothing.
        options: those of ``evenly select`` for choosing rows, and metric, device, memory, engine, ray_address: see
            docs/reference.md. They may be values where the command takes a file or a field: ``anchors``, ``avoid``
            and ``toward`` (M, d) vectors, ``must`` row numbers or (N,) truth values, ``by`` (N,) groups,
            ``quality`` (N,) scores, ``quota`` a dictionary.

    Returns:
        The selection, with exact radii, the nearest kept row of every pool row, and why rows were excluded.

    Raises:
        InputError: a value cannot be used; the message says which and what to do.

    Cost: one low-precision product of the pool with the picks (N k d), plus a few passes over the pool.
    Source: Gonzalez (1985), Theoretical Computer Science 38, for the order and its factor of two; Wang & Gu,
    arXiv 2506.24120, for selecting training data by it.
    """
    if are_records(vectors):
        raise InputError("select takes vectors; rows are embedded and chosen by select_rows")
    choosing, working = split_options("select", _with_keep(keep, options), CHOOSING, WORKING)
    return _selected(vectors, choosing, working, progress, records=False)


@takes_options(*CHOOSING, *READING)
def select_rows(
    rows: Any, keep: Any = None, *, progress: Progress | None = None, **options: Any
) -> Selection:
    """Embeds rows and keeps those that lie as far apart as possible.

        selection = select_rows(dataset, keep=0.5)
        even_half = dataset.select(selection.sorted_rows())

    Args:
        rows: a ``datasets.Dataset``, a data frame of pandas or Polars, or any iterable of texts or of dictionaries,
            each with fields of its own.
        keep, progress: as for `select`; tokens:2M and chars:900k as well.
        options: those of ``evenly select`` for reading, embedding and choosing rows. ``by``, ``quality`` and ``must``
            may name fields or be values, ``anchors``, ``avoid`` and ``toward`` may be files, rows or vectors.

    Raises:
        InputError: rows, text or encoder that cannot be used, or an option that there is not.
    """
    choosing, reading = split_options("select_rows", _with_keep(keep, options), CHOOSING, READING)
    return _selected(rows, choosing, reading, progress, records=True)


@takes_options(*CHOOSING, *READING)
def extend(
    kept: Selection | Any, data: Any, keep: Any, *, progress: Progress | None = None, **options: Any
) -> Selection:
    """Goes on from a selection: its rows stay kept, and further ones are picked from old and new rows.

        longer = extend(selection, np.concatenate([vectors, new_vectors]), keep=0.5)

    Args:
        kept: a `Selection`, or the row numbers that are kept already in their order.
        data: vectors as for `select` or rows as for `select_rows`: those that were chosen from, then new ones.
        keep: how much to keep in all, the rows kept so far among it.
        progress, options: as for `select` or `select_rows`.

    Raises:
        InputError: rows that are not in the pool, or fewer to keep than are kept.
    """
    choosing, reading = split_options("extend", _with_keep(keep, options), CHOOSING, READING)
    rows = np.asarray(kept.rows if isinstance(kept, Selection) else kept)
    return _selected(data, choosing, reading, progress, given=rows)


def _with_keep(keep: Any, options: dict[str, Any]) -> dict[str, Any]:
    return options if keep is None else {"keep": str(keep), **options}


def _selected(
    data: Any,
    choosing: dict[str, Any],
    reading: dict[str, Any],
    progress: Progress | None,
    *,
    records: bool | None = None,
    given: Int64Array | None = None,
) -> Selection:
    with own_or_bars(progress) as shown, opened(data, reading, choosing, shown, records) as (pool, options):
        choice = Choice.of(**options)
        choice.check()
        if choice.strategy == ALL_STRATEGIES:
            raise InputError("`strategy` all writes files; name one strategy, or call select for each")
        if given is not None:
            choice = _going_on(choice)
            given = _in_pool(given, pool)
        with pool.points.reusing():
            prepared = prepare(choice, pool, given)
            found = pick(prepared, use_saved=False, progress=shown)
            found = refined(prepared, found, shown) if choice.refine else found
    excluded = {
        row: " ".join(why) if not why[1] else f"{why[0]}: {why[1]}"
        for row, why in excluded_rows(prepared, found).items()
    }
    return replace(found, excluded=excluded)


def _going_on(choice: Choice) -> Choice:
    for name in used(choice.controls, "sized"):
        raise InputError(f"`{name}` shares out the whole size; select over old and new rows with it instead")
    if choice.start is not None or choice.strategy != MAXMIN or choice.refine:
        raise InputError("`start`, `strategy` and `refine` make orders of their own; extend goes on from one")
    return choice


def _in_pool(rows: Any, pool: OpenedPool) -> Int64Array:
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not rows.size or len(np.unique(rows)) < len(rows):
        raise InputError("the rows kept so far must be different row numbers, at least one, or a Selection")
    check_int(rows.min(), "the lowest row kept so far", at_least=0)
    check_int(rows.max(), "the highest row kept so far", below=len(pool))
    return np.asarray(rows, dtype=np.int64)
