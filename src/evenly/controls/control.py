"""What a control is: the options of one thing that may be asked of a selection, and all that they do.

A control is a frozen dataclass in a file of its own. Its fields are its options; its methods say what it does to a
pool, what it found, how that reads, and how a saved selection is held to it. Command line, record, page, `verify`,
`slice`, `extend` and the rival strategies know nothing but the list in `evenly.controls`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from evenly.errors import InputError

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.measures.verify import Check
    from evenly.types import Selection

KEPT, EXCLUDED, GROUPS, SCORES, TARGET = (
    "Rows kept already",
    "Rows excluded",
    "Groups and lengths",
    "Scores",
    "Toward a task",
)

Told = list[tuple[str, str]]
"""Terms and sentences: ``term: sentence`` on the terminal, a line of a table on the page."""


@dataclass(frozen=True)
class Control:
    """The base of all controls; as it is, a control does nothing.

    Methods are called on controls of which an option is used, in the order of the list.
    """

    group: ClassVar[str] = ""
    """The heading of its options in help."""

    bounding: ClassVar[tuple[str, ...]] = ()
    """Options that say by themselves how much is kept, so that ``keep`` may be left out."""

    restricting: ClassVar[tuple[str, ...]] = ()
    """Options that keep rows from being picked freely, of which a bound over the whole pool makes no use."""

    reordering: ClassVar[tuple[str, ...]] = ()
    """Options that change the max-min order, which no other strategy can follow."""

    sized: ClassVar[tuple[str, ...]] = ()
    """Options under which a smaller selection is no prefix of a larger one: they cannot be sliced or extended."""

    reasons: ClassVar[Mapping[str, str]] = {}
    """Why rows are excluded, by the name under which `exclude` lists them, in a few words."""

    def asked(self) -> dict[str, Any]:
        """The options that are used, by name, as JSON holds them."""
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, (value, default) in values.items()
            if value != default
        }

    def labelled(self) -> Told:
        """The options that are used, by label."""
        labels = {one.name: one.metadata["option"].label for one in fields(self)}
        return [(labels[name], _shown(value)) for name, value in self.asked().items() if labels[name]]

    def check(self, choice: Choice) -> None:
        """Refuses options that make no sense alone or beside the others, before anything is read.

        Raises:
            InputError: says which option needs which, or which exclude one another and why.
        """

    def fields(self) -> tuple[str, ...]:
        """Fields of the records that it reads."""
        return ()

    def exclude(self, prepared: Prepared) -> None:
        """Names rows that are kept first or may not be picked.

        Raises:
            InputError: something cannot be used.
        """

    def constrain(self, prepared: Prepared) -> None:
        """Says how the rest is picked: weights, quotas, distances, costs. All excluded rows are known by now.

        Raises:
            InputError: something cannot be used, or not be met.
        """

    def dropped(self, prepared: Prepared, selection: Selection) -> dict[int, str]:
        """Rows that it kept from being picked on the way, and what it found."""
        return {}

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        """What it did, in numbers, for measures.json."""
        return {}

    def told(self, found: Mapping[str, Any]) -> Told:
        """What a person should know of all that was found."""
        return []

    def verify(self, prepared: Prepared, selection: Selection, found: Mapping[str, Any]) -> list[Check]:
        """Holds a saved selection to what it promises beyond excluded rows, distances, quotas and costs.

        ``found`` is what the record says was found.
        """
        return []

    def carried(self) -> Control | None:
        """The control of a longer selection that goes on from this one; None for none."""
        return self


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "yes" if value is True else str(value)


def refuse(wrong: object, line: str) -> None:
    """Raises InputError with a line where something is wrong."""
    if wrong:
        raise InputError(line)


def read_share(name: str, value: str | None) -> float:
    """A share of the rows from 0 to 1, of an option that is given as "5%" or "0.05".

    Raises:
        InputError: it is none.
    """
    text = str(value)
    try:
        share = float(text[:-1]) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    refuse(
        not 0.0 <= share <= 1.0,
        f"`{name}` must be a share of the rows, for example 5% or 0.05; got {text!r}",
    )
    return share


def check_above_0(name: str, value: float | None) -> None:
    """Refuses a value of an option, where it is given, that is not above 0 or not finite."""
    wrong = value is not None and not 0 < value < float("inf")
    refuse(wrong, f"`{name}` must be above 0 and finite; got {value}")


def used(controls: Iterable[Control], kind: str) -> tuple[str, ...]:
    """The options of a kind (``bounding``, ``restricting``, ``reordering``, ``sized``) that are used."""
    return tuple(name for one in controls for name in one.asked() if name in getattr(one, kind))
