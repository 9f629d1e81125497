"""`evenly slice`: another size from a saved order, in the time it takes to read and write the rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evenly.data.manifest import ORDER_FILE, Manifest, OutputRecord, read_manifest
from evenly.data.rows import Rows
from evenly.data.writing import check_output, write_rows
from evenly.errors import InputError
from evenly.pipeline.lengths import token_counts
from evenly.pipeline.verify import kept_in_order, read_sources
from evenly.selection.budgets import Budget, affordable, far_enough, read_budget
from evenly.selection.knee import knee
from evenly.types import Float64Array, Int64Array


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


def slice_selection(folder: Path, keep: str, out: str, *, tokenizer: str | None = None) -> Slice:
    """Writes the first rows of a saved order.

    Args:
        folder: what select wrote.
        keep: a count, a share of the pool, a budget of tokens or characters, a distance, or knee.
        out: where the rows go, as for select.
        tokenizer: for a budget of tokens; None takes the encoder's.

    Raises:
        InputError: the order is not nested, is shorter than asked for, or its sources changed.
    """
    manifest = read_manifest(folder)
    budget = read_budget(keep)
    _check_nested(manifest)
    rows = read_sources(manifest, folder, None)
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
    outputs = write_rows(rows, np.sort(picks[:count]), out)
    h_min = float(radii[:count].min())
    return Slice(count, len(picks), h_min if np.isfinite(h_min) else None, outputs)


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
