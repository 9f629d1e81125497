"""How large an experiment runs, where it computes and whom it tells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import torch

from evenly.errors import InputError, MissingExtraError
from evenly.types import Progress, silent

T = TypeVar("T")


def check_extra() -> None:
    """Says what to install where the lab lacks a package; asked before the rest of the lab is imported."""
    for package in ("matplotlib", "scipy"):
        if find_spec(package) is None:
            raise MissingExtraError("the lab", "lab")


@dataclass(frozen=True)
class Setup:
    """What every experiment is given. The same setup gives the same numbers on one machine.

    Attributes:
        seeds: how many, or None for the experiment's own number.
        quick: fewer seeds, steps and networks.
        device: as torch names it.
        progress: told of the stages.
    """

    seeds: int | None = None
    quick: bool = False
    device: str = "cpu"
    progress: Progress = silent

    def size(self, quick: T, full: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    def each(self, stage: str, items: Collection[T]) -> Iterator[T]:
        """The items one after another; tells of each that is done with."""
        for done, item in enumerate(items, start=1):
            yield item
            self.progress(stage, done, len(items))

    def check_device(self) -> None:
        """Says why the lab cannot run on the device: it computes in float64."""
        try:
            torch.zeros(1, dtype=torch.float64, device=self.device)
        except (RuntimeError, TypeError, AssertionError):
            raise InputError(
                f"device {self.device!r} does not compute in float64 here; use cpu or cuda"
            ) from None
