"""The losses an arm can be trained and measured with, over response tokens only.

``cross-entropy``
    -log softmax(z)[y].
``l2``
    the mean squared error between the raw logits z and the one-hot label e_y, as in arXiv 2506.24120: the
    mean over the V entries of the vocabulary, (|z|^2 - 2 z_y + 1) / V, computed without building e_y. The
    division by V is that of a mean squared error; it only rescales the learning rate of SGD, by 1 / V.
``l2-probabilities``
    the same with softmax(z) in the place of z.

Every loss of a set of tokens is the mean over its response tokens; a row's label at position 0 is never
predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from evenly.train.settings import LossName

IGNORED = -100
"""The label of tokens outside the loss: prompts and padding."""
HEAD_MULTIPLE = 128
"""The head is applied to a multiple of this many positions. Each new number of positions would have a kernel
made and kept for it: on a processor that cost a tenth of the time and memory that grew without end."""

TokenLoss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(M, V) float32 logits and (M,) int64 labels to (M,) float32 losses."""


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log softmax(z)[y] for each token: (M, V) and (M,) to (M,)."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def l2(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean squared error between logits and one-hot label for each token: (M, V) and (M,) to (M,)."""
    return _squared_error_to_one_hot(logits, labels)


def l2_probabilities(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean squared error between probabilities and one-hot label for each token: (M, V) and (M,) to (M,)."""
    return _squared_error_to_one_hot(torch.softmax(logits, dim=-1), labels)


def _squared_error_to_one_hot(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    at_label = values.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return (values.square().sum(-1) - 2.0 * at_label + 1.0) / values.shape[-1]


TOKEN_LOSSES: dict[LossName, TokenLoss] = {
    "cross-entropy": cross_entropy,
    "l2": l2,
    "l2-probabilities": l2_probabilities,
}


def predict_responses(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs a causal language model and returns the logits that predict response tokens.

    The output head is applied to those positions alone: prompts and padding never become rows of V logits,
    which is what most of the time and memory of a small model with a large vocabulary goes to.

    Args:
        model: the model, bare or wrapped for several devices or adapters.
        input_ids, attention_mask: (B, T) int64.
        labels: (B, T) int64, `IGNORED` outside the loss; the model's position t predicts label t + 1.

    Returns:
        (M, V) float32 logits and their (M,) labels, in row order.
    """
    following = labels[:, 1:]
    predicted = following != IGNORED
    row, position = predicted.nonzero(as_tuple=True)
    count = len(row)
    filled = [torch.nn.functional.pad(each, (0, -count % HEAD_MULTIPLE)) for each in (row, position)]

    def select(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (arguments[0][filled[0], filled[1]], *arguments[1:])

    hook = _bare(model).get_output_embeddings().register_forward_pre_hook(select)
    try:
        logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
    finally:
        hook.remove()
    return logits[:count].float(), following[predicted]


def _bare(model: Any) -> Any:
    """The model inside the wrappers that data-parallel training puts around it."""
    while not hasattr(model, "get_output_embeddings"):
        model = model.module
    return model


def training_loss(
    name: LossName, logits: torch.Tensor, labels: torch.Tensor, tokens: torch.Tensor | int
) -> torch.Tensor:
    """The part of a step's loss that one micro-batch carries.

    Args:
        name: the loss.
        logits: (M, V) float32, predicting response tokens.
        labels: (M,) int64.
        tokens: response tokens of the whole step, over all its micro-batches and devices; parts add up to the
            mean over the step, so that splitting a step changes nothing.
    """
    return TOKEN_LOSSES[name](logits, labels).sum() / tokens
