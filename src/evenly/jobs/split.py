"""`evenly split`: train and test parts, or folds, that cover the pool."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenly.checks import check_int, check_keep
from evenly.engine.orders import nearest_of
from evenly.engine.points import Points
from evenly.engine.splits import covering_test, duplex, folds, near_parts
from evenly.errors import InputError
from evenly.files import new_files
from evenly.opened import OpenedPool, check_request, open_pool, read_pool
from evenly.records import OutputRecord
from evenly.request import PoolRequest
from evenly.rows.parts import part_places
from evenly.rows.writing import write_rows
from evenly.types import Int64Array, Progress, silent

RECORD_FILE = "split.json"

GAP = {"cosine": 0.05, "euclidean": 0.0}
"""How near to a test row a train row may lie unless the user says it. Texts of a cosine of 0.95 and more are the same
with a word or a number changed, which a test should not find in train; euclidean distances have no scale of their own,
so there only copies are left out."""


@dataclass(frozen=True)
class HowToSplit:
    """A test part and what is left for training, or folds.

    Attributes:
        test: a share or a count of rows for the test part.
        folds: into so many parts instead.
        both: choose train and test in turns (DUPLEX), both as far apart.
        gap: train rows lie farther than this from every test row; None takes `GAP`.
    """

    test: str | None = None
    folds: int | None = None
    both: bool = False
    gap: float | None = None

    def check(self) -> None:
        """Refuses what makes no sense.

        Raises:
            InputError: neither or both of test and folds, or a gap that is no distance.
        """
        if (self.test is None) == (self.folds is None):
            raise InputError("say either `test` (a share, 10%, or a count) or `folds`")
        if self.folds is not None:
            check_int(self.folds, "`folds`", at_least=2)
            if self.gap is not None or self.both:
                raise InputError("`gap` and `both` are for `test`; folds are dealt from one order")
        if self.gap is not None and not 0 <= self.gap < float("inf"):
            raise InputError(f"`gap` must be a distance of at least 0; got {self.gap}")


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a pool.

    Attributes:
        rows: row numbers of each part, rising, by its name: train and test, or fold1, fold2 …
        left_out: (m,) int64 rows in no part because they lie within the gap of a test row or equal one.
        fill: by part, the largest distance of a pool row to its nearest row of that part.
        gap: the smallest distance between a test row and a row of another part; None for folds.
        gap_asked: the distance within which train rows were left out; 0 for copies alone, None for folds.
    """

    rows: dict[str, Int64Array]
    left_out: Int64Array
    fill: dict[str, float]
    gap: float | None
    gap_asked: float | None


@dataclass(frozen=True)
class SplitRequest:
    """What `evenly split` was asked for. See the command's help for each."""

    pool: PoolRequest
    out: str
    test: str | None = None
    folds: int | None = None
    both: bool = False
    gap: float | None = None
    overwrite: bool = False

    @property
    def how(self) -> HowToSplit:
        """Into which parts."""
        return HowToSplit(self.test, self.folds, self.both, self.gap)


@dataclass(frozen=True)
class SplitOutcome:
    """What `evenly split` did.

    Attributes:
        rows: rows by part.
        left_out: rows in no part because they lie within the gap of a test row.
        fill: by part, the largest distance of a pool row to its nearest row of that part.
        gap: the smallest distance between a test row and a row of another part; None for folds.
        gap_asked: the distance within which train rows were left out; 0 for copies alone, None for folds.
        outputs: the files written.
        removed: the files of an older run in the folder that were not written again.
    """

    rows: dict[str, int]
    left_out: int
    fill: dict[str, float]
    gap: float | None
    gap_asked: float | None
    outputs: list[OutputRecord]
    removed: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` and split.json hold it."""
        outputs = [output.model_dump() for output in self.outputs]
        return {
            "rows": self.rows,
            "left_out": self.left_out,
            "fill": self.fill,
            "gap": self.gap,
            "gap_asked": self.gap_asked,
            "outputs": outputs,
            "removed": self.removed,
        }


def split_sources(request: SplitRequest, progress: Progress = silent) -> SplitOutcome:
    """Reads, embeds, splits and writes.

    Raises:
        InputError: neither or both of test and folds, a gap that leaves no train row, or what cannot be read.
    """
    check_request(request.pool)
    _check(request)
    rows = read_pool(request.pool, progress=progress)
    places, older = part_places(request.out, _names(request), rows, RECORD_FILE, overwrite=request.overwrite)
    with open_pool(request.pool, rows, progress=progress) as pool:
        split = split_pool(request.how, pool, progress)
    parts, left = split.rows, split.left_out
    place = Path(request.out) / RECORD_FILE
    # The record takes its place first: no part is there that nothing tells of.
    with new_files(make_folders=True) as new, new.open(place) as stream:
        new.instead_of(older)
        outputs = [record for name in parts for record in write_rows(rows, parts[name], places[name], new)]
        counts = {name: len(part) for name, part in parts.items()}
        removed = [str(path) for path in older]
        outcome = SplitOutcome(counts, len(left), split.fill, split.gap, split.gap_asked, outputs, removed)
        record = {**outcome.to_dict(), "left_out_ids": [rows.ids[row] for row in left.tolist()]}
        stream.write(f"{json.dumps(record, indent=1)}\n".encode())
    return outcome


def split_pool(how: HowToSplit, pool: OpenedPool, progress: Progress = silent) -> Split:
    """The parts of an opened pool.

    Args:
        how: passed its check.
        pool: the pool.
        progress: called as rows are picked.

    Raises:
        InputError: a gap that leaves no train row, or more test rows or folds than there can be.
    """
    with pool.points.reusing():
        near = GAP[pool.metric] if how.gap is None else how.gap
        parts = _parts(how, pool, near, progress)
        fill = {name: _fill(pool.points, part) for name, part in parts.items()}
    left = np.setdiff1d(np.arange(len(pool)), np.concatenate(list(parts.values())))
    tested = how.test is not None
    return Split(parts, left, fill, _gap(pool.points, parts) if tested else None, near if tested else None)


def _check(request: SplitRequest) -> None:
    request.how.check()
    if not request.out.endswith("/") and not Path(request.out).is_dir():
        raise InputError(f"`out` must be a folder for the parts, e.g. {Path(request.out).stem}/")


def _names(request: SplitRequest) -> list[str]:
    if request.folds is None:
        return ["train", "test"]
    return [f"fold{number}" for number in range(1, request.folds + 1)]


def _parts(how: HowToSplit, pool: OpenedPool, gap: float, progress: Progress) -> dict[str, Int64Array]:
    points, same = pool.points, _same(pool)
    if how.folds is not None:
        distinct = len(np.unique(same))
        if how.folds > distinct:
            raise InputError(f"`folds` {how.folds} is more than the {distinct} distinct rows of the pool")
        fold = folds(points, how.folds, same, progress)
        return {f"fold{number + 1}": np.flatnonzero(fold == number) for number in range(how.folds)}
    count = check_keep(how.test, len(points), "`test`")
    most = len(points) // 2 if how.both else len(points) - 1
    if count > most:
        raise InputError(f"`test` {how.test} leaves too few train rows; at most {most} of {len(points)}")
    test = duplex(points, count, progress)[0] if how.both else covering_test(points, count, progress)
    copies = np.flatnonzero(np.isin(same, same[test]))
    near = near_parts(points, test, gap)
    train = np.setdiff1d(np.arange(len(points)), np.concatenate([test, copies, near]))
    if not len(train):
        lower = "lower it" if gap else "lower `test`, for there are too few distinct rows"
        raise InputError(f"every row equals a test row or lies within `gap={gap:g}` of one; {lower}")
    return {"train": train, "test": np.sort(test)}


def _same(pool: OpenedPool) -> Int64Array:
    """(N,) one number for rows with equal vectors or equal texts, and for those that such rows join."""
    partitions = (pool.rows.same_text.text, pool.points.first_equal)
    same = partitions[1]
    while True:
        joined = same
        for first in partitions:
            lowest = np.full(len(pool), len(pool))
            np.minimum.at(lowest, first, joined)
            joined = lowest[first]
        if (joined == same).all():
            return same
        same = joined


def _fill(points: Points, part: Int64Array) -> float:
    return float(nearest_of(points, points.part(part))[1].max())


def _gap(points: Points, parts: dict[str, Int64Array]) -> float:
    return float(nearest_of(points.part(parts["train"]), points.part(parts["test"]))[1].min())
