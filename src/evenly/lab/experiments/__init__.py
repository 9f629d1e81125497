"""The experiments by name. Each module has ``run(...) -> Result`` and ``draw(result) -> Figure``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from evenly.errors import InputError
from evenly.lab.result import Result
from evenly.types import Progress, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("trap", "law", "spectrum", "train", "approx", "trajectory", "depth", "coverage", "forecast")


class Experiment(Protocol):
    """What each module of this package offers."""

    def run(
        self,
        *,
        seeds: int | None = None,
        quick: bool = False,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Result:
        """Measures. The same arguments give the same numbers on one machine."""

    def draw(self, result: Result) -> Figure:
        """Draws the result's series."""


def load(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: there is none.
    """
    if name not in NAMES:
        raise InputError(f"experiment {name!r} is not known; use one of {', '.join(NAMES)}")
    module: Experiment = import_module(f"evenly.lab.experiments.{name}")
    return module
