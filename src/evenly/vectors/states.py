"""Hidden states of a causal language model at one layer, pooled over the tokens of each row."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evenly.errors import InputError
from evenly.request import Part, PoolRequest
from evenly.types import Float32Array
from evenly.vectors.causal import Batch, RowEncoder, RowTokens, identity_of, set_up, text_config
from evenly.vectors.language_model import wants_answers
from evenly.vectors.projection import dense_signs, distortion

if TYPE_CHECKING:
    from evenly.vectors.hidden import Hidden, TokenPooling


@dataclass(frozen=True, eq=False, kw_only=True)
class StatesEncoder(RowEncoder):
    """Pooled hidden states.

    Attributes:
        layer: the state after so many blocks; 0 is what the first block is given, and the last is normalised as the
            head takes it.
        pooling: how the states of tokens become one vector.
        part: whose tokens they are.
        projected: numbers that are kept by a projection; None keeps the state as it is.
    """

    layer: int
    pooling: TokenPooling
    part: Part
    projected: int | None = field(default=None)

    @cached_property
    def _signs(self) -> torch.Tensor | None:
        if self.projected is None:
            return None
        width = int(text_config(self.model.network.config).hidden_size)
        return dense_signs(width, self.projected).to(self.model.device)

    def check_row(self, row: RowTokens, number: int) -> None:
        if not self._wanted(row.answer).any():
            raise InputError(f"row {number} has no token of its {self.part}; leave it out, or use `part=all`")

    def _wanted(self, answer: Any) -> Any:
        if wants_answers(self.part):
            return answer
        return ~answer if self.part == "prompt" else answer | True

    def run(self, batch: Batch) -> Float32Array:
        with torch.inference_mode():
            states = self._states(batch).float()  # (R, T, d)
            weights = (batch.mask & self._wanted(batch.answer)).float()
            if self.pooling == "weighted":
                weights = weights * weights.cumsum(dim=1)
            elif self.pooling == "last":
                weights = weights * (weights.cumsum(dim=1) == weights.sum(dim=1, keepdim=True))
            total = weights.sum(dim=1, keepdim=True).clamp(min=1.0)  # fillers may have none
            vectors = torch.bmm((weights / total)[:, None, :], states)[:, 0]
            if self._signs is not None:
                vectors = vectors @ self._signs
            return np.asarray(vectors[: batch.rows].cpu().numpy(), dtype=np.float32)

    def _states(self, batch: Batch) -> torch.Tensor:
        """(R, T, d) states of the layer; what lies above it is not run."""
        blocks = self.model.blocks
        if self.layer == len(blocks):
            return self.model.body(**batch.inputs()).last_hidden_state
        self._stops  # noqa: B018 - asks for the hook to be there
        try:
            self.model.body(**batch.inputs())
        except _ReachedError as reached:
            return reached.states
        raise InputError(f"{self.name} does not run its block {self.layer + 1}; name another layer")

    @cached_property
    def _stops(self) -> Any:
        return self.model.blocks[self.layer].register_forward_pre_hook(_stop, with_kwargs=True)


class _ReachedError(Exception):
    """Ends a forward pass at the layer that is wanted."""

    def __init__(self, states: torch.Tensor) -> None:
        self.states = states


def _stop(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    raise _ReachedError(given[0] if given else named["hidden_states"])


def layer_number(layer: str, blocks: int) -> int:
    """The number of blocks below a layer.

    Args:
        layer: that number, or a share of all blocks (50% or 0.5).
        blocks: how many there are.

    Raises:
        InputError: there are not so many.
    """
    share = float(layer[:-1]) / 100 if layer.endswith("%") else float(layer) if "." in layer else None
    number = int(layer) if share is None else round(share * blocks)
    if number > blocks:
        raise InputError(
            f"the layer must be at most {blocks}, the model's blocks, or a share of them; got {layer}"
        )
    return number


def load_states(kind: Hidden, request: PoolRequest) -> StatesEncoder:
    """The encoder that a request asks for.

    Raises:
        InputError: no such model, layer or device.
    """
    setting = set_up(kind, request)
    blocks = int(setting.config.num_hidden_layers)
    layer = layer_number(kind.layer, blocks)
    notes = [f"layer {layer} of {blocks}", *setting.notes]
    if kind.dim is not None:
        notes.append(f"projected to {kind.dim} numbers ({distortion(kind.dim)})")
    asked = {"kind": "hidden", "layer": layer, "pooling": kind.pooling, "dim": kind.dim}
    return StatesEncoder(
        name=kind.name,
        identity=identity_of({**setting.identity, **asked}),
        dimension=kind.dim or int(setting.config.hidden_size),
        note="; ".join(notes),
        layer=layer,
        pooling=kind.pooling,
        part=request.part,
        projected=kind.dim,
        **setting.shared,
    )
