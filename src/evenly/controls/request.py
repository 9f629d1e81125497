"""The controls of `evenly select` as they were asked for, and which of them make no sense together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from evenly.engine.budgets import read_budget
from evenly.errors import InputError

ALL = "100%"
"""What ``--keep`` is where it is left out: all that quotas, floors and near-copies leave."""


@dataclass(frozen=True)
class ControlRequest:
    """What was asked for beyond how much to keep. See the options of `evenly select` for each."""

    anchors: str | None = None
    avoid: str | None = None
    distance: float | None = None
    must: tuple[str, ...] = ()
    by: str | None = None
    quota: str | None = None
    at_least: int = 0
    guard: str | None = None
    density: float = 0.0
    quality: str | None = None
    floor: float | None = None
    within: float | None = None
    weight: float | None = None
    dedup: float | None = None
    match_length: bool = False
    tokenizer: str | None = None

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
