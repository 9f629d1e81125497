"""How rows are chosen from a pool: what was asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from evenly.checks import check_int, whole_number
from evenly.controls import controls_from, options_of
from evenly.controls.control import Control, refuse, used
from evenly.controls.keep import Keep
from evenly.engine.budgets import EVERYTHING, Budget
from evenly.errors import InputError
from evenly.request import option

if TYPE_CHECKING:
    from evenly.folder.manifest import Manifest

Start = int | Literal["random"] | None

MAXMIN = "maxmin"
ALL_STRATEGIES = "all"
STRATEGIES = "Other strategies"


def read_start(text: str) -> int | str:
    """A row number from 0 or "random" from the command line."""
    if text == "random":
        return text
    if (number := whole_number(text)) is None or number < 0:
        raise InputError(f"`start` must be a row number from 0, or random; got {text!r}")
    return number


@dataclass(frozen=True)
class Choice:
    """What decides over the rows kept.

    Attributes:
        controls: those that are used, in the order of `evenly.controls.CONTROLS`.
    """

    controls: tuple[Control, ...] = ()
    start: Start = option(
        None,
        "First pick: a row number from 0, or random. Default: the row nearest the mean.",
        read=read_start,
    )
    seed: int = option(0, "For `start=random` and the random sets of the summary.")
    allow_copies: bool = option(False, "Go on with exact copies once distinct rows run out.")
    strategy: str = option(
        MAXMIN,
        "maxmin, or a rival to compare with (see evenly strategies); all makes every one of them.",
        group=STRATEGIES,
    )
    refine: bool = option(False, "Spend more time for a larger h_min than greedy reaches.", group=STRATEGIES)

    @staticmethod
    def of(**options: Any) -> Choice:
        """The choice that options of controls and of its own ask for, by name."""
        own = {one.name: options.pop(one.name) for one in fields(Choice) if one.name in options}
        return Choice(**{"controls": controls_from(options), **own})

    @cached_property
    def budget(self) -> Budget:
        """What ``keep`` says; the whole pool where it is left out."""
        return next((one.budget for one in self.controls if isinstance(one, Keep)), EVERYTHING)

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """The options of the controls that are used, by name."""
        return options_of(self.controls)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the records that the controls read."""
        return tuple(name for one in self.controls for name in one.fields())

    @property
    def picks_farthest(self) -> bool:
        """Whether every pick is the farthest row under the controls, as the greedy max-min order has it."""
        return self.strategy == MAXMIN and not self.refine

    @property
    def nested(self) -> bool:
        """Whether the first k rows of the order are the selection of size k, so that it can be cut."""
        return self.picks_farthest and not used(self.controls, "sized")

    def check_rows(self, pool_rows: int) -> None:
        """Refuses what asks for more rows than there are, once they are counted.

        Raises:
            InputError: says what was asked for, and how many rows there are.
        """
        self.budget.count(pool_rows)
        if isinstance(self.start, int) and self.start >= pool_rows:
            raise InputError(
                f"`start` must be a row number from 0 to {pool_rows - 1:,}, or random; got {self.start:,}"
            )

    def check(self) -> None:
        """Refuses what makes no sense, before anything is read.

        Raises:
            InputError: says which option needs which, or which exclude one another and why.
        """
        check_int(self.seed, "`seed`", at_least=0)
        refuse(
            "keep" not in self.options and not used(self.controls, "bounding"),
            "say how much to keep: `keep` takes 50%, 5000, tokens:2M, chars:900k, distance:0.35 or knee",
        )
        for control in self.controls:
            control.check(self)
        if not self.picks_farthest:
            self._check_strategy()

    def _check_strategy(self) -> None:
        """Refuses a strategy that is not known, and options that belong to the max-min order."""
        if self.strategy not in (MAXMIN, ALL_STRATEGIES):
            from evenly.strategies import strategy_named

            strategy_named(self.strategy)
        name = "`refine`" if self.refine else f"`strategy` {self.strategy}"
        changing = used(self.controls, "reordering")
        refuse(
            self.refine and self.strategy != MAXMIN,
            "`refine` starts from the max-min order; leave `strategy` out",
        )
        refuse(
            changing,
            f"`{next(iter(changing), '')}` changes the max-min order and does not go with {name}; leave one out",
        )
        refuse(
            self.start is not None and self.strategy != MAXMIN,
            f"`start` names the first pick of the max-min order; {name} has its own",
        )
        refuse(
            "keep" not in self.options or self.budget.unit != "rows",
            f"{name} keeps a number of rows: give `keep` a share or a count",
        )


def saved_choice(manifest: Manifest, **changed: Any) -> Choice:
    """How a saved selection was chosen, with some options of its controls changed."""
    options = manifest.options
    keep = {} if options.keep_left_out else {"keep": manifest.keep}
    starts: dict[str, Start] = {"row": manifest.start, "random": "random"}
    return Choice(
        controls_from({**options.controls, **keep, **changed}),
        start=starts.get(manifest.start_rule),
        seed=manifest.seed,
        allow_copies=manifest.allow_copies,
        strategy=options.strategy or MAXMIN,
        refine=options.refine,
    )
