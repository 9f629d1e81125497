"""`evenly verify`: a selection checked line by line from its manifest, on any machine."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from evenly.controls.choice import saved_choice
from evenly.controls.prepared import prepare
from evenly.controls.verify import departures_of, promise_checks
from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.folder.manifest import Manifest
from evenly.folder.order import ORDER_FILE
from evenly.folder.place import output_places
from evenly.folder.selection import SelectionFolder
from evenly.jobs.push import pulled
from evenly.measures.verify import Check, Claim, verify_bound, verify_order
from evenly.opened import OpenedPool, open_pool, read_pool
from evenly.request import PICKED, Part, SavedPoolRequest
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.types import Float32Array, Int64Array, Progress, silent

OTHER_MACHINE = 2e-2
"""Tolerance, as a share of the largest radius, where vectors are not bit for bit those of the manifest: another
processor or precision moves a cosine by up to 1e-3."""


@dataclass(frozen=True)
class Verification:
    """The checks of a selection, in order.

    Attributes:
        checks: what was checked and what was found.
        unchecked: what could not be checked, and why: rows or files that did not come along.
        same_vectors: whether the vectors are bit for bit those that the order was made on.
    """

    checks: list[Check]
    unchecked: dict[str, str]
    same_vectors: bool

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "passed": self.passed,
            "same_vectors": self.same_vectors,
            "checks": [asdict(check) for check in self.checks],
            "unchecked": self.unchecked,
        }


def verify_folder(
    saved: SavedPoolRequest, *, encoder: str | None = None, progress: Progress = silent
) -> Verification:
    """Checks files against their hashes, and the order against its definition on vectors made anew.

    Args:
        saved: which selection; also the name of one in the local cache of the hub.
        encoder: what to embed with; None takes the manifest's.
        progress: called as texts are embedded.

    Raises:
        InputError: no selection there, or files of it that cannot be read.
    """
    place = saved.folder if saved.folder.exists() else pulled(str(saved.folder)) or saved.folder
    folder = SelectionFolder.open(place)
    checks, unchecked = _file_checks(folder)
    checks += _record_checks(folder)
    try:
        found, same = _pool_checks(folder, saved, encoder, progress)
    except InputError as error:
        unchecked["rows, vectors and every pick"] = str(error)
        return Verification(checks, unchecked, same_vectors=False)
    return Verification(checks + found, unchecked, same)


def _file_checks(folder: SelectionFolder) -> tuple[list[Check], dict[str, str]]:
    """Manifest, files of the folder and kept rows against their hashes; the latter need not have come along."""
    manifest = folder.manifest
    same = manifest.digest == manifest.own_digest()
    detail = "digest as written" if same else "manifest.json was changed: its digest differs"
    checks = [Check("manifest", same, detail)]
    for name, sha256 in {"order": manifest.order_sha256, **manifest.files}.items():
        path = folder.path / (ORDER_FILE if name == "order" else name)
        if path.is_file():
            checks.append(_same_hash(name, str(path), file_sha256(path) == sha256))
        else:
            checks.append(Check(name, False, f"{path} is missing"))
    unchecked = {}
    for output, place in zip(manifest.outputs, output_places(manifest, folder.path), strict=True):
        if place.is_file():
            same = file_sha256(place) == output.sha256
            checks.append(_same_hash(f"output {output.name}", str(place), same))
        else:
            unchecked[f"output {output.name}"] = f"{place} is not there"
    return checks, unchecked


def _same_hash(name: str, place: str, same: bool) -> Check:
    return Check(
        name, same, "hash as in the manifest" if same else f"{place} was changed: its hash is another"
    )


def _record_checks(folder: SelectionFolder) -> list[Check]:
    """What the files of the folder say of one another, without the rows."""
    manifest, picks, measures = folder.manifest, folder.picks, folder.measures
    ranks = np.sort(folder.rank[picks])
    whole = len(picks) == manifest.kept and bool((ranks == np.arange(len(picks))).all())
    detail = f"{len(picks):,}, in one order"
    if not whole:
        detail = f"the order has {len(picks)}, the manifest says {manifest.kept}, or a rank is missing"
    checks = [Check("rows kept", whole, detail)]
    if proved := measures.get("certificate"):
        checks.append(_share_check(manifest, proved))
    return checks


def _share_check(manifest: Manifest, proved: dict[str, Any]) -> Check:
    """The share that is claimed is what the h_min has of the bound; both are checked from the rows."""
    h_min, bound, claimed = (
        math.inf if manifest.h_min is None else manifest.h_min,
        float(proved["upper_bound"]),
        float(proved["share_of_best"]),
    )
    share = h_min / bound if bound > 0 and not h_min == bound == math.inf else 1.0
    detail = f"claimed {claimed:.9g}, proven {share:.9g}"
    return Check("certificate, share of the best", claimed <= share * (1 + 1e-9), detail)


def _pool_checks(
    folder: SelectionFolder, saved: SavedPoolRequest, encoder: str | None, progress: Progress
) -> tuple[list[Check], bool]:
    """Sources, vectors, every pick and the certificate; and whether the vectors are the same bit for bit."""
    asked = folder.pool_request(saved.source, **saved.working)
    asked = replace(asked, encoder=encoder or asked.encoder)
    rows = read_pool(asked, progress=progress)
    checks = _source_checks(folder.manifest, rows)
    if len(rows) != len(folder):
        return checks, False
    if folder.manifest.options.order == PICKED:
        checks += _written_order_checks(folder, rows)
    with open_pool(asked, rows, progress=progress) as pool:
        same = pool.points.sha256 == folder.manifest.vectors_sha256
        checks.append(_vectors_check(same))
        if len(folder.picks) == folder.manifest.kept:
            checks += _order_checks(folder, pool, same)
        checks += _certificate_checks(folder, pool.points.vectors, same)
    return checks, same


def _source_checks(manifest: Manifest, rows: Rows) -> list[Check]:
    checks = []
    for expected, source in zip(manifest.sources, rows.sources, strict=True):
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


def _written_order_checks(folder: SelectionFolder, rows: Rows) -> list[Check]:
    """The rows of each file that is there, one after the other, against the ranks of the record."""
    manifest, order = folder.manifest, folder.picks
    if manifest.options.appended:
        excluded = np.isin(np.arange(len(folder)), folder.excluded["row"].to_numpy())
        left = folder.rank < 0
        order = np.concatenate([order, np.flatnonzero(left & ~excluded), np.flatnonzero(left & excluded)])
    parts = {manifest.outputs[0].name: order}
    if len(manifest.outputs) > 1:  # one file for each source
        source = np.searchsorted(rows.starts, order, side="right") - 1
        parts = {output.name: order[source == one] for one, output in enumerate(manifest.outputs)}
    places = output_places(manifest, folder.path)
    return [
        _in_order_check(name, place, rows, parts[name], manifest)
        for name, place in zip(parts, places, strict=True)
        if place.is_file() and len(parts[name])
    ]


def _in_order_check(name: str, place: Path, rows: Rows, order: Int64Array, manifest: Manifest) -> Check:
    kept = read_rows([str(place)], text=manifest.text, part=cast(Part, manifest.part))
    name = f"order of {name}"
    if len(kept) != len(order):
        return Check(name, False, f"{len(kept):,} rows where the record has {len(order):,}")
    for number, (row, record) in enumerate(
        zip(order.tolist(), kept.opened[0].records.records(), strict=True), start=1
    ):
        expected = rows.record(row)
        if record != expected and repr(record) != repr(expected):  # NaN differs from itself
            return Check(name, False, f"row {number} is not row {row + 1} of the pool, as the record has it")
    return Check(name, True, f"{len(kept):,} rows, as the record has them")


def _vectors_check(same: bool) -> Check:
    if same:
        return Check("vectors", True, "bit for bit those that the order was made on")
    detail = (
        "not bit for bit those of the manifest (another machine, library or encoder); "
        f"distances are checked to {OTHER_MACHINE:.0%} of the largest radius"
    )
    return Check("vectors", True, detail)


def _order_checks(folder: SelectionFolder, pool: OpenedPool, same: bool) -> list[Check]:
    manifest, picks = folder.manifest, folder.picks
    prepared = prepare(saved_choice(manifest), pool, picks[: manifest.options.given])
    anchors = prepared.anchors
    claim = Claim(
        picks,
        folder.radii,
        start=manifest.start,
        start_rule=manifest.start_rule if same else "row",
        keeper=folder.keeper,
        keeper_distance=folder.keeper_distance,
        h_min=manifest.h_min,
        fill=manifest.fill,
    )
    checks = verify_order(
        pool.points.vectors,
        claim,
        metric=manifest.metric,
        anchors=None if anchors is None else anchors.vectors,
        departures=departures_of(prepared, picks),
        **({} if same else {"tolerance": OTHER_MACHINE}),
    )
    return checks + promise_checks(folder.selection(), prepared, folder.measures.get("controls", {}))


def _certificate_checks(folder: SelectionFolder, vectors: Float32Array, same: bool) -> list[Check]:
    proved = folder.measures.get("certificate")
    if not proved or folder.part is None:
        return []
    checks = verify_bound(
        vectors,
        folder.part,
        folder.manifest.kept,
        float(proved["upper_bound"]),
        metric=folder.manifest.metric,
        **({} if same else {"tolerance": OTHER_MACHINE}),
    )
    return [Check(f"certificate, {check.name}", check.passed, check.detail) for check in checks]
