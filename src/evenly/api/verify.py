"""`verify`: a selection held to its definition, by code that shares nothing with what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenly.api.options import CHOOSING, READING, SAVED, split_options, takes_options
from evenly.api.pools import opened
from evenly.bars import own_or_bars
from evenly.checks import check_int
from evenly.controls.choice import Choice
from evenly.controls.prepared import Prepared, prepare
from evenly.controls.verify import departures_of, promise_checks
from evenly.errors import InputError
from evenly.jobs.verify import Verification, verify_folder
from evenly.measures.verify import Check, Claim, verify_order
from evenly.request import SavedPoolRequest
from evenly.selecting.record import start_rule
from evenly.types import Progress, Selection


@takes_options(*CHOOSING, *READING, *SAVED)
def verify(
    kept: Selection | str | Path,
    data: Any = None,
    *,
    given: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Verification:
    """Checks every pick of a selection against the definition.

        verify(selection, vectors, avoid=test_vectors, distance=0.1).passed
        verify("kept.jsonl").passed

    Args:
        kept: a `Selection`; or the folder that ``evenly select`` wrote or the kept rows beside it, for which the
            record says everything and ``data`` is left out.
        data: what was chosen from, as it was given to `select` or `select_rows`.
        given: how many rows at the start of the order were kept before (`extend`).
        progress: as for `select`.
        options: those that the selection was made with; for a folder ``source``, ``encoder`` and where work is done.

    Returns:
        The checks, each with what was found.

    Raises:
        InputError: something cannot be read, or other rows than those that were chosen from.
    """
    if not isinstance(kept, Selection):
        return _verified_folder(Path(kept), data, options, progress)
    choosing, reading = split_options("verify", options, CHOOSING, READING)
    if data is None:
        raise InputError("verify needs what was chosen from beside the selection: verify(selection, vectors)")
    with own_or_bars(progress) as shown, opened(data, reading, choosing, shown) as (pool, named):
        if len(pool) != kept.pool_rows:
            raise InputError(
                f"the selection is of {kept.pool_rows:,} rows and there are {len(pool):,}; give the same"
            )
        named.setdefault("keep", str(kept.asked))
        choice = Choice.of(**named)
        choice.check()
        first = kept.rows[: check_int(given, "given", at_least=0, below=len(kept) + 1)]
        return Verification(
            _checks(kept, prepare(choice, pool, first if given else None)), {}, same_vectors=True
        )


def _checks(kept: Selection, prepared: Prepared) -> list[Check]:
    claim = Claim(
        kept.rows,
        kept.radii,
        start=int(kept.rows[0]),
        start_rule=start_rule(prepared),
        keeper=kept.keeper,
        keeper_distance=kept.keeper_distance,
        h_min=kept.h_min if len(kept) > 1 else None,
        fill=kept.fill,
    )
    checks = verify_order(
        prepared.pool.points.vectors,
        claim,
        metric=kept.metric,
        anchors=None if prepared.anchors is None else prepared.anchors.vectors,
        departures=departures_of(prepared, kept.rows),
    )
    return checks + promise_checks(kept, prepared, {})


def _verified_folder(
    folder: Path, data: Any, options: dict[str, Any], progress: Progress | None
) -> Verification:
    if data is not None:
        raise InputError(
            f"the record of {folder} says what was chosen from; leave the data out, or name `source`"
        )
    saved, encoder = split_options("verify", options, SAVED, ("encoder",))
    if isinstance(source := saved.get("source"), str | Path):
        saved["source"] = (str(source),)
    with own_or_bars(progress) as shown:
        return verify_folder(SavedPoolRequest(folder, **saved), **encoder, progress=shown)
