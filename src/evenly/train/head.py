"""The loss of response tokens under a language model, without all of their logits at once.

A vocabulary of 262,144 tokens makes a megabyte of float32 logits for every token, several times over with the gradient.
So the head is applied to response positions alone, and to some of them at a time; the gradient of each part is taken
before the next is made. Nothing is approximated: parts add up to the plain loss and its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from evenly.train.losses import IGNORED, TOKEN_LOSSES
from evenly.train.settings import LossName

HEAD_MULTIPLE = 128
"""The head is applied to a multiple of this many positions. Each new number of positions would have a kernel
made and kept for it: on a processor that cost a tenth of the time and memory that grew without end."""
MOST_LOGITS = 1 << 24
"""Logits at once: 64 MB in float32, beside as much for their gradient. Up to so many are one part, by the model's own
head; that is 4,096 tokens of the default proxy and 64 of a vocabulary of 262,144."""
PROBED = 4
"""Positions at which a head in parts is held against the model's own logits, in every pass."""
PROBE_ERROR = 1 / 64
"""By how much of the largest logit the two may differ: some roundings of bfloat16, and no other formula."""


@dataclass(frozen=True, eq=False)
class Responses:
    """What a model predicts for the response tokens of a batch.

    Attributes:
        labels: (M,) int64.
        predicted: (M, V) float32 logits; or, where these are too many to hold, what the head takes, (M', d) with rows
            beyond M that are filling, and the head, which makes logits of some of it.
    """

    labels: torch.Tensor
    predicted: torch.Tensor | tuple[torch.Tensor, PartedHead]

    def loss(self, name: LossName, tokens: torch.Tensor | int) -> torch.Tensor:
        """The part of a step's loss that one micro-batch carries.

        Args:
            name: the loss.
            tokens: response tokens of the whole step, over all its micro-batches and devices; parts add up to the
                mean over the step, so that splitting a step changes nothing.
        """
        if isinstance(self.predicted, torch.Tensor):
            return TOKEN_LOSSES[name](self.predicted, self.labels).sum() / tokens
        hidden, head = self.predicted
        summed: torch.Tensor = _PartedLoss.apply(hidden, head.weight, self.labels, head, name)
        return summed / tokens

    def losses(self, name: LossName) -> tuple[torch.Tensor, torch.Tensor]:
        """(M,) float64 losses and (M,) bool, whether the likeliest token is the right one; without a gradient."""
        with torch.no_grad():
            parts = [
                (TOKEN_LOSSES[name](logits, labels).double(), logits.argmax(-1) == labels)
                for logits, labels in self._parts()
            ]
        losses, right = zip(*parts, strict=True)
        return torch.cat(losses), torch.cat(right)

    def _parts(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if isinstance(self.predicted, torch.Tensor):
            yield self.predicted, self.labels
            return
        hidden, head = self.predicted
        weight = head.weight.to(head.dtype)
        for part in head.parts(len(hidden)):
            labels = self.labels[part]
            yield head.logits(hidden[part], weight)[: len(labels)], labels


def predict(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
    inputs_embeds: torch.Tensor | None = None,
    *,
    most_logits: int = MOST_LOGITS,
) -> Responses:
    """Runs a causal language model; its head is applied to the positions that predict response tokens alone.

    Args:
        model: the model, bare or wrapped for several devices or adapters.
        input_ids, attention_mask: (B, T) int64.
        labels: (B, T) int64, `IGNORED` outside the loss; the model's position t predicts label t + 1.
        inputs_embeds: (B, T, d), taken in place of the tokens by a model that was cut.
        most_logits: how many logits may be held at once.
    """
    following = labels[:, 1:]
    predicted = following != IGNORED
    row, position = predicted.nonzero(as_tuple=True)
    count, wanted = len(row), following[predicted]
    head = PartedHead.of(model, most_logits, input_ids.device)
    parted = head is not None and count * head.weight.shape[0] > most_logits
    multiple = min(HEAD_MULTIPLE, head.rows) if parted and head is not None else HEAD_MULTIPLE
    filled = [torch.nn.functional.pad(each, (0, -count % multiple)) for each in (row, position)]
    given = {"input_ids": input_ids} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
    kept: list[torch.Tensor] = []

    def select(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        chosen = arguments[0][filled[0], filled[1]]
        kept.append(chosen)
        return (chosen[:PROBED] if parted else chosen, *arguments[1:])

    def run() -> torch.Tensor:
        hook = bare(model).get_output_embeddings().register_forward_pre_hook(select)
        try:
            found: torch.Tensor = model(**given, attention_mask=attention_mask, use_cache=False).logits
        finally:
            hook.remove()
        return found

    logits = run()
    if parted and head is not None:
        if head.agrees(kept[0][:PROBED], logits):
            return Responses(wanted, (kept[0], head))
        parted = False
        logits = run()  # the model does something to its logits that is not known here
    return Responses(wanted, logits[:count].float())


def bare(model: Any) -> Any:
    """The model inside the wrappers that data-parallel training puts around it."""
    while not hasattr(model, "get_output_embeddings"):
        model = model.module
    return model


@dataclass(frozen=True, eq=False)
class PartedHead:
    """The head of a model, applied to some positions at a time.

    Attributes:
        weight: (V, d).
        dtype: in which products are made.
        rows: positions at a time.
        after: what the model does to its logits.
    """

    weight: torch.Tensor
    dtype: torch.dtype
    rows: int
    after: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of(cls, model: Any, most_logits: int, device: torch.device) -> PartedHead | None:
        """The head of a model; None where it is more than one product, or not whole on this device."""
        head = bare(model).get_output_embeddings()
        if type(head) is not torch.nn.Linear or head.bias is not None or head.weight.numel() == 0:
            return None
        weight = head.weight
        kind = device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows = max(PROBED, most_logits // weight.shape[0])
        return cls(weight, dtype, rows, _after(bare(model).config))

    def parts(self, count: int) -> Iterator[slice]:
        """Consecutive positions, `rows` at a time."""
        return (slice(start, min(start + self.rows, count)) for start in range(0, count, self.rows))

    def logits(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(n, V) float32 logits of (n, d) positions; ``weight`` is that of the head in its dtype."""
        return self.after((hidden.to(self.dtype) @ weight.T).float())

    def agrees(self, hidden: torch.Tensor, logits: torch.Tensor) -> bool:
        """Whether it gives the logits that the model itself gave for some positions."""
        with torch.no_grad():
            own = self.logits(hidden, self.weight.to(self.dtype))
            return bool((own - logits.float()).abs().max() <= PROBE_ERROR * own.abs().max())


def _after(config: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What models are known to do to their logits: a soft bound (Gemma 2), a factor (Cohere), a divisor (Granite)."""
    bound = getattr(config, "final_logit_softcapping", None)
    if bound:
        return lambda logits: bound * torch.tanh(logits / bound)
    factor = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    return lambda logits: logits if factor == 1.0 else logits * factor


class _PartedLoss(torch.autograd.Function):  # type: ignore[misc]
    """The sum of the loss over response tokens; its gradients are made part by part on the way forward."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        head: PartedHead,
        name: LossName,
    ) -> torch.Tensor:
        cast = weight.detach().to(head.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        to_hidden = torch.zeros_like(hidden) if hidden.requires_grad else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if weight.requires_grad else None
        for part in head.parts(len(hidden)):
            wanted = labels[part]
            rows = hidden[part].detach().to(head.dtype)
            raw = (rows @ cast.T).float()
            with torch.enable_grad(), torch.autocast(hidden.device.type, enabled=False):
                raw.requires_grad_()
                loss = TOKEN_LOSSES[name](head.after(raw)[: len(wanted)], wanted).sum()
                (slope,) = torch.autograd.grad(loss, raw)
            total += loss.detach()
            slope = slope.to(head.dtype)
            if to_hidden is not None:
                to_hidden[part] = (slope @ cast).to(hidden.dtype)
            if to_weight is not None:
                to_weight += (slope.T @ rows).float()
        ctx.save_for_backward(to_hidden, to_weight)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        to_hidden, to_weight = ctx.saved_tensors
        return (
            None if to_hidden is None else to_hidden * outer[0].to(to_hidden.dtype),
            None if to_weight is None else (to_weight * outer[0]).to(ctx.dtype),
            None,
            None,
            None,
        )
