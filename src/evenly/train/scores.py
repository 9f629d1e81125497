"""Scores of rows by a language model: losses of answers with and without their prompts, and of the answers of pairs.

* ``loss``: mean of -log p over the tokens of the answer, given the prompt; ``ppl`` is its exponential.
* ``ifd``: instruction-following difficulty, the loss given the prompt over the loss without it (Li et al. 2023, arXiv
  2308.12032, equation 4): near 1 where the prompt does not help, above 1 where it is in the way. Without the prompt the
  model sees the begin token (its end token where it has none) and the same tokens of the answer.
* ``margin``: of a pair, loss of the rejected answer minus loss of the chosen one: above 0 where the model prefers the
  chosen one, token by token (the reward of SimPO, arXiv 2405.14734, without its factor).
* ``length``: tokens of prompt and answer.

Templates and labels are those of training (`evenly.rows.chat`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from evenly.errors import InputError
from evenly.rows.chat import Conversation, conversation
from evenly.rows.whole import WholeRow
from evenly.train.examples import Examples, encode
from evenly.train.head import predict
from evenly.train.losses import IGNORED
from evenly.train.row_losses import pad_batch
from evenly.types import Float64Array, Int64Array, Progress, silent

Score = Literal["loss", "ppl", "ifd", "margin", "length"]
SCORES: tuple[Score, ...] = get_args(Score)

TOKENS_PER_PASS = 4096
"""Padded tokens of a batch: enough to fill two cores or a card, little memory beside a model's own."""

Losses = dict[int, float]
"""Sum of the loss over the answer of a text, by its number."""


@dataclass(frozen=True, eq=False)
class TextsToScore:
    """The tokenised texts that scores are made of; of N rows up to three texts each.

    Attributes:
        examples: all texts; the first N are the rows themselves.
        alone: (N,) the text of each row's answer without its prompt; -1 for none.
        rejected: (N,) the text of each row with its rejected answer; -1 for none.
        template: whose chat template was used, in words.
    """

    examples: Examples
    alone: Int64Array
    rejected: Int64Array
    template: str

    @property
    def rows(self) -> int:
        return len(self.alone)


def texts_to_score(
    rows: Sequence[WholeRow],
    tokenizer: Any,
    scores: Sequence[Score],
    window: int,
    progress: Progress = silent,
) -> TextsToScore:
    """Tokenises what the scores ask for.

    Raises:
        InputError: a chat template that refuses a row, margins without a pair, or no row with an answer.
    """
    pairs = [place for place, row in enumerate(rows) if row.kind == "pairs"] if "margin" in scores else []
    if "margin" in scores and not pairs:
        raise InputError(
            "`with` margin needs pairs, rows with a chosen and a rejected answer; there are none"
        )
    conversations = [conversation(row) for row in rows]
    other = [conversation(replace(rows[place], chosen=rows[place].rejected)) for place in pairs]
    found = encode([*conversations, *other], tokenizer, window, progress=progress)
    tokens, labels, truncated = found.tokens, found.labels, found.truncated
    rejected, alone = np.full(len(rows), -1), np.full(len(rows), -1)
    rejected[pairs] = np.arange(len(rows), len(tokens))
    if "ifd" in scores:
        start = _start_token(tokenizer)
        prompted = [place for place, turns in enumerate(conversations) if _is_prompted(turns)]
        prompted = [place for place in prompted if not found.dropped[place]]
        alone[prompted] = np.arange(len(tokens), len(tokens) + len(prompted))
        answers = [tokens[place][labels[place] != IGNORED] for place in prompted]
        tokens = [*tokens, *(np.concatenate([[start], answer]) for answer in answers)]
        labels = [*labels, *(np.concatenate([[IGNORED], answer]) for answer in answers)]
        truncated = np.concatenate([truncated, truncated[prompted]])
    template = (
        "the model's chat template" if getattr(tokenizer, "chat_template", None) else "a plain template"
    )
    return TextsToScore(Examples.of(tokens, labels, truncated, window + 1), alone, rejected, template)


def _is_prompted(turns: Conversation) -> bool:
    roles = {turn["role"] for turn in turns}
    return "assistant" in roles and len(roles) > 1


def _start_token(tokenizer: Any) -> int:
    """What stands before the first token of an answer without its prompt."""
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return int(next(one for one in ids if one is not None))


def text_losses(
    model: Any,
    texts: TextsToScore,
    pad_id: int,
    *,
    known: Losses | None = None,
    after_pass: Callable[[Losses], None] = lambda losses: None,
    progress: Progress = silent,
) -> Losses:
    """The loss of every text, summed over the tokens of its answer.

    Args:
        model: a causal language model, in the precision that it is to work in; sums are float64.
        texts: N texts or more.
        pad_id: any token id, for the padding.
        known: losses of an earlier run, which are not computed again.
        after_pass: called with the losses of each batch, to keep them.

    Returns:
        By text; those without an answer within the window are left out. Cost: a forward pass over all texts, longest
        first, in batches of equal lengths; logits at the tokens of answers alone, a part at a time.
    """
    losses = dict(known or {})
    examples = texts.examples
    open_texts = [text for text in range(len(examples)) if text not in losses and not examples.dropped[text]]
    batches = list(_batches(open_texts, examples.lengths()))
    device = next(model.parameters()).device
    model.eval()
    for number, batch in enumerate(batches, start=1):
        padded = {name: one.to(device) for name, one in pad_batch(examples, batch, pad_id).items()}
        with torch.no_grad():
            found = dict(zip(batch, _answer_losses(model, **padded).tolist(), strict=True))
        losses |= found
        after_pass(found)
        progress("score", number, len(batches))
    return losses


def _batches(texts: Sequence[int], lengths: Int64Array) -> Iterable[list[int]]:
    """TextsToScore of nearly one length together, the longest first."""
    order = sorted(texts, key=lambda text: (-lengths[text], text))
    start = 0
    while start < len(order):
        count = max(1, TOKENS_PER_PASS // int(lengths[order[start]]))
        yield order[start : start + count]
        start += count


def _answer_losses(model: Any, **batch: torch.Tensor) -> torch.Tensor:
    """(B,) float64, the loss summed over each text's answer; see `evenly.train.head` for how few logits are held."""
    losses, _ = predict(model, **batch).losses("cross-entropy")
    text = (batch["labels"][:, 1:] != IGNORED).nonzero()[:, 0]
    sums = torch.zeros(len(batch["labels"]), dtype=torch.float64, device=losses.device)
    return sums.index_add_(0, text, losses)


def score_columns(texts: TextsToScore, losses: Losses, scores: Sequence[Score]) -> dict[str, Any]:
    """The columns of a table of scores, by name; NaN where a row has none.

    Raises:
        InputError: a loss that is not finite (names the row).
    """
    count, answered = texts.rows, texts.examples.response_tokens
    every = np.full(len(texts.examples), np.nan)
    every[list(losses)] = list(losses.values())
    wrong = np.flatnonzero(~np.isfinite(every) & np.isin(np.arange(len(every)), list(losses)))
    if len(wrong):
        raise InputError(
            f"the loss of row {_row_of(texts, int(wrong[0])) + 1} is {every[wrong[0]]}: the model's numbers overflow; "
            "use `precision=fp32`, or another model"
        )
    mean = every / np.maximum(answered, 1)
    loss = mean[:count]
    columns: dict[str, Any] = {}
    if "loss" in scores:
        columns["loss"] = loss
    if "ppl" in scores:
        columns["ppl"] = np.exp(loss)
    if "ifd" in scores:
        columns["ifd"] = _where(texts.alone, mean, lambda alone: loss / np.where(alone > 0, alone, np.nan))
    if "margin" in scores:
        columns["margin"] = _where(texts.rejected, mean, lambda rejected: rejected - loss)
    if "length" in scores:
        columns["prompt_tokens"] = texts.examples.lengths()[:count] - answered[:count]
        columns["answer_tokens"] = answered[:count]
    return columns


def _where(of: Int64Array, mean: Float64Array, score: Callable[[Float64Array], Float64Array]) -> Float64Array:
    """A score of rows from the mean loss of their other text; NaN where they have none."""
    return score(np.where(of >= 0, mean[of], math.nan))


def _row_of(texts: TextsToScore, text: int) -> int:
    if text < texts.rows:
        return text
    return int(np.flatnonzero((texts.alone == text) | (texts.rejected == text))[0])
