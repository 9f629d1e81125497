"""``hidden:MODEL[@LAYER]``: hidden states of a causal language model, pooled over the tokens of each row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evenly.request import PoolRequest, option
from evenly.vectors.kind import Encoder, Fitted
from evenly.vectors.language_model import FEATURES, LanguageModelKind

if TYPE_CHECKING:
    from evenly.types import Float32Array

TokenPooling = Literal["mean", "weighted", "last"]

DEFAULT_LAYER = "100%"
"""As RDS+ has it. On alpaca_data its distances agreed best with those of gradients (benchmarks/features.py)."""

_NAMED = re.compile(r"(?P<model>.+)@(?P<layer>\d+%?|0?\.\d+|1\.0*)")


@dataclass(frozen=True)
class Hidden(LanguageModelKind):
    """What the model that will be trained makes of a row; see docs/features.md for sources and equations."""

    prefix = "hidden:"
    usage = "hidden:MODEL[@LAYER]"

    pooling: TokenPooling = option(
        "mean",
        "How the states of a row's tokens become one vector: their mean, their mean weighted by position, or the "
        "last one.",
        group=FEATURES,
    )
    whiten: bool = option(
        False,
        "Remove the mean of the pool's vectors and give all directions the same spread (ZCA).",
        group=FEATURES,
    )

    @property
    def model(self) -> str:
        found = _NAMED.fullmatch(self.rest)
        return found["model"] if found else self.rest

    @property
    def layer(self) -> str:
        """The layer as given: a number of blocks, or their share."""
        found = _NAMED.fullmatch(self.rest)
        return found["layer"] if found else DEFAULT_LAYER

    def beside(self, folder: Path) -> str:
        moved = super().beside(folder)
        return moved if moved == self.name or self.model == self.rest else f"{moved}@{self.layer}"

    def load(self, request: PoolRequest) -> Encoder:
        from evenly.vectors.states import load_states

        self.check_reading(request)
        return load_states(self, request)

    def fit(self, vectors: Float32Array) -> Fitted | None:
        from evenly.vectors.whitening import whitening_of

        return whitening_of(vectors) if self.whiten else None
