"""The spectrum of a real network: per-example gradients of a small causal language model on one's own data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist
from torch import Tensor

from evenly import words
from evenly.engine.placing import free_memory
from evenly.errors import InputError, first_line
from evenly.lab import designs, kernel
from evenly.lab.result import Result, ResultTable
from evenly.lab.setup import Setup
from evenly.report.drawing import COLOURS, frame, panels
from evenly.types import Float64Array, Int64Array, Progress, silent

LONGEST = 512  # tokens of an example; longer ones are not drawn, and counted in the note
SKETCH = 1 << 16  # numbers kept of each gradient where the whole ones do not fit
WHOLE_BYTES = 2 << 30  # most memory for whole gradients
SPREAD = "h_min / mean distance"  # the column of the features that the figure draws


@dataclass(frozen=True)
class Example:
    """One row as tokens; the loss is the mean over the tokens from ``start`` on (the response)."""

    row: int
    tokens: tuple[int, ...]
    start: int


def spectrum_of_model(
    model: str, data: Sequence[str], rows: int, last_blocks: int | None, setup: Setup
) -> Result:
    """Measures the tangent kernel of a model's losses on examples drawn from its data, in float64.

    Args:
        model: a folder or the id of a model in the local Hugging Face cache; safetensors only, no remote code.
        data: sources as `evenly select` takes them.
        rows: N, how many examples to draw with seed 0.
        last_blocks: take the exact gradients of the last blocks alone; all parameters where None, projected
            where they do not fit.
        setup: told of every gradient.

    Raises:
        InputError: no such model, fewer than two examples that fit, or gradients that do not fit into memory.
    """
    from evenly.rows.sources import read_rows

    setup.check_device()
    network, tokenizer = _load(model, setup.device)
    if last_blocks is not None:
        train_last_blocks(network, last_blocks)
    size = sum(parameter.numel() for parameter in _trained(network))
    check_fits(size, model, free_memory())
    read = read_rows(data, progress=setup.progress)
    drawn = designs.generator(0).permutation(len(read))
    examples, long = _examples(tokenizer, read.prompts(), read.responses(), drawn, rows)
    if len(examples) < 2:
        raise InputError(f"{data[0]} gives {len(examples)} examples of 2 to {LONGEST} tokens; two are needed")
    if last_blocks is not None:
        check_whole(len(examples), size)
    note = f"{len(examples)} of {len(read):,} rows drawn with seed 0; {long} drawn rows above {LONGEST} tokens left out"
    part = "" if last_blocks is None else f" of the last {words.counted(last_blocks, 'block')}"
    return measure_model(network, examples, part, note, setup)


def train_last_blocks(network: Any, count: int) -> None:
    """Leaves only the last ``count`` blocks of a transformers causal model with gradients, without head or norm.

    With K_S the kernel of some of the parameters and K_R that of the rest, K = K_S + K_R and K_R has no negative
    eigenvalue, so each eigenvalue of K_S is at most that of K: the last blocks give lower bounds.

    Raises:
        InputError: the model has no such list of blocks, or fewer of them.
    """
    depth = network.config.get_text_config().num_hidden_layers
    lists = (module for module in network.modules() if isinstance(module, torch.nn.ModuleList))
    blocks = next((each for each in lists if len(each) == depth), None)
    if blocks is None:
        raise InputError(f"this model keeps its {depth} blocks in no list; leave `last_blocks` out")
    if not 1 <= count <= depth:
        raise InputError(
            f"`last_blocks` is a number from 1 to {depth}, the blocks of this model; got {count}"
        )
    network.requires_grad_(False)
    blocks[-count:].requires_grad_(True)


def measure_model(network: Any, examples: Sequence[Example], part: str, note: str, setup: Setup) -> Result:
    """The spectrum from a loaded model (a transformers causal model in float64) and its examples.

    Args:
        network: the model; gradients are those of its parameters that require them.
        examples: at least two.
        part: which these are, as the sentence "whole gradients …" goes on.
        note: where the examples come from.
        setup: told of every gradient.
    """
    rows, losses, error = gradients(network, examples, setup.progress)
    stated = f"whole gradients{part}"
    if error:
        stated = f"random projection to {SKETCH:,} numbers, squared distances within {error:.1%} (one sigma)"
    eigenvalues = kernel.eigenvalues(rows)
    bounds = kernel.pair_bounds(rows)
    slack = kernel.rounding(eigenvalues)
    slope = float(rows.mean(dim=0).square().sum()) * len(rows)  # |grad L|^2 N
    ratio = slope / len(rows) / (2.0 * float(losses.mean()))
    inside = eigenvalues[-1] - slack <= slope <= eigenvalues[0] * (1 + 1e-9)
    below = eigenvalues[-1] <= bounds.min() + slack
    numbers = {
        "lambda_min": eigenvalues[-1],
        "lambda_max": eigenvalues[0],
        "least pair bound": bounds.min(),
        "|grad L|^2 N": slope,
        "PL ratio": ratio,
    }
    layers = _layers(network, examples)
    return Result(
        name="spectrum-model",
        title="The spectrum of a real network",
        claim="lambda_min of the kernel of per-example loss gradients is below |g_i - g_j|^2 / 2 of every pair.",
        settings={"examples": note, "gradients": stated},
        tables=(
            ResultTable.of(f"Loss gradients of {len(rows)} examples", [numbers]),
            ResultTable.of("Closest pairs of gradients", _closest(examples, bounds, eigenvalues[0])),
            ResultTable.of("Features layer by layer (mean over tokens)", layers),
        ),
        verdict=f"lambda_min {eigenvalues[-1]:.2e} lies {'below' if below else 'ABOVE'} the least pair bound "
        f"{bounds.min():.2e}, |grad L|^2 N {'inside' if inside else 'OUTSIDE'} [lambda_min, lambda_max]; PL ratio "
        f"{ratio:.2e} ({stated}).",
        outcome="holds" if below and inside else "fails",
        numbers=numbers | {"projection error": error},
        series={"eigenvalues": eigenvalues, "features": np.array([each[SPREAD] for each in layers])},
    )


def _closest(examples: Sequence[Example], bounds: Float64Array, largest: float) -> list[dict[str, Any]]:
    first, second = np.triu_indices(len(examples), 1)
    return [
        {
            "row": examples[first[i]].row,
            "and row": examples[second[i]].row,
            "|g_i - g_j|^2 / 2": bounds[i],
            "over lambda_max": bounds[i] / largest,
        }
        for i in np.argsort(bounds, kind="stable")[:5]
    ]


def _trained(network: Any) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def check_whole(examples: int, size: int, most: int = WHOLE_BYTES) -> None:
    """Raises InputError where so many exact float64 gradients of so many numbers need more than ``most`` bytes."""
    if examples * size * 8 > most:
        raise InputError(
            f"{examples} exact gradients of {size:,} parameters need {words.size(examples * size * 8)}, more than "
            f"{words.size(most)}; lower `last_blocks` or `rows`, or leave `last_blocks` out for a random projection"
        )


def gradients(
    network: Any,
    examples: Sequence[Example],
    progress: Progress = silent,
    *,
    most: int = WHOLE_BYTES,
    sketch: int = SKETCH,
) -> tuple[Tensor, Float64Array, float]:
    """Gradients of each example's loss, their losses, and the relative error of squared distances.

    Returns:
        (N, P) float64 where that is at most ``most`` bytes, with error 0; else (N, sketch), each coordinate added to
        one random place with a random sign (count sketch), whose squared distances have a relative standard error
        of at most sqrt(2 / sketch). The losses are (N,).
    """
    parameters = _trained(network)
    size = sum(parameter.numel() for parameter in parameters)
    whole = len(examples) * size * 8 <= most
    rows = torch.zeros(len(examples), size if whole else sketch, dtype=torch.float64)
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
    return rows, losses, 0.0 if whole else math.sqrt(2.0 / sketch)


def _add_sketch(row: Tensor, parts: Sequence[Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)  # the same places and signs for every example
    for part in parts:
        place = torch.randint(len(row), (part.numel(),), generator=generator)
        sign = torch.randint(2, (part.numel(),), generator=generator) * 2 - 1
        row.index_add_(0, place, part.reshape(-1).cpu() * sign)


def _loss(network: Any, example: Example) -> Tensor:
    """Mean cross-entropy of the tokens from ``start`` on, given those before."""
    tokens = torch.tensor(example.tokens, device=network.device)
    logits = network(input_ids=tokens[None]).logits[0, example.start - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, tokens[example.start :])


def _layers(network: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """How far apart the mean features of the examples lie, after the embedding and after each layer."""
    means: list[Float64Array] = []
    with torch.no_grad():
        for example in examples:
            tokens = torch.tensor(example.tokens, device=network.device)
            hidden = network(input_ids=tokens[None], output_hidden_states=True).hidden_states
            means.append(torch.stack([layer[0].mean(dim=0) for layer in hidden]).cpu().numpy())
    distances = [pdist(layer) for layer in np.stack(means, axis=1)]
    return [
        {"layer": index, "h_min": d.min(), "mean distance": d.mean(), SPREAD: d.min() / d.mean()}
        for index, d in enumerate(distances)
    ]


def _load(model: str, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        network = AutoModelForCausalLM.from_pretrained(
            model, local_files_only=True, use_safetensors=True, dtype=torch.float64
        )
    except (OSError, ValueError, KeyError) as error:
        reason = first_line(error)
        raise InputError(f"{model} holds no causal language model that can be read here: {reason}") from None
    return network.to(device).eval(), tokenizer


def check_fits(parameters: int, model: str, free: int | None) -> None:
    """Says that one gradient does not fit into the free memory, before it is computed; unknown memory is enough."""
    needed = 3 * 8 * parameters  # one gradient, its signs and places, in float64
    if free is not None and needed > free:
        raise InputError(
            f"a gradient of {model} ({parameters:,} parameters, float64) needs {words.size(needed)}, "
            f"{words.size(free)} are free; use a smaller model"
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
    figure, (spectrum, features) = panels(2)
    eigenvalues = result.series["eigenvalues"]
    ranks = range(1, len(eigenvalues) + 1)
    spectrum.plot(ranks, eigenvalues, "o-", color=COLOURS[0], label="eigenvalues of K")
    bound = float(result.numbers["least pair bound"])
    spectrum.axhline(bound, color=COLOURS[1], linestyle="--", label="least pair bound")
    frame(spectrum, "Kernel of per-example gradients", "rank", "eigenvalue", log="y", legend="lower left")
    features.plot(result.series["features"], "s-", color=COLOURS[2])
    frame(features, "Features", "layer (0 is the embedding)", r"$h_{\min}$ / mean distance")
    return figure
