"""The gradient of a language model's loss at its last hidden state, without ever holding all logits.

For a token with state h, output embeddings W and label y the loss is -log softmax(W h)[y], and its gradient at h

    sum_v p_v W_v - W_y,   p = softmax(W h):

the mean output embedding under the model's prediction, less that of the token itself. Sums over the vocabulary are made
a slice at a time with a running maximum, as attention over long texts is made (T. Dao et al., FlashAttention,
2205.14135), for a vocabulary of 262,144 costs more memory traffic than the rest of a small model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from evenly.errors import InputError
from evenly.vectors.causal import Batch, CausalModel, text_config

TOKENS_AT_ONCE = 64
"""Always so many, filled up, so that a token's gradient does not depend on how many there are. Fewer leave the matrix
units idle, more are mostly fillers where answers are short."""

WORDS_AT_ONCE = 4096
"""With so many tokens 1 MiB of float32 logits: a core's own cache."""

LOGITS_DIFFER = 2e-2
"""As a share of their size, under which two ways to the same logits in bfloat16 stay."""


@dataclass(frozen=True, eq=False)
class Head:
    """What turns the last hidden state into logits: cap * tanh(scale * (W h + b) / cap), most of it left out by most.

    Attributes:
        weight: (V, d).
        bias: (V,) or None.
        scale: of the logits.
        cap: beyond which they do not grow; None for none.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    scale: float
    cap: float | None

    @staticmethod
    def of(model: CausalModel) -> Head:
        """The head of a model, held against the model's own logits.

        Raises:
            InputError: they are made in a way that this does not know.
        """
        layer, config = model.network.get_output_embeddings(), text_config(model.network.config)
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        head = Head(
            layer.weight,
            getattr(layer, "bias", None),
            scale,
            getattr(config, "final_logit_softcapping", None),
        )
        probe = torch.arange(3, device=model.device)[None, :]
        with torch.inference_mode():
            own = model.network(input_ids=probe, use_cache=False).logits.float()
            found = head.logits(model.body(input_ids=probe, use_cache=False).last_hidden_state, slice(None))
        if own.shape != found.shape or (own - found).abs().max() > LOGITS_DIFFER * own.abs().max():
            raise InputError(
                "this model makes its logits in a way that gradients are not written for; use another"
            )
        return head

    def logits(self, states: torch.Tensor, words: slice) -> torch.Tensor:
        """(…, d) states to float32 logits of some words."""
        found = (states @ self.weight[words].T).float()
        if self.bias is not None:
            found += self.bias[words]
        found *= self.scale
        return found if self.cap is None else self.cap * torch.tanh(found / self.cap)

    def losses_and_gradients(
        self, states: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and its gradient of each token.

        Args:
            states: (M, d) last hidden states.
            labels: (M,) int64, the token that follows each.

        Returns:
            (M,) and (M, d) float32.
        """
        losses, gradients = [], []
        for some, following in _filled(states, labels):
            loss, gradient = self._some(some, following)
            losses.append(loss)
            gradients.append(gradient)
        count = len(labels)
        return torch.cat(losses)[:count], torch.cat(gradients)[:count]

    def _some(self, states: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, width = states.shape
        highest = torch.full((tokens, 1), -torch.inf, device=states.device)
        total = torch.zeros((tokens, 1), device=states.device)
        mean = torch.zeros((tokens, width), device=states.device)
        for start in range(0, len(self.weight), WORDS_AT_ONCE):
            words = slice(start, start + WORDS_AT_ONCE)
            logits = self.logits(states, words)
            higher = torch.maximum(highest, logits.amax(dim=1, keepdim=True))
            shrunk = (highest - higher).exp_()
            bend = self._bend(logits)
            shares = logits.sub_(higher).exp_()  # exp(logit - highest so far)
            total.mul_(shrunk).add_(shares.sum(dim=1, keepdim=True))
            if bend is not None:
                shares.mul_(bend)
            mean.mul_(shrunk).add_((shares.to(states.dtype) @ self.weight[words]).float())
            highest = higher
        own = self._own_logit(states, labels)
        loss = highest[:, 0] + total[:, 0].log() - own
        bend = self._bend(own)
        own_word = self.weight[labels].float()
        gradient = mean / total - (own_word if bend is None else bend[:, None] * own_word)
        return loss, gradient * self.scale

    def _bend(self, logits: torch.Tensor) -> torch.Tensor | None:
        """How much of a change in what is capped comes through."""
        return None if self.cap is None else 1.0 - (logits / self.cap) ** 2

    def _own_logit(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = (states.float() * self.weight[labels].float()).sum(dim=1)
        if self.bias is not None:
            found += self.bias[labels]
        found *= self.scale
        return found if self.cap is None else self.cap * torch.tanh(found / self.cap)


def _filled(states: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Tokens some at a time, the last filled up."""
    missing = -len(labels) % TOKENS_AT_ONCE
    states = torch.nn.functional.pad(states, (0, 0, 0, missing))
    labels = torch.nn.functional.pad(labels, (0, missing))
    yield from zip(states.split(TOKENS_AT_ONCE), labels.split(TOKENS_AT_ONCE), strict=True)


def send_back(model: CausalModel, head: Head, batch: Batch) -> None:
    """Runs a batch forward, and the gradient of every row's loss backward as far as anybody looks.

    The loss of a row is the mean over the tokens of its answers, as one row alone is trained on.
    """
    with torch.enable_grad():
        states = model.body(**batch.inputs()).last_hidden_state
    predicted = batch.answer[:, 1:]
    row, place = predicted.nonzero(as_tuple=True)
    with torch.no_grad():
        _, found = head.losses_and_gradients(states[row, place], batch.ids[row, place + 1])
        gradients = torch.zeros(states.shape, device=states.device)
        gradients[row, place] = found / predicted.sum(dim=1).clamp(min=1)[row, None]
    states.backward(gradients.to(states.dtype))
