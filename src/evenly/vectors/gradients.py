"""``gradients:MODEL``: the gradient of each row's loss under a causal language model, projected to a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenly.errors import InputError
from evenly.request import PoolRequest, option
from evenly.vectors.kind import Encoder
from evenly.vectors.language_model import FEATURES, LanguageModelKind

if TYPE_CHECKING:
    from evenly.records import EncoderRecord
    from evenly.rows.rows import Rows


@dataclass(frozen=True)
class Gradients(LanguageModelKind):
    """Which way a step on the row would move the model; see docs/features.md for sources and equations.

    Attributes:
        warm_rows: the conversations of the rows that the adapters are trained on first.
    """

    prefix = "gradients:"
    usage = "gradients:MODEL"

    layers: str | None = option(
        None,
        "Where gradients are taken: in the last so many blocks (4), or in the linear layers of these names in every "
        "block (q_proj,v_proj). Default: all linear layers of all blocks.",
        group=FEATURES,
    )
    warmup: int = option(
        0,
        "Random rows that adapters are trained on first; gradients are then those of an Adam step. 0 takes plain "
        "gradients of the model as it is.",
        group=FEATURES,
    )
    warm_rows: tuple[str, ...] = ()

    def check(self) -> None:
        from evenly.checks import check_int

        super().check()
        check_int(self.warmup, "`warmup`", at_least=0)
        if self.layers is not None and not all(name.strip() for name in self.layers.split(",")):
            raise InputError(f"`layers` must be a number of blocks or names with commas; got {self.layers!r}")

    def for_pool(self, rows: Rows, request: PoolRequest) -> Gradients:
        if not self.warmup:
            return self
        from evenly.vectors.warmup import random_rows

        texts, keys = self.texts(rows)
        return replace(self, warm_rows=random_rows(texts, keys, self.warmup))

    def load(self, request: PoolRequest) -> Encoder:
        from evenly.vectors.row_gradients import load_gradients

        self.check_reading(request)
        if request.part == "prompt":
            raise InputError(
                "`part=prompt` has no loss to take gradients of; use all, response, chosen or rejected"
            )
        return load_gradients(self, request)

    def same(self, saved: EncoderRecord, own: EncoderRecord) -> bool:
        """By what was asked: kept rows of another pool are embedded anew, with what was learnt from this one."""
        return (saved.name, saved.options) == (own.name, own.options)
