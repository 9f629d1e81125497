"""The spectrum of a real network: per-example gradients of a small causal language model on one's own data."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evenly.errors import InputError
from evenly.lab import designs, kernel
from evenly.lab.figures import COLOURS, panels, render
from evenly.lab.result import Cell, Result, Table
from evenly.types import Float64Array, Int64Array, Progress, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 512  # tokens of an example; longer ones are not drawn, and counted in the note
SKETCH = 1 << 16  # numbers kept of each gradient where the whole ones do not fit
WHOLE_BYTES = 2 << 30  # most memory for whole gradients


@dataclass(frozen=True)
class Example:
    """One row as tokens; the loss is the mean over the tokens from ``start`` on (the response)."""

    row: int
    tokens: tuple[int, ...]
    start: int


def spectrum_of_model(
    model: str,
    data: Sequence[str],
    out: Path,
    *,
    rows: int = 32,
    device: str = "cpu",
    progress: Progress = silent,
) -> Result:
    """Measures the tangent kernel of a model's losses on examples drawn from its data, in float64.

    Args:
        model: a folder or the id of a model in the local Hugging Face cache; safetensors only, no remote code.
        data: sources as `evenly select` takes them.
        out: folder for ``spectrum-model.json`` and the figure.
        rows: N, how many examples to draw with seed 0.
        device: as torch names it.
        progress: told of every gradient.

    Raises:
        InputError: no such model, fewer than two examples that fit, or gradients that do not fit into memory.
    """
    from evenly.data.sources import read_rows

    network, tokenizer = _load(model, device)
    _refuse_too_large(sum(p.numel() for p in network.parameters() if p.requires_grad), model)
    read = read_rows(data, progress=progress)
    drawn = designs.generator(0).permutation(len(read))
    examples, long = _examples(tokenizer, read.prompts(), read.responses(), drawn, rows)
    if len(examples) < 2:
        raise InputError(f"{data[0]} gives {len(examples)} examples of 2 to {LONGEST} tokens; two are needed")
    note = f"{len(examples)} of {len(read):,} rows drawn with seed 0; {long} drawn rows above {LONGEST} tokens left out"
    result = measure_model(network, examples, note=note, progress=progress)
    result.save(out)
    render(draw, result, out)
    return result


def measure_model(
    network: Any, examples: Sequence[Example], *, note: str = "", progress: Progress = silent
) -> Result:
    """The spectrum from a loaded model (a transformers causal model in float64) and its examples."""
    rows, losses, error = gradients(network, examples, progress)
    eigenvalues = kernel.eigenvalues(rows)
    bounds = kernel.pair_bounds(rows)
    count = len(examples)
    first, second = np.triu_indices(count, 1)
    order = np.argsort(bounds, kind="stable")[:5]
    closest: list[tuple[Cell, ...]] = [
        (examples[first[i]].row, examples[second[i]].row, float(bounds[i]), float(bounds[i] / eigenvalues[0]))
        for i in order
    ]
    slope = float(rows.mean(dim=0).square().sum())
    layers = _layers(network, examples)
    stated = f"random projection to {SKETCH:,} numbers, squared distances within {error:.1%} (one sigma)"
    ratio = slope / (2.0 * float(losses.mean()))
    inside = eigenvalues[-1] - kernel.rounding(eigenvalues) <= slope * count <= eigenvalues[0] * (1 + 1e-9)
    below = eigenvalues[-1] <= bounds.min() + kernel.rounding(eigenvalues)
    return Result(
        name="spectrum-model",
        title="The spectrum of a real network",
        claim="lambda_min of the kernel of per-example loss gradients is below |g_i - g_j|^2 / 2 of every pair.",
        settings={"examples": note, "gradients": stated if error else "whole"},
        tables=(
            Table(
                "Per-example gradients of the loss",
                ("N", "lambda_min", "lambda_max", "least pair bound", "|grad L|^2 N", "|grad L|^2 / (2 L)"),
                ((count, eigenvalues[-1], eigenvalues[0], float(bounds.min()), slope * count, ratio),),
            ),
            Table(
                "Closest pairs of gradients",
                ("row", "and row", "|g_i - g_j|^2 / 2", "over lambda_max"),
                tuple(closest),
            ),
            Table(
                "Features layer by layer (mean over tokens)",
                ("layer", "h_min", "mean distance", "h_min / mean distance"),
                tuple((index, *map(float, each)) for index, each in enumerate(layers)),
            ),
        ),
        verdict=f"lambda_min {eigenvalues[-1]:.2e} lies {'below' if below else 'ABOVE'} the least pair bound "
        f"{bounds.min():.2e}, |grad L|^2 N {'inside' if inside else 'OUTSIDE'} [lambda_min, lambda_max]; PL ratio "
        f"{ratio:.2e} ({stated if error else 'whole gradients'}).",
        outcome="holds" if below and inside else "fails",
        numbers={
            "lambda_min": eigenvalues[-1],
            "lambda_max": eigenvalues[0],
            "least pair bound": float(bounds.min()),
        }
        | {"PL ratio": ratio, "projection error": error},
        series={"eigenvalues": eigenvalues, "features": layers[:, 2]},
    )


def gradients(
    network: Any, examples: Sequence[Example], progress: Progress = silent
) -> tuple[Tensor, Float64Array, float]:
    """Gradients of each example's loss, their losses, and the relative error of squared distances.

    Returns:
        (N, P) float64 where that fits `WHOLE_BYTES`, with error 0; else (N, SKETCH), each coordinate added to one
        random place with a random sign (count sketch), whose squared distances have a relative standard error of
        at most sqrt(2 / SKETCH). The losses are (N,).
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    size = sum(p.numel() for p in parameters)
    whole = len(examples) * size * 8 <= WHOLE_BYTES
    rows = torch.zeros(len(examples), size if whole else SKETCH, dtype=torch.float64)
    losses = np.empty(len(examples))
    for index, example in enumerate(examples):
        loss = _loss(network, example)
        losses[index] = float(loss.detach())
        parts = torch.autograd.grad(loss, parameters)
        if whole:
            rows[index] = torch.cat([part.reshape(-1) for part in parts]).cpu()
        else:
            _add_sketch(rows[index], parts)
        progress("gradients", index + 1, len(examples))
    return rows, losses, 0.0 if whole else math.sqrt(2.0 / SKETCH)


def _add_sketch(row: Tensor, parts: Sequence[Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)  # the same places and signs for every example
    for part in parts:
        place = torch.randint(len(row), (part.numel(),), generator=generator)
        sign = torch.randint(2, (part.numel(),), generator=generator) * 2 - 1
        row.index_add_(0, place, part.reshape(-1).cpu() * sign)


def _loss(network: Any, example: Example) -> Tensor:
    """Mean cross-entropy of the tokens from ``start`` on, given those before."""
    tokens = torch.tensor(example.tokens, device=next(network.parameters()).device)
    logits = network(input_ids=tokens[None]).logits[0, example.start - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, tokens[example.start :])


def _layers(network: Any, examples: Sequence[Example]) -> Float64Array:
    """For the embedding and each layer: h_min, mean distance, and their ratio, (layers, 3)."""
    from scipy.spatial.distance import pdist

    device = next(network.parameters()).device
    means: list[Float64Array] = []
    with torch.no_grad():
        for example in examples:
            tokens = torch.tensor(example.tokens, device=device)
            hidden = network(input_ids=tokens[None], output_hidden_states=True).hidden_states
            means.append(torch.stack([layer[0].mean(dim=0) for layer in hidden]).cpu().numpy())
    distances = [pdist(layer) for layer in np.stack(means, axis=1)]
    return np.array([(d.min(), d.mean(), d.min() / d.mean()) for d in distances])


def _load(model: str, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        network = AutoModelForCausalLM.from_pretrained(
            model, local_files_only=True, use_safetensors=True, dtype=torch.float64
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{model} holds no causal language model that can be read here: {reason}") from None
    return network.to(device).eval(), tokenizer


def _refuse_too_large(parameters: int, model: str) -> None:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 3 * 8 * parameters  # one gradient, its signs and places, in float64
    if needed > free:
        raise InputError(
            f"a gradient of {model} ({parameters:,} parameters, float64) needs {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free; use a smaller model"
        )


def _examples(
    tokenizer: Any, prompts: Sequence[str], responses: Sequence[str], drawn: Int64Array, wanted: int
) -> tuple[list[Example], int]:
    """The first ``wanted`` of the drawn rows that fit, and how many were passed over as too long."""
    found: list[Example] = []
    long = 0
    for row in drawn:
        prompt = tokenizer(prompts[row])["input_ids"]
        response = tokenizer(responses[row], add_special_tokens=False)["input_ids"]
        tokens = (*prompt, *response)
        start = max(1, len(prompt)) if response else 1
        if len(tokens) > LONGEST:
            long += 1
        elif len(tokens) > start:
            found.append(Example(int(row), tokens, start))
        if len(found) == wanted:
            break
    return found, long


def draw(result: Result) -> Figure:
    """The eigenvalues of the kernel, and how far apart the features lie layer by layer."""
    figure, axes = panels(2)
    eigenvalues = result.series["eigenvalues"]
    axes[0].plot(
        range(1, len(eigenvalues) + 1), eigenvalues, "o-", color=COLOURS[0], label="eigenvalues of K"
    )
    bound = result.numbers["least pair bound"]
    axes[0].axhline(bound, color=COLOURS[1], linestyle="--", label="least pair bound")
    axes[0].set(yscale="log", xlabel="rank", ylabel="eigenvalue", title="Kernel of per-example gradients")
    axes[0].legend(loc="lower left")
    axes[1].plot(result.series["features"], "s-", color=COLOURS[2])
    axes[1].set(xlabel="layer (0 is the embedding)", ylabel=r"$h_{\min}$ / mean distance", title="Features")
    return figure
