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
from typing import TypeAlias

import torch

from evenly.train.settings import LossName

IGNORED = -100
"""The label of tokens outside the loss: prompts and padding."""
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
