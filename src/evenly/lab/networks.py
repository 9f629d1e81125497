"""The networks of the lab: pure functions of one flat parameter vector.

A network maps parameters theta (..., P) and points x (..., N, d) to outputs (..., N). Leading dimensions of
theta are runs: every matrix product broadcasts over them, so many seeds train in one call without ensemble
machinery, and one flat vector makes norms, steps, Jacobians and Hessian products one operation each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from evenly.errors import InputError
from evenly.types import Float64Array

Parameters = dict[str, Tensor]
Values: TypeAlias = "Tensor | Float64Array | Sequence[Float64Array]"
Trace = Callable[[Parameters, Tensor], list[Tensor]]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "softplus": F.softplus,
    "relu": torch.relu,  # the only one that is not analytic
}
TAU_EPS = 0.1  # small against features of about unit size, so that tau_eps is nearly the direction


@dataclass(frozen=True)
class Network:
    """A network as a layout of its parameters and a function of them.

    Attributes:
        layout: (parameter name, shape) in the order of the flat vector; matrices are (fan in, fan out).
        trace: maps parameters by name and points (..., N, d) to the features after each block, the output
            (..., N, 1) last.
        standard: draw every parameter from a standard normal, for a trace that scales them itself.
    """

    layout: tuple[tuple[str, tuple[int, ...]], ...]
    trace: Trace
    standard: bool = False

    @property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for _, shape in self.layout]

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(self.sizes)

    def named(self, theta: Tensor) -> Parameters:
        """The flat parameters (..., P) as tensors by name, without a copy."""
        parts = theta.split(self.sizes, dim=-1)
        return {
            name: part.unflatten(-1, shape) for (name, shape), part in zip(self.layout, parts, strict=True)
        }

    def init(self, seeds: Sequence[int], device: str = "cpu") -> Tensor:
        """Xavier-normal matrices, zero biases (or `standard`), one run per seed: (len(seeds), P) float64."""
        return torch.stack([self._init_one(seed) for seed in seeds]).to(device)

    def _init_one(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for _, shape in self.layout:
            scale = 1.0 if self.standard else math.sqrt(2.0 / sum(shape)) if len(shape) == 2 else 0.0
            parts.append(scale * torch.randn(math.prod(shape), generator=generator, dtype=torch.float64))
        return torch.cat(parts)

    def __call__(self, theta: Tensor, x: Values) -> Tensor:
        """Outputs (..., N) at points (..., N, d) under parameters (..., P)."""
        return self.trace(self.named(theta), on(theta, x))[-1][..., 0]

    def features(self, theta: Tensor, x: Values) -> list[Float64Array]:
        """The features (..., N, width) after the embedding and after each block, without the output."""
        return [each.cpu().numpy() for each in self.trace(self.named(theta), on(theta, x))[:-1]]

    def fitted(self, theta: Tensor, x: Values) -> Float64Array:
        """The outputs as numbers, without a gradient."""
        with torch.no_grad():
            outputs: Float64Array = self(theta, x).cpu().numpy()
        return outputs


def on(theta: Tensor, values: Values) -> Tensor:
    """The values where the parameters are."""
    return values if isinstance(values, Tensor) else torch.tensor(np.array(values), device=theta.device)


def tau(x: Tensor, eps: float = TAU_EPS) -> Tensor:
    """tau_eps(x) = x / sqrt(|x|^2 + eps^2) over the last axis: analytic, 1/eps-Lipschitz, of norm below 1."""
    return x / (x.square().sum(-1, keepdim=True) + eps**2).sqrt()


def mlp(dimension: int, *, width: int = 64, depth: int = 2, activation: str = "tanh") -> Network:
    """A plain network of ``depth`` hidden layers: h <- phi(h W + b), without any residual connection."""
    phi = _activation(activation)
    widths = [dimension] + [width] * depth + [1]
    layout: list[tuple[str, tuple[int, ...]]] = []
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        layout += [(f"w{layer}", (rows, columns)), (f"b{layer}", (columns,))]

    def trace(p: Parameters, x: Tensor) -> list[Tensor]:
        steps = []
        h = x
        for layer in range(depth):
            h = phi(_affine(p, h, f"w{layer}", f"b{layer}"))
            steps.append(h)
        return [*steps, _affine(p, h, f"w{depth}", f"b{depth}")]

    return Network(tuple(layout), trace)


def one_layer(dimension: int, *, width: int) -> Network:
    """One hidden layer in the parametrisation of the NTK: f(x) = a . tanh(x W / sqrt d + b) / sqrt width.

    Its kernel neither grows nor vanishes with the width, so that width alone moves it from feature learning
    to the lazy regime. (Under Xavier a wide first layer starts near 0, and a wide network is not lazy.)
    """
    layout = (("w", (dimension, width)), ("b", (width,)), ("a", (width, 1)))

    def trace(p: Parameters, x: Tensor) -> list[Tensor]:
        h = torch.tanh(x @ p["w"] / math.sqrt(dimension) + p["b"].unsqueeze(-2))
        return [h, h @ p["a"] / math.sqrt(width)]

    return Network(layout, trace, standard=True)


def residual(
    dimension: int,
    *,
    width: int = 32,
    inner: int | None = None,
    depth: int = 2,
    activation: str = "tanh",
    connect: bool = True,
    normalise: bool = True,
) -> Network:
    """A residual network: h <- h + phi(tau_eps(h) U + a) V + b, the block of the paper's framework.

    Args:
        dimension: d, of the points.
        width: of the stream h, which is the points times one matrix.
        inner: width inside a block (the bottleneck); the stream's width where None.
        depth: number of blocks.
        activation: a name in `ACTIVATIONS`.
        connect: False drops the "h +" and leaves a plain composition of the same blocks.
        normalise: False drops tau_eps.
    """
    phi = _activation(activation)
    inner = width if inner is None else inner
    layout: list[tuple[str, tuple[int, ...]]] = [("in", (dimension, width))]
    for block in range(depth):
        layout += [(f"u{block}", (width, inner)), (f"a{block}", (inner,))]
        layout += [(f"v{block}", (inner, width)), (f"b{block}", (width,))]
    layout += [("out", (width, 1)), ("c", (1,))]

    def trace(p: Parameters, x: Tensor) -> list[Tensor]:
        h = x @ p["in"]
        steps = [h]
        for block in range(depth):
            z = phi(_affine(p, tau(h) if normalise else h, f"u{block}", f"a{block}"))
            z = _affine(p, z, f"v{block}", f"b{block}")
            h = h + z if connect else z
            steps.append(h)
        return [*steps, _affine(p, h, "out", "c")]

    return Network(tuple(layout), trace)


def transformer(dimension: int, *, width: int = 16, depth: int = 1, activation: str = "gelu") -> Network:
    """A pre-norm transformer that reads the coordinates of a point as its tokens.

    Token k is x_k times a learned vector plus a learned one. A block is h + attention(norm h), then
    h + phi(norm(h) U) V, one head, where norm is sqrt(width) * tau_eps. The output is linear in the mean
    token.
    """
    phi = _activation(activation)
    layout: list[tuple[str, tuple[int, ...]]] = [
        ("token", (dimension, width)),
        ("position", (dimension, width)),
    ]
    for block in range(depth):
        layout += [(f"{part}{block}", (width, width)) for part in "qkvo"]
        layout += [(f"u{block}", (width, width)), (f"a{block}", (width,))]
        layout += [(f"w{block}", (width, width)), (f"b{block}", (width,))]
    layout += [("out", (width, 1)), ("c", (1,))]

    def trace(p: Parameters, x: Tensor) -> list[Tensor]:
        tokens = x.unsqueeze(-1) * p["token"].unsqueeze(-3) + p["position"].unsqueeze(-3)
        h = tokens.flatten(-3, -2)  # (..., N * d, width): one plain product per matrix
        shape = (x.shape[-2], dimension)
        steps = [h.unflatten(-2, shape).flatten(-2)]
        for block in range(depth):
            z = math.sqrt(width) * tau(h)
            query, key, value = ((z @ p[f"{part}{block}"]).unflatten(-2, shape) for part in "qkv")
            weight = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(width), dim=-1)
            h = h + (weight @ value).flatten(-3, -2) @ p[f"o{block}"]
            z = phi(_affine(p, math.sqrt(width) * tau(h), f"u{block}", f"a{block}"))
            h = h + z @ p[f"w{block}"] + p[f"b{block}"].unsqueeze(-2)
            steps.append(h.unflatten(-2, shape).flatten(-2))
        return [*steps, _affine(p, h.unflatten(-2, shape).mean(-2), "out", "c")]

    return Network(tuple(layout), trace)


def small(dimension: int) -> dict[str, Network]:
    """The three architectures at sizes of which hundreds train in a minute."""
    return {
        "MLP": mlp(dimension, width=32),
        "residual MLP": residual(dimension, width=24),
        "transformer": transformer(dimension),
    }


def _affine(p: Parameters, h: Tensor, weight: str, bias: str) -> Tensor:
    return h @ p[weight] + p[bias].unsqueeze(-2)


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name not in ACTIVATIONS:
        raise InputError(f"activation {name!r} is not known; use {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
