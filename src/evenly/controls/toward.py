"""``toward``: rows for a task of which there are a few examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import TARGET, Control, Told, read_share, refuse
from evenly.controls.outside import named_files
from evenly.request import option
from evenly.types import Float32Array, Int64Array
from evenly.words import counted

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.engine.points import Points
    from evenly.measures.verify import Check
    from evenly.types import Selection

_SLACK = 1e-6
"""Of the largest distance, as `evenly.measures.verify.TOLERANCE`."""


@dataclass(frozen=True, eq=False)
class Reach:
    """What the examples took in turns.

    Attributes:
        files: the examples of each file, by name.
        rows: (m,) int64 rows of the pool, in the order of taking.
        turns: (m,) int64 the example that took each, counted over all files.
    """

    files: Mapping[str, Points]
    rows: Int64Array
    turns: Int64Array

    @property
    def examples(self) -> Float32Array:
        """(T, d) those of all files."""
        return np.concatenate([points.vectors for points in self.files.values()])

    def of(self, name: str) -> Int64Array:
        """Rows that the examples of a file took."""
        names, sizes = list(self.files), [len(points) for points in self.files.values()]
        first = sum(sizes[: names.index(name)])
        return self.rows[(self.turns >= first) & (self.turns < first + len(self.files[name]))]


@dataclass(frozen=True)
class Toward(Control):
    """Examples take rows in turns, each the nearest row that is left: round robin.

    Alone, the rows taken are the rows kept, in that order. With ``toward_share``, so large a share of the pool is
    taken, and the rows kept are as far apart as these allow. Turns go round the files, and round the examples of each.
    """

    group = TARGET
    bounding = ("toward_share",)
    restricting = ("toward",)
    reasons: ClassVar = {"toward": "not among the rows nearest the examples"}

    toward: tuple[str, ...] = option(
        (),
        "A few examples of a task, FILE or NAME=FILE; may be repeated. Each in turn takes the nearest row left.",
        label="Toward",
    )
    toward_share: str | None = option(
        None,
        "Share of the pool (10%) that the examples of `toward` take; of these, rows as far apart as possible are kept.",
        label="Share of the pool in reach",
    )

    def check(self, choice: Choice) -> None:
        refuse(not self.toward, "`toward_share` needs `toward`, the file with examples")
        named_files("toward", self.toward)
        if self.toward_share is not None:
            refuse(read_share("toward_share", self.toward_share) == 0, "`toward_share` must be above 0")
            return
        sequence = "`toward` alone keeps rows in the order in which its examples take them"
        remedy = "; give `toward_share` too, or leave one out"
        for name in ("within", "weight", "density"):
            refuse(choice.options.get(name), f"{sequence}, `{name}` changes distances{remedy}")
        refuse(choice.start is not None, f"{sequence}, `start` names another first pick{remedy}")
        refuse(choice.budget.unit == "knee", f"{sequence}, `keep=knee` looks at distances{remedy}")
        name = "`refine`" if choice.refine else f"`strategy` {choice.strategy}"
        refuse(not choice.picks_farthest, f"{sequence}, {name} has its own{remedy}")

    def exclude(self, prepared: Prepared) -> None:
        """Comes last, so that rows which others exclude are not taken."""
        if self.toward_share is None:
            return
        share = read_share("toward_share", self.toward_share)
        reach = prepared.reach = self._reach(prepared, max(1, int(share * len(prepared.pool) + 1e-9)))
        first_equal = prepared.pool.points.first_equal
        within = np.isin(first_equal, first_equal[reach.rows])
        within[prepared.given] = True
        rows = np.flatnonzero(~within)
        prepared.exclude(rows, "toward", [f"beyond the {len(reach.rows):,} rows in reach"] * len(rows))

    def constrain(self, prepared: Prepared) -> None:
        if self.toward_share is not None:
            return
        reach = prepared.reach = self._reach(prepared, self._taken(prepared))
        sequence = np.full(len(prepared.pool), len(reach.rows))
        sequence[reach.rows] = np.arange(len(reach.rows))
        prepared.sequence = sequence

    def _taken(self, prepared: Prepared) -> int:
        """Rows that are taken: those kept, or all where some may be passed over."""
        return len(prepared.pool) if _passes_over(prepared) else prepared.count

    def _reach(self, prepared: Prepared, count: int) -> Reach:
        from evenly.engine.points import Points
        from evenly.engine.round_robin import by_turns

        pool, files = prepared.pool, named_files("toward", self.toward)
        opened = {name: pool.outside(file, f"examples of {name}") for name, file in files.items()}
        others = np.concatenate([points.vectors for points in opened.values()])
        turns = list(islice(_turns([len(points) for points in opened.values()]), count))
        rows = by_turns(pool.points, prepared.distinct(), Points(others, pool.metric), turns, count)
        return Reach(opened, rows, np.array(turns[: len(rows)]))

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        from evenly.engine.orders import nearest_of

        reach, pool = prepared.reach, prepared.pool
        if reach is None:
            return {}
        told = []
        for name, points in reach.files.items():
            example, distance = nearest_of(pool.points, points)
            kept = distance[selection.rows]
            closest = int(selection.rows[np.argmin(kept)])
            told.append(
                {
                    "name": name,
                    "rows": len(points),
                    "reached": None if self.toward_share is None else len(reach.of(name)),
                    "kept": len(np.intersect1d(reach.of(name), selection.rows)),
                    "median_kept": float(np.median(kept)),
                    "median_pool": float(np.median(distance)),
                    "closest": {
                        "row": pool.rows.ids[closest],
                        "example": int(example[closest]) + 1,
                        "distance": float(distance[closest]),
                    },
                }
            )
        return {"toward": told}

    def told(self, found: Mapping[str, Any]) -> Told:
        lines = []
        for one in found["toward"]:
            kept = f"{counted(one['kept'], 'row')} kept"
            if one["reached"] is not None:
                kept = f"{one['kept']:,} kept of {one['reached']:,} in reach"
            closest = one["closest"]
            lines.append(
                (
                    f"toward {one['name']}",
                    f"{counted(one['rows'], 'example')}; {kept}; kept rows are {one['median_kept']:.4g} from the "
                    f"nearest example, rows of the pool {one['median_pool']:.4g} (medians); closest: "
                    f"{closest['row']}, {closest['distance']:.4g} from example {closest['example']:,}",
                )
            )
        return lines

    def verify(self, prepared: Prepared, selection: Selection, found: Mapping[str, Any]) -> list[Check]:
        from evenly.measures.verify import Check

        reach = prepared.reach
        if reach is None:
            return []
        wrong = _wrong_turn(prepared.pool.points.vectors, _eligible(prepared, reach), reach)
        detail = f"{len(reach.rows):,} turns of {len(reach.examples):,} examples, each the nearest row left"
        checks = [Check("toward, turns", not wrong, wrong or detail)]
        if prepared.sequence is not None:
            checks.append(_sequence_check(prepared, selection, reach))
        return checks


def _turns(sizes: list[int]) -> Iterator[int]:
    """Whose turn it is, without end: round the files, and round the examples of each, counted over all files."""
    ends = np.cumsum(sizes).tolist()
    rounds = [cycle(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]
    return chain.from_iterable(zip(*rounds, strict=True))


def _passes_over(prepared: Prepared) -> bool:
    """Whether rows may be passed over that are no copies of earlier ones in the sequence."""
    bounds = (prepared.quotas, prepared.costs, prepared.anchors)
    return prepared.least_distance > 0 or any(one is not None for one in bounds)


def _eligible(prepared: Prepared, reach: Reach) -> Int64Array:
    """Rows that could be taken: those that no other control excludes."""
    others = [row for row, (reason, _) in prepared.excluded.items() if reason != "toward"]
    return np.setdiff1d(np.arange(len(prepared.pool)), others)


def _wrong_turn(vectors: Float32Array, rows: Int64Array, reach: Reach) -> str:
    """Which example did not take the nearest row left, in one line; empty where all did.

    The definition in plain numpy, one example at a time: of all rows taken later or never, none was nearer than what
    the example took. Copies of a row count as taken with it. Cost: distances of all rows to all examples, in float64.
    """
    values = vectors[rows].astype(np.float64)
    _, equal = np.unique(values, axis=0, return_inverse=True)
    gone = np.full(equal.max() + 1, len(reach.rows))  # the turn in which a row or its copy was taken
    place = {row: at for at, row in enumerate(rows.tolist())}
    taken = np.array([place[row] for row in reach.rows.tolist()])
    gone[equal[taken]] = np.arange(len(taken))
    gone = gone[equal]
    for example, vector in enumerate(reach.examples.astype(np.float64)):
        mine = np.flatnonzero(reach.turns == example)
        if not len(mine):
            continue
        distance = np.sqrt(np.square(values - vector).sum(axis=1))
        farthest = np.maximum.accumulate(distance[taken[mine]])
        before = np.searchsorted(mine, gone)  # turns of this example in which the row was still left
        passed = np.where(before > 0, farthest[np.maximum(before - 1, 0)], 0.0)
        late = np.flatnonzero(passed > distance + _SLACK * max(float(distance.max()), 1e-30))
        if len(late):
            row = int(rows[late[0]])
            return f"row {row} was nearer to example {example + 1} than a row that it took"
    return ""


def _sequence_check(prepared: Prepared, selection: Selection, reach: Reach) -> Check:
    """The rows kept are the first ones taken; where other controls pass over rows, they come in that order."""
    from evenly.measures.verify import Check

    name = "toward, order"
    picks = selection.rows[len(prepared.given) :]
    picks = picks[selection.radii[len(prepared.given) :] > 0]  # copies come last, in the order of the pool
    if _passes_over(prepared):
        places = np.asarray(prepared.sequence)[picks]
        right = bool((np.diff(places) > 0).all())
        return Check(
            name, right, f"{len(picks):,} rows in the order of their turns" if right else "not by turns"
        )
    equal = prepared.pool.points.first_equal
    first = reach.rows[~np.isin(equal[reach.rows], equal[prepared.given])][: len(picks)]
    wrong = np.flatnonzero(first != picks)
    if len(wrong):
        rank = int(wrong[0])
        detail = f"pick {rank + 1} is row {picks[rank]}; its turn took row {first[rank]}"
        return Check(name, False, detail)
    return Check(name, True, f"the first {len(picks):,} rows taken")
