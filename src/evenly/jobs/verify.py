"""`evenly verify`: a selection checked line by line from its manifest, on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.controls.verify import prepare_again, promise_checks, rule_of
from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.folder.manifest import MEASURES_FILE, ORDER_FILE, ORDER_SCHEMA, Manifest, read_manifest
from evenly.folder.writing import read_measures
from evenly.measures.verify import Check, verify_bound, verify_order
from evenly.opened import OpenedPool, open_pool, read_pool
from evenly.rows.rows import Rows
from evenly.selecting.reopened import kept_in_order, saved_pool
from evenly.types import Float32Array, Progress, silent

OTHER_MACHINE = 2e-2
"""Tolerance, as a share of the largest radius, where vectors are not bit for bit those of the manifest: another
processor or precision moves a cosine by up to 1e-3."""


@dataclass(frozen=True)
class Verification:
    """The checks of a selection, in order.

    Attributes:
        checks: what was checked and what was found.
        same_vectors: whether the vectors are bit for bit those that the order was made on.
    """

    checks: list[Check]
    same_vectors: bool

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def verify_folder(
    folder: Path,
    *,
    sources: Sequence[str] | None = None,
    encoder: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Verification:
    """Checks files against their hashes, and the order against its definition on vectors made anew.

    Args:
        folder: what select wrote.
        sources: where the sources are now, in order; None looks where the manifest says, then beside the folder.
        encoder: what to embed with; None takes the manifest's.
        use_cache: whether cached vectors may be read.
        progress: called as texts are embedded.

    Raises:
        InputError: something is missing or unreadable, so that it cannot be checked.
    """
    manifest = read_manifest(folder)
    checks = [_manifest_check(manifest), _hash_check("order", folder / ORDER_FILE, manifest.order_sha256)]
    checks += [_hash_check(name, folder / name, sha256) for name, sha256 in manifest.files.items()]
    order = _read_order(folder / ORDER_FILE, manifest)
    checks += [
        _hash_check(f"output {output.name}", folder.resolve().parent / output.name, output.sha256)
        for output in manifest.outputs
    ]
    asked = saved_pool(manifest, folder, use_cache=use_cache)
    asked = replace(
        asked, sources=list(sources) if sources else asked.sources, encoder=encoder or asked.encoder
    )
    if "-" in asked.sources:
        raise InputError("the rows came from standard input; save them to a file and name it with --source")
    rows = read_pool(asked, progress=progress)
    checks += _source_checks(manifest, rows)
    if len(rows) != manifest.pool_rows:
        return Verification(checks, same_vectors=False)
    with open_pool(asked, rows, progress=progress) as pool:
        same = pool.points.sha256 == manifest.vectors_sha256
        checks.append(_vectors_check(same))
        checks += _order_checks(folder, manifest, order, pool, same)
        checks += _certificate_checks(folder, manifest, order, pool.points.vectors, same)
    return Verification(checks, same)


def _manifest_check(manifest: Manifest) -> Check:
    same = manifest.digest == manifest.own_digest()
    return Check(
        "manifest", same, "digest as written" if same else "manifest.json was changed: its digest differs"
    )


def _hash_check(name: str, path: Path, expected: str) -> Check:
    if not path.is_file():
        return Check(name, False, f"{path} is missing")
    same = file_sha256(path) == expected
    return Check(
        name, same, "hash as in the manifest" if same else f"{path} was changed: its hash is another"
    )


def _read_order(path: Path, manifest: Manifest) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}); select again"
        ) from None
    if table.schema.names != ORDER_SCHEMA.names or table.num_rows != manifest.pool_rows:
        raise InputError(f"{path} does not hold the order of {manifest.pool_rows} rows; it was changed since")
    return table


def _source_checks(manifest: Manifest, rows: Rows) -> list[Check]:
    checks = []
    found = rows.sources
    if len(found) != len(manifest.sources):
        return [Check("sources", False, f"{len(found)} given, the manifest has {len(manifest.sources)}")]
    for expected, source in zip(manifest.sources, found, strict=True):
        same = source.sha256 == expected.sha256
        detail = f"{source.rows:,} rows, hash as in the manifest"
        checks.append(
            Check(
                f"source {expected.name}",
                same,
                detail if same else f"{source.name} was changed: its hash is another",
            )
        )
    return checks


def _vectors_check(same: bool) -> Check:
    if same:
        return Check("vectors", True, "bit for bit those that the order was made on")
    detail = (
        "not bit for bit those of the manifest (another machine, library or encoder); "
        f"distances are checked to {OTHER_MACHINE:.0%} of the largest radius"
    )
    return Check("vectors", True, detail)


def _order_checks(
    folder: Path,
    manifest: Manifest,
    order: pa.Table,
    pool: OpenedPool,
    same: bool,
) -> list[Check]:
    picks = kept_in_order(order)
    if len(picks) != manifest.kept:
        return [Check("rows kept", False, f"the order has {len(picks)}, the manifest says {manifest.kept}")]
    radius = order["radius"].to_numpy(zero_copy_only=False).astype(np.float64)[picks]
    prepared = prepare_again(manifest, pool, picks)
    anchors = prepared.controls.anchors
    checks = verify_order(
        pool.points.vectors,
        picks,
        radius,
        start=manifest.start,
        start_rule=manifest.start_rule if same else "row",
        metric=manifest.metric,
        anchors=None if anchors is None else anchors.numpy(),
        rule=rule_of(manifest, prepared, picks),
        keeper=order["keeper"].to_numpy(),
        keeper_distance=order["keeper_distance"].to_numpy(),
        h_min=manifest.h_min,
        fill=manifest.fill,
        **({} if same else {"tolerance": OTHER_MACHINE}),
    )
    return checks + promise_checks(
        folder, manifest, prepared, picks, np.where(np.isnan(radius), np.inf, radius)
    )


def _certificate_checks(
    folder: Path, manifest: Manifest, order: pa.Table, vectors: Float32Array, same: bool
) -> list[Check]:
    proved = read_measures(folder / MEASURES_FILE).get("certificate")
    if not proved or order["part"].null_count:
        return []
    checks = verify_bound(
        vectors,
        order["part"].to_numpy(),
        manifest.kept,
        float(proved["upper_bound"]),
        metric=manifest.metric,
        **({} if same else {"tolerance": OTHER_MACHINE}),
    )
    checks.append(_share_check(manifest, proved))
    return [Check(f"certificate, {check.name}", check.passed, check.detail) for check in checks]


def _share_check(manifest: Manifest, proved: dict[str, Any]) -> Check:
    """The share that is claimed is what the checked h_min has of the checked bound."""
    h_min, bound, claimed = (
        manifest.h_min or 0.0,
        float(proved["upper_bound"]),
        float(proved["share_of_best"]),
    )
    share = h_min / bound if bound > 0 else 1.0
    return Check(
        "share of the best", claimed <= share * (1 + 1e-9), f"claimed {claimed:.9g}, proven {share:.9g}"
    )
