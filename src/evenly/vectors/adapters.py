"""Low-rank adapters (LoRA, E. Hu et al., 2106.09685) on the linear layers of a frozen model, and their gradients of
every row of a batch.

A layer with input a and adapter gives W a + s B A a. With g the gradient at its output, the gradients of one row are

    dB = s sum_t g_t (A a_t)^T,   dA = s sum_t (B^T g_t) a_t^T,

sums over the row's tokens t. Both are read off one forward and one backward pass of all rows together: a tap behind
every layer sees a and g. At the start B is 0: the model is what it was, dA is exactly 0, and dB = s G A^T is the
gradient G of the layer's whole weight, projected by the random A.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from evenly.errors import InputError
from evenly.vectors.causal import CausalModel

RANK = 8
"""Of the adapters: dB of a layer keeps an inner product of two gradients within sqrt(2 / 8) of their lengths' product;
over the hundred layers of a model the errors add up to a tenth of that, below what the projection to 8,192 costs."""

SCALE = 2.0
"""s: what trainers take by default (alpha of twice the rank). Plain gradients are scaled to length 1 anyway."""

SEED = 0
"""Of A."""

See = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Takes the number of a layer, its (R, T, in) input and the (R, T, out) gradient at its output."""


@dataclass(eq=False)
class Adapter:
    """An adapter of one layer.

    Attributes:
        down: (rank, in) float32, A.
        outputs: width of the layer's output.
        up: (out, rank) float32, B; None as long as it is 0.
    """

    down: torch.Tensor
    outputs: int
    up: torch.Tensor | None = None

    def output(self, given: torch.Tensor) -> torch.Tensor | None:
        """(R, T, out) that the adapter adds to the layer's output, None for nothing."""
        if self.up is None:
            return None
        return SCALE * ((given @ self.down.T.to(given.dtype)) @ self.up.T.to(given.dtype))

    def gradients(self, given: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
        """(R, out, rank) of B and, once B is no longer 0, (R, rank, in) of A."""
        found = [grad.transpose(1, 2) @ (SCALE * (given @ self.down.T.to(given.dtype)))]
        if self.up is not None:
            found.append((SCALE * (grad @ self.up.to(grad.dtype))).transpose(1, 2) @ given)
        return [each.float() for each in found]


class Adapters:
    """Adapters on a model; used by several threads at once, each with a batch of its own.

    Args:
        model: the model.
        layers: the layers, in the order of the blocks.
    """

    def __init__(self, model: CausalModel, layers: list[torch.nn.Module]) -> None:
        generator = torch.Generator().manual_seed(SEED)
        self.each = []
        self._watching = threading.local()
        self._anchor = torch.zeros((), device=model.device, requires_grad=True)
        for number, layer in enumerate(layers):
            outputs, width = weight_shape(layer)
            # As LoRA starts: uniform with the variance 1 / (3 in) of kaiming_uniform_(a=sqrt(5)).
            down = (2 * torch.rand(RANK, width, generator=generator) - 1) / math.sqrt(width)
            self.each.append(Adapter(down.to(model.device), outputs))
            layer.register_forward_hook(self._tap(number))

    @contextmanager
    def seen_by(self, see: See) -> Iterator[None]:
        """In the block, what this thread's passes through the model do is shown to ``see``."""
        self._watching.see = see
        try:
            yield
        finally:
            self._watching.see = None

    def _tap(self, number: int) -> Callable[..., Any]:
        def hook(_: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            adapter = self.each[number]
            added = adapter.output(given[0])
            output = output if added is None else output + added
            see = getattr(self._watching, "see", None)
            if see is None:
                return output
            found: torch.Tensor = _Tap.apply(output, self._anchor, given[0], number, see)
            return found

        return hook


class _Tap(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """Passes on what it is given, and shows the gradient that comes back.

    The anchor needs a gradient, so that the graph begins at the first tap although nothing of the model needs one.
    """

    @staticmethod
    def forward(
        ctx: Any, output: torch.Tensor, anchor: torch.Tensor, given: torch.Tensor, number: int, see: See
    ) -> torch.Tensor:
        ctx.save_for_backward(given)
        ctx.number, ctx.see = number, see
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None, None]:
        ctx.see(ctx.number, ctx.saved_tensors[0], grads[0])
        return grads[0] if ctx.needs_input_grad[0] else None, None, None, None, None


def weight_shape(layer: torch.nn.Module) -> tuple[int, int]:
    """Output and input width of a linear layer; GPT-2's has its weight the other way round."""
    first, second = layer.weight.shape
    return (second, first) if type(layer).__name__ == "Conv1D" else (first, second)


def linear_layers(model: CausalModel, asked: str | None) -> list[torch.nn.Module]:
    """The linear layers of a model that can be adapted.

    Args:
        model: the model.
        asked: a number of last blocks, or names of layers with commas; None for all.

    Raises:
        InputError: there are no such layers or blocks.
    """
    blocks, names = model.blocks, None
    if asked is not None and asked.isdecimal():
        if not 1 <= int(asked) <= len(blocks):
            raise InputError(
                f"`layers` must be from 1 to {len(blocks)}, the blocks of the model; got {asked}"
            )
        blocks = blocks[-int(asked) :]
    elif asked is not None:
        names = {name.strip() for name in asked.split(",")}
    fit = _by_rows(model)
    own = [(name, layer) for block in blocks for name, layer in _named(block) if layer in fit]
    known = dict.fromkeys(name for name, _ in own)
    if not own:
        raise InputError("the model has no linear layer that sees rows apart; gradients need one")
    if names is not None and (unknown := sorted(names - known.keys())):
        raise InputError(f"the model has no linear layer {unknown[0]} to adapt; it has {', '.join(known)}")
    return [layer for name, layer in own if names is None or name in names]


def _named(block: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Linear layers within a block, by the last part of their name."""
    return (
        (name.rpartition(".")[2], layer)
        for name, layer in block.named_modules()
        if isinstance(layer, torch.nn.Linear) or type(layer).__name__ == "Conv1D"
    )


def _by_rows(model: CausalModel) -> set[torch.nn.Module]:
    """Linear layers that see rows apart: a router of experts, say, sees the tokens of all rows in one line."""
    found, hooks = set(), []

    def see(layer: torch.nn.Module, given: tuple[torch.Tensor, ...], _: Any) -> None:
        if given[0].shape[:2] == (2, 3):
            found.add(layer)

    for block in model.blocks:
        hooks += [layer.register_forward_hook(see) for _, layer in _named(block)]
    with torch.inference_mode():
        model.body(input_ids=torch.zeros((2, 3), dtype=torch.int64, device=model.device), use_cache=False)
    for hook in hooks:
        hook.remove()
    return found
