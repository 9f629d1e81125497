"""`evenly slice`: another size from a saved order, without picking again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evenly.controls.findings import findings, set_aside_table
from evenly.controls.lengths import token_counts
from evenly.controls.verify import prepare_again
from evenly.engine.budgets import Budget, affordable, far_enough, read_budget
from evenly.engine.greedy import Start
from evenly.engine.knee import knee
from evenly.engine.orders import selection_of
from evenly.errors import InputError
from evenly.folder.manifest import ORDER_FILE, Manifest, read_manifest
from evenly.folder.writing import check_folder
from evenly.opened import open_pool, read_pool
from evenly.records import OutputRecord
from evenly.rows.rows import Rows
from evenly.rows.writing import check_output
from evenly.selecting.reopened import kept_in_order, saved_request
from evenly.selecting.request import Made, SelectRequest, Stopwatch, selection_folder
from evenly.selecting.run import record
from evenly.types import Float64Array, Int64Array, Progress, silent


@dataclass(frozen=True)
class Slice:
    """A shorter prefix of a saved order.

    Attributes:
        kept: rows in it.
        saved: rows the order holds.
        h_min: its smallest distance; None for a single row.
        outputs: the files written.
    """

    kept: int
    saved: int
    h_min: float | None
    outputs: list[OutputRecord]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        outputs = [output.model_dump() for output in self.outputs]
        return {"kept": self.kept, "saved": self.saved, "h_min": self.h_min, "outputs": outputs}


def slice_selection(
    folder: Path,
    keep: str,
    out: str,
    *,
    tokenizer: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Slice:
    """Writes the first rows of a saved order, and their record as select writes it.

    Args:
        folder: what select wrote.
        keep: a count, a share of the pool, a budget of tokens or characters, a distance, or knee.
        out: where the rows go, as for select.
        tokenizer: for a budget of tokens; None takes the encoder's.
        use_cache: whether cached vectors may be read; else rows are embedded anew to measure what was cut.
        progress: called as each stage goes on.

    Raises:
        InputError: the order is not nested, is shorter than asked for, its sources changed, or the record would
            take the place of the saved order.
    """
    manifest = read_manifest(folder)
    budget = read_budget(keep)
    _check_nested(manifest)
    if selection_folder(out).resolve() == folder.resolve():
        raise InputError(f"{out} has its record in {folder}, the order that is cut; name another file")
    check_folder(selection_folder(out))
    watch = Stopwatch()
    request = saved_request(manifest, folder, keep, out, use_cache=use_cache)
    with watch.time("read"):
        rows = read_pool(request.pool, progress=progress)
    for expected, found in zip(manifest.sources, rows.sources, strict=True):
        if expected.sha256 != found.sha256:
            raise InputError(f"{found.name} was changed since {folder} was made; select again")
    check_output(rows, out)
    order = pq.read_table(folder / ORDER_FILE)
    picks = kept_in_order(order)
    radii = order["radius"].to_numpy(zero_copy_only=False).astype(np.float64)[picks]
    radii = np.where(np.isnan(radii), np.inf, radii)
    count = _prefix(manifest, budget, rows, picks, radii, tokenizer)
    if count < max(1, manifest.options.get("given", 0)):
        raise InputError(f"keep {budget.text} is fewer rows than the order must begin with; raise --keep")
    controls = replace(request.controls, tokenizer=tokenizer if budget.unit == "tokens" else None)
    request = replace(request, start=_start(manifest), controls=controls)
    written = _record(request, manifest, picks[:count], rows, watch, progress)
    return Slice(count, len(picks), written.h_min, written.outputs)


def _start(manifest: Manifest) -> Start:
    """The start that leads to the rule that a manifest records."""
    if manifest.start_rule == "row":
        return manifest.start
    return "random" if manifest.start_rule == "random" else None


def _record(
    request: SelectRequest,
    manifest: Manifest,
    picks: Int64Array,
    rows: Rows,
    watch: Stopwatch,
    progress: Progress,
) -> Manifest:
    """Measures what was cut and writes it as select does."""
    with ExitStack() as opened:
        with watch.time("embed"):
            pool = opened.enter_context(open_pool(request.pool, rows, progress=progress))
        with watch.time("select"):
            options = {**manifest.options, "controls": request.controls.asked(), "keep_left_out": False}
            shorter = manifest.model_copy(update={"keep": request.keep, "options": options})
            prepared = prepare_again(shorter, pool, picks)
            anchors = prepared.controls.anchors
            selection = selection_of(pool.points.tensor, picks, pool.metric, anchors=anchors)
            facts = findings(request.controls, prepared, selection, rows)
            aside = set_aside_table(prepared.set_aside, selection, rows, request.controls.dedup)
    made = Made(pool, selection, facts, aside)
    return record(request, made, "given" in manifest.options, watch, progress).manifest


def _check_nested(manifest: Manifest) -> None:
    controls = manifest.options.get("controls", {})
    sized = [name for name in ("quota", "at_least", "match_length") if name in controls]
    if sized:
        raise InputError(f"quotas (--{sized[0].replace('_', '-')}) depend on the size kept; select again")
    if "strategy" in manifest.options or "refine" in manifest.options:
        raise InputError("only the greedy max-min order is nested; select again with the other size")


def _prefix(
    manifest: Manifest,
    budget: Budget,
    rows: Rows,
    picks: Int64Array,
    radii: Float64Array,
    tokenizer: str | None,
) -> int:
    if budget.unit == "knee":
        return knee(np.minimum.accumulate(radii))
    if budget.unit == "rows":
        count = budget.count(len(rows))
        if count > len(picks):
            raise _too_short(budget, len(picks))
        return count
    if budget.unit == "distance":
        count = far_enough(radii, budget.amount)
    else:
        costs = rows.characters
        if budget.unit == "tokens":
            costs = token_counts(rows, tokenizer, manifest.encoder.name)
        count = affordable(costs[picks], budget.amount)
    if count == len(picks) and not manifest.exhausted and count < len(rows):
        raise _too_short(budget, len(picks))
    return count


def _too_short(budget: Budget, saved: int) -> InputError:
    return InputError(
        f"the saved order holds {saved:,} rows and keep {budget.text} asks for more; select again with a larger "
        "--keep (it goes on from the cached picks)"
    )
