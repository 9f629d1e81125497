"""The controls of `evenly select` as they were asked for, and which of them make no sense together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from evenly.engine.budgets import ALL, read_budget
from evenly.errors import InputError
from evenly.request import option

KEPT, EXCLUDED, GROUPS, SCORES = (
    "Rows kept already",
    "Rows excluded",
    "Groups and lengths",
    "Scores and tokens",
)


@dataclass(frozen=True)
class ControlRequest:
    """What was asked for beyond how much to keep. See the options of `evenly select` for each."""

    anchors: str | None = option(
        None, "Rows that count as kept already: a file, a selection folder, or vectors.npy.", group=KEPT
    )
    must: tuple[str, ...] = option((), "FIELD=VALUE: rows that are kept first. May be repeated.", group=KEPT)
    avoid: str | None = option(
        None, "Rows to stay away from, such as a test set, by --distance.", group=EXCLUDED
    )
    distance: float | None = option(None, "No kept row lies this near to a row of --avoid.", group=EXCLUDED)
    dedup: float | None = option(None, "Drop rows nearer than this to a kept row.", group=EXCLUDED)
    guard: str | None = option(
        None,
        "Exclude the loneliest share of rows (5%), by the distance to their 10th neighbour.",
        group=EXCLUDED,
    )
    density: float = option(
        0.0, "A dial from 0, as far apart as possible, to 1, as dense as the pool.", group=EXCLUDED
    )
    by: str | None = option(None, "Field that names each row's group.", group=GROUPS)
    quota: str | None = option(
        None,
        "Rows from each group: equal, proportional, a number for each, or a JSON file by group.",
        group=GROUPS,
    )
    at_least: int = option(0, "At least this many rows from each group.", group=GROUPS)
    match_length: bool = option(False, "Keep the pool's histogram of lengths (by deciles).", group=GROUPS)
    quality: str | None = option(None, "Field that holds a score for each row.", group=SCORES)
    floor: float | None = option(None, "Rows below this score are excluded.", group=SCORES)
    within: float | None = option(
        None,
        "Distances in the same step of this width count as equal, and the better score decides.",
        group=SCORES,
    )
    weight: float | None = option(
        None, "Pick by distance times score to this power; scores must be above 0.", group=SCORES
    )
    tokenizer: str | None = option(
        None,
        "Folder or hub id that counts the tokens of --keep tokens:…; default: the encoder's.",
        group=SCORES,
    )

    def asked(self) -> dict[str, Any]:
        """The options that were used, by name, as JSON holds them."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value not in (None, (), False, 0, 0.0)
            or (name in ("floor", "dedup", "distance", "within", "weight") and value is not None)
        }

    def restricting(self, given: bool) -> tuple[str, ...]:
        """The options that kept rows from being picked freely, which a bound over the whole pool makes no use of.

        Args:
            given: whether rows of a saved selection came first.
        """
        used = [
            ("rows kept before", given),
            ("--anchors", self.anchors is not None),
            ("--must", bool(self.must)),
            ("--avoid", self.avoid is not None),
            ("--guard", self.guard is not None),
            ("--floor", self.floor is not None),
            ("--quota", self.quota is not None),
            ("--at-least", self.at_least > 0),
            ("--match-length", self.match_length),
        ]
        return tuple(name for name, restricts in used if restricts)

    @staticmethod
    def read(asked: dict[str, Any]) -> ControlRequest:
        """The inverse of `asked`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()
        }
        return ControlRequest(**values)


def check_controls(
    asked: ControlRequest,
    keep: str | None,
    start: object,
    allow_copies: bool,
    *,
    scores_alone: bool = False,
) -> None:
    """Refuses combinations that make no sense, before anything is read.

    Args:
        asked, keep, start, allow_copies: as asked.
        scores_alone: whether a score needs no option that says what to do with it.

    Raises:
        InputError: says which option needs which, or which exclude one another and why.
    """
    removing = (asked.dedup, asked.floor, asked.guard, asked.avoid, asked.quota)
    if keep is None and all(value is None for value in removing):
        raise InputError(
            "say how much to keep: --keep 50%, 5000, tokens:2M, chars:900k, distance:0.35 or knee"
        )
    budget = read_budget(ALL if keep is None else keep)
    both = [
        (asked.avoid and asked.distance is None, "--avoid FILE needs --distance D, how far to stay away"),
        (
            asked.distance is not None and not asked.avoid,
            "--distance D needs --avoid FILE, what to stay away from",
        ),
        (
            (asked.quota or asked.at_least) and not asked.by,
            "--quota and --at-least need --by FIELD, the groups",
        ),
        (asked.by and not (asked.quota or asked.at_least), "--by FIELD needs --quota or --at-least"),
        (
            _scores(asked) and not asked.quality,
            "--floor, --within and --weight need --quality FIELD, the score of each row",
        ),
        (
            asked.quality and not _scores(asked) and not scores_alone,
            "--quality FIELD needs --floor S, --within D or --weight P: what to do with the score",
        ),
        (
            asked.within is not None and (asked.weight is not None or asked.density),
            "--within compares plain distances, --weight and --density change them; use one of the three",
        ),
        (asked.match_length and keep is None, "--match-length shares out what --keep says; add --keep"),
        (asked.match_length and asked.by, "--match-length sets quotas by length, --by sets others; use one"),
        (
            (asked.match_length or asked.quota) and budget.unit != "rows",
            f"quotas share out a number of rows, and --keep {budget.text} names none; give --keep a count or share",
        ),
        (
            asked.dedup is not None and allow_copies,
            "--dedup removes copies, --allow-copies keeps them; use one of the two",
        ),
        (
            budget.unit == "distance" and allow_copies,
            f"--keep {budget.text} keeps rows apart, --allow-copies keeps copies; use one of the two",
        ),
        (
            start is not None and (asked.anchors or asked.must),
            "--start names the first pick, but rows of --anchors or --must come before it; leave one out",
        ),
        (
            asked.tokenizer and budget.unit != "tokens",
            "--tokenizer counts tokens for --keep tokens:…; leave it out otherwise",
        ),
    ]
    for wrong, line in both:
        if wrong:
            raise InputError(line)
    _check_numbers(asked)


def _scores(asked: ControlRequest) -> bool:
    return any(value is not None for value in (asked.floor, asked.within, asked.weight))


def _check_numbers(asked: ControlRequest) -> None:
    above = {"--within": asked.within, "--weight": asked.weight, "--dedup": asked.dedup}
    for name, value in above.items():
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be above 0 and finite; got {value}")
    if asked.distance is not None and not 0 <= asked.distance < float("inf"):
        raise InputError(f"--distance must be at least 0 and finite; got {asked.distance}")
    if not 0 <= asked.density <= 1:
        raise InputError(
            f"--density is a dial from 0 (farthest) to 1 (as dense as the pool); got {asked.density}"
        )
    if asked.floor is not None and not np.isfinite(asked.floor):
        raise InputError(f"--floor must be a finite score; got {asked.floor}")
    for condition in asked.must:
        if "=" not in condition:
            raise InputError(f"--must {condition!r} must read FIELD=VALUE, e.g. --must source=gold")
