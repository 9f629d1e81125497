"""Arms that a user names: saved selections, and selections that are made as `evenly select` makes them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.arms import KINDS
from evenly.jobs.drawn import DrawnPool
from evenly.opened import OpenedPool, check_request
from evenly.request import PoolRequest, RowsRequest
from evenly.selecting.run import choose
from evenly.strategies import STRATEGIES
from evenly.train.arms import NAME, Arm
from evenly.train.settings import Request
from evenly.types import Int64Array, Progress, silent

ALL = "all"
_SOURCES = {one.name for one in fields(RowsRequest)} - {"text", "part"}
"""Options that say which rows are read: the pool of a comparison is one."""


@dataclass(frozen=True, eq=False)
class ChosenArm:
    """An arm that is picked from the rows which arms may take, by options of `evenly select`.

    Attributes:
        name: of the arm.
        request: how its rows are embedded.
        options: of its choice, by name; ``keep`` and ``seed`` are those of the comparison unless they are named.
    """

    name: str
    request: PoolRequest
    options: dict[str, Any]

    def choice(self, keep: str, seed: int) -> Choice:
        """What decides over its rows for one seed: as in the other arms, max-min orders begin at random, and copies
        follow where distinct rows run out."""
        copies = "dedup" not in self.options
        choice = Choice.of(**{"keep": keep, "seed": seed, "allow_copies": copies, **self.options})
        in_turns = "toward" in self.options and "toward_share" not in self.options
        if choice.picks_farthest and choice.start is None and not in_turns:
            choice = replace(choice, start="random")
        choice.check()
        return choice

    def make(
        self,
        drawn: DrawnPool,
        opened: tuple[OpenedPool, float],
        candidates: Int64Array,
        keep: str,
        seeds: int,
        progress: Progress = silent,
    ) -> list[Arm]:
        """The arm for every seed.

        Args:
            drawn: the pool of the comparison.
            opened: the rows of the candidates, embedded as the comparison asks, and the seconds of that.
            candidates: (C,) ascending pool row numbers that arms may take.
            keep: how much of them, unless the arm names it.
            seeds: 0 … seeds - 1.
            progress: called as rows are embedded and picked.
        """
        if self.request == opened[0].request:
            return self._picked(*opened, candidates, keep, seeds)
        with drawn.open(self.request, candidates, progress) as (pool, seconds):
            return self._picked(pool, seconds, candidates, keep, seeds)

    def _picked(
        self, pool: OpenedPool, embed_seconds: float, candidates: Int64Array, keep: str, seeds: int
    ) -> list[Arm]:
        arms = []
        for seed in range(seeds):
            started = time.perf_counter()
            _, selection, _ = choose(self.choice(keep, seed), pool)
            seconds = embed_seconds + time.perf_counter() - started
            arms.append(Arm(self.name, seed, candidates[selection.rows], seconds))
        return arms


def chosen_arms(request: Request) -> list[ChosenArm]:
    """The arms of a request that are picked by options: strategies named among its arms, and ``select``.

    Raises:
        InputError: an arm that is not known, not NAME=OPTIONS, an option that select does not have, a value that it
            does not take, or a name that another arm has.
    """
    pool = request.pool_request()
    found = []
    for kind in request.arms:
        if kind in STRATEGIES and kind not in KINDS:
            found.append(ChosenArm(kind, pool, {"strategy": kind}))
        elif kind not in KINDS:
            raise InputError(
                f"arm {kind!r} is not known; use {', '.join(KINDS)}, a strategy ({', '.join(_further())}) or all, "
                "or name options as `select`, or a folder as `saved`"
            )
    for named in request.select:
        name, text = named_arm(request, "select", named, "OPTIONS, these as evenly select takes them")
        reading, options = _read_options(named, text)
        found.append(ChosenArm(name, replace(pool, **reading), options))
    for arm in found:
        check_request(arm.request)
        arm.choice(request.sizes[0], 0)
    return found


def spelt_out(request: Request) -> Request:
    """The request with every kind and strategy among its arms where it names ``all``."""
    if ALL not in request.arms:
        return request
    others = [kind for kind in request.arms if kind not in (ALL, *KINDS, *_further())]
    return request.model_copy(update={"arms": (*KINDS, *_further(), *others)})


def _further() -> list[str]:
    return [name for name in STRATEGIES if name not in (*KINDS, "maxmin")]


def named_arm(request: Request, option: str, named: str, form: str) -> tuple[str, str]:
    """Name and rest of NAME=…, or an InputError that says what is wrong."""
    name, separator, rest = named.partition("=")
    if not separator or not rest.strip():
        raise InputError(f"`{option}` {named} must read NAME={form}")
    if not NAME.fullmatch(name):
        raise InputError(f"`{option}` {named}: the name must be small letters, digits and dashes")
    if request.names.count(name) > 1:
        raise InputError(f"`{option}` {named}: another arm is called {name}; name it differently")
    return name, rest


def _read_options(named: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options as one types them for select: those of embedding, and those of the choice."""
    reading: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for flag, value in _typed(named, text):
        declared = _DECLARED.get(flag)
        if declared is None:
            raise InputError(
                f"`select` {named}: evenly select has no option {flag} that says which rows are kept"
            )
        part, field = declared
        read = field.metadata["option"].read
        known = _value(part, field, value, f"`select` {named}: {flag}") if read is None else read(str(value))
        known = not known if field.metadata["option"].turns_off else known
        (reading if part is PoolRequest else options)[field.name] = known
    return reading, options


def _typed(named: str, text: str) -> Iterator[tuple[str, str | None]]:
    """Pairs of an option and its value; None where none follows."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"`select` {named} cannot be read: {error}") from None
    if not words[0].startswith("--"):
        raise InputError(f"`select` {named}: expected options as evenly select takes them; got {words[0]}")
    place = 0
    while place < len(words):
        flag, separator, value = words[place].partition("=")
        follows = place + 1 < len(words) and not words[place + 1].startswith("--")
        if not separator and follows:
            value = words[place + 1]
        place += 1 if separator or not follows else 2
        yield flag, value if separator or follows else None


def _value(part: type, field: Field[Any], text: str | None, where: str) -> Any:
    hint = get_type_hints(part)[field.name]
    given: Any = "true" if text is None and (hint is bool or bool in get_args(hint)) else text
    try:
        return TypeAdapter(hint).validate_python((given,) if isinstance(field.default, tuple) else given)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise InputError(f"{where} takes {said}; got {'nothing' if text is None else repr(text)}") from None


def _declared() -> dict[str, tuple[type, Field[Any]]]:
    """The dataclass and field of every option of select that says which rows are kept, by how it is typed."""
    found: dict[str, tuple[type, Field[Any]]] = {}
    parts: tuple[type[Any], ...] = (PoolRequest, *CONTROLS, Choice)
    for part in parts:
        for one in fields(part):
            declared = one.metadata.get("option")
            if declared is not None and not (part is PoolRequest and one.name in _SOURCES):
                found[declared.flag or f"--{one.name.replace('_', '-')}"] = (part, one)
    return found


_DECLARED = _declared()


@dataclass(frozen=True, eq=False)
class SavedSelection:
    """A selection that becomes an arm of this name."""

    name: str
    folder: SelectionFolder

    @property
    def seconds(self) -> float:
        """What embedding and selecting took."""
        return sum(self.folder.manifest.seconds.get(stage, 0.0) for stage in ("embed", "select"))

    def check_sources(self, hashes: list[str]) -> None:
        """Raises InputError unless it was made from sources of these hashes."""
        if [source.sha256 for source in self.folder.manifest.sources] != hashes:
            raise InputError(f"{self.folder.path} is a selection from other sources; select from these first")

    def rows_among(self, members: Int64Array, candidates: Int64Array) -> Int64Array:
        """Its picks as pool row numbers, less those that may not be trained on."""
        position = {int(number): at for at, number in enumerate(members)}
        allowed = set(candidates.tolist())
        rows = [position[row] for row in self.folder.picks.tolist() if position.get(row) in allowed]
        return np.array(rows, dtype=np.int64)


def saved_selections(request: Request) -> list[SavedSelection]:
    """The selections that a request names as arms; a kept file stands for the folder beside it.

    Raises:
        InputError: not NAME=FOLDER, a name that another arm has, or no selection there.
    """
    named = [named_arm(request, "saved", one, "FOLDER, e.g. knn=kept.evenly/") for one in request.saved]
    return [SavedSelection(name, SelectionFolder.open(place)) for name, place in named]
