"""The points of a comparison's axes: batch, schedule, size of the arms, and rows against epochs at equal steps."""

from __future__ import annotations

from dataclasses import dataclass

from evenly.train.settings import Request, Training

WHOLE = "100%"
"""The size at which all arms are one: the full set, trained once."""


@dataclass(frozen=True)
class Variant:
    """One point of the axes.

    Attributes:
        training: how its arms are trained.
        keep: size of its arms, as it was named; of all arms where there is one size.
        several_sizes, several_epochs: whether these are axes, so that names must tell them apart.
    """

    training: Training
    keep: str
    several_sizes: bool = False
    several_epochs: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables."""
        parts = [f"batch {self.training.batch}", self.training.schedule]
        parts += [f"keep {self.keep}"] if self.several_sizes else []
        parts += [f"{self.training.epochs:g} epochs"] if self.several_epochs else []
        return ", ".join(parts)

    @property
    def key(self) -> str:
        """The same in names of files."""
        parts = [f"b{self.training.batch}", self.training.schedule]
        parts += [f"k{self.keep.replace('%', 'pct')}"] if self.several_sizes else []
        parts += [f"e{self.training.epochs:g}"] if self.several_epochs else []
        return "-".join(parts)

    @property
    def share(self) -> float:
        """What part of an arm of its size is trained on: with several epochs at equal steps, one over them."""
        return 1.0 / self.training.epochs if self.several_epochs else 1.0

    def has(self, arm: str) -> bool:
        """Whether it has an arm: the full set is trained at one size alone, and nothing else there."""
        return not self.several_sizes or (arm == "full") == (self.keep == WHOLE)


def variants(request: Request) -> list[Variant]:
    """All points of the axes of a request."""
    return [
        Variant(
            request.training.model_copy(update={"batch": batch, "schedule": schedule, "epochs": epochs}),
            keep,
            len(request.sizes) > 1,
            len(request.passes) > 1,
        )
        for batch in request.batches or (request.training.batch,)
        for schedule in request.schedules or (request.training.schedule,)
        for keep in request.sizes
        for epochs in request.passes or (request.training.epochs,)
    ]
