"""The options of the command line as keywords of Python: declared once, in the dataclasses that both read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.vectors.registry import encoder_options

Call = TypeVar("Call", bound=Callable[..., Any])


def names_of(request: type) -> tuple[str, ...]:
    """The options that a dataclass declares."""
    return tuple(one.name for one in fields(request) if "option" in one.metadata)


CHOOSING = (*(name for control in CONTROLS for name in names_of(control)), *names_of(Choice))
"""How rows are chosen."""

OF_FILES = ("sources", "split", "skip_empty")
"""Options of reading that rows in memory have no use for: they are there, of one split, and keep their numbers."""

READING = (*(name for name in names_of(PoolRequest) if name not in OF_FILES), *encoder_options())
"""How rows in memory are read and embedded, and where work on them is done."""

WORKING = (
    "metric",
    *(name for name in names_of(SavedPoolRequest) if name in ("device", "memory", "engine", "ray_address")),
)
"""The same for vectors, which are not embedded."""

SAVED = tuple(name for name in names_of(SavedPoolRequest) if name != "folder")
"""Where a saved selection is read, and with what."""

_DECLARED = {
    one.name: one for request in (PoolRequest, SavedPoolRequest, Choice, *CONTROLS) for one in fields(request)
} | {name: declared for name, (declared, _) in encoder_options().items()}


def takes_options(*names: str) -> Callable[[Call], Call]:
    """Shows options in the signature of a function that takes them as ``**options``, and refuses others."""

    def declare(function: Call) -> Call:
        own = inspect.signature(function)
        kept = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        shown = [name for name in dict.fromkeys(names) if name not in own.parameters]
        more = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_DECLARED[name].default, annotation=Any
            )
            for name in shown
        ]
        function.__signature__ = own.replace(parameters=[*kept, *more])  # type: ignore[attr-defined]
        return function

    return declare


def split_options(call: str, options: Mapping[str, Any], *groups: Iterable[str]) -> list[dict[str, Any]]:
    """Options by the group that they are of.

    Raises:
        InputError: one is of no group; names the nearest.
    """
    known = [name for group in groups for name in group]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            ask = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(known))}"
            raise InputError(f"{call} takes no {name}; {ask}")
    return [{name: options[name] for name in group if name in options} for group in groups]
