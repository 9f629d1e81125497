"""The controls of a selection: one file each, listed in `CONTROLS`.

To add one, write its file and put its class into the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from typing import Any

from evenly.controls.anchors import Anchors
from evenly.controls.avoid import Avoid
from evenly.controls.band import ScoreBand
from evenly.controls.control import Control
from evenly.controls.dedup import Dedup
from evenly.controls.density import Density
from evenly.controls.gist import Gist
from evenly.controls.guard import Guard
from evenly.controls.keep import Keep
from evenly.controls.match_length import MatchLength
from evenly.controls.mix import Mix
from evenly.controls.must import Must
from evenly.controls.quality import Quality
from evenly.controls.quota import Quota
from evenly.controls.toward import Toward
from evenly.errors import InputError

CONTROLS: tuple[type[Control], ...] = (
    Keep,
    Anchors,
    Must,
    Quality,
    ScoreBand,
    Avoid,
    Dedup,
    Density,
    Guard,
    Quota,
    MatchLength,
    Mix,
    Toward,
    Gist,
)
"""In the order in which they work: the first that excludes a row gives the reason, and the guard spares what must
be kept."""


def controls_from(options: Mapping[str, Any]) -> tuple[Control, ...]:
    """The controls that options ask for, in the order of the list; the inverse of `options_of`.

    Raises:
        InputError: no control has an option of that name.
    """
    left = dict(options)
    made = []
    for control in CONTROLS:
        own = {one.name: _as_declared(left.pop(one.name), one) for one in fields(control) if one.name in left}
        if own:
            made.append(control(**own))
    if left:
        known = ", ".join(one.name for control in CONTROLS for one in fields(control))
        raise InputError(f"no control has the option {next(iter(left))!r}; there are {known}")
    return tuple(one for one in made if one.asked())


def _as_declared(value: Any, option: Field[Any]) -> Any:
    """A list as a tuple, and a single text as one where several are taken."""
    if isinstance(option.default, tuple):
        return (value,) if isinstance(value, str) else tuple(value or ())
    return tuple(value) if isinstance(value, list) else value


def options_of(controls: Iterable[Control]) -> dict[str, Any]:
    """The options that controls were asked with, by name, as JSON holds them."""
    return {name: value for control in controls for name, value in control.asked().items()}
