"""The gradient of every row's loss under a causal language model, projected to a few numbers and scaled to length 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.types import Float32Array
from evenly.vectors.adapters import RANK, Adapters, linear_layers, weight_shape
from evenly.vectors.causal import Batch, RowEncoder, RowTokens, identity_of, set_up
from evenly.vectors.projection import Sketch, check_fits, distortion
from evenly.vectors.token_loss import Head, send_back
from evenly.vectors.warmup import Moments, warmed_up

if TYPE_CHECKING:
    from evenly.vectors.gradients import Gradients

DEFAULT_DIM = 8192
"""As LESS and TRAK project."""


@dataclass(frozen=True, eq=False)
class Ready:
    """What running a batch takes: adapters on the model, its head, a sketch of each part of the gradient, and what
    Adam knows of each after a warm-up."""

    adapters: Adapters
    head: Head
    sketches: list[Sketch]
    moments: Moments | None


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientsEncoder(RowEncoder):
    """Gradients of adapters, one pass forward and one backward for all rows of a batch.

    Attributes:
        layers: where adapters sit, as asked.
        warm_rows: conversations that they are trained on first; without any, gradients are plain.
    """

    layers: str | None
    warm_rows: tuple[str, ...] = field(default=(), repr=False)

    def check_row(self, row: RowTokens, number: int) -> None:
        if not row.answer[1:].any():
            raise InputError(f"row {number} has no token of an answer, so no loss; leave it out")

    @cached_property
    def ready(self) -> Ready:
        """All that is needed to run a batch."""
        layers = linear_layers(self.model, self.layers)
        adapters, head = Adapters(self.model, layers), Head.of(self.model)
        moments = None
        if self.warm_rows:
            rows = [self.read_row(text, number) for number, text in enumerate(self.warm_rows)]
            moments = warmed_up(self, adapters, head, rows)
        parts = []
        for layer in layers:
            out, width = weight_shape(layer)
            parts += [out * RANK] + ([RANK * width] if self.warm_rows else [])
        check_fits(sum(Sketch.bytes(numbers, self.dimension) for numbers in parts), self.dimension)
        sketches = [Sketch(numbers, self.dimension, part) for part, numbers in enumerate(parts)]
        return Ready(adapters, head, [each.to(self.model.device) for each in sketches], moments)

    def begin(self) -> None:
        self.ready  # noqa: B018 - on one thread, before several use it

    @property
    def memory(self) -> int:
        return super().memory + sum(each.held for each in self.ready.sketches)

    def run(self, batch: Batch) -> Float32Array:
        ready = self.ready
        sums = torch.zeros(len(batch.ids), self.dimension, device=batch.ids.device)
        of_layer = 2 if self.warm_rows else 1

        def see(number: int, given: torch.Tensor, grad: torch.Tensor) -> None:
            for which, gradient in enumerate(ready.adapters.each[number].gradients(given, grad)):
                part = of_layer * number + which
                step = gradient if ready.moments is None else ready.moments.step(part, gradient)
                ready.sketches[part].add(step.flatten(1), sums)

        with ready.adapters.seen_by(see):
            send_back(self.model, ready.head, batch)
        found = sums[: batch.rows].double()
        found /= found.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        return np.asarray(found.float().cpu().numpy())


def load_gradients(kind: Gradients, request: PoolRequest) -> GradientsEncoder:
    """The encoder that a request asks for.

    Raises:
        InputError: no such model or device.
    """
    setting = set_up(kind, request)
    dim = kind.dim or DEFAULT_DIM
    notes = [*setting.notes, f"projected to {dim} numbers ({distortion(dim)})"]
    if kind.warm_rows:
        notes.insert(0, f"gradients of an Adam step after {len(kind.warm_rows):,} random rows")
    asked = {"kind": "gradients", "layers": kind.layers, "dim": dim, "rank": RANK, "warm": kind.warm_rows}
    return GradientsEncoder(
        name=kind.name,
        identity=identity_of({**setting.identity, **asked}),
        dimension=dim,
        note="; ".join(notes),
        layers=kind.layers,
        warm_rows=kind.warm_rows,
        **setting.shared,
    )
