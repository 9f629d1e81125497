"""A model without the tokens that no row of a pool holds, and that model made whole again.

Half of a small model with a large vocabulary is the vocabulary, and most of its time goes into tokens that never come.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.records import Frozen
from evenly.train.examples import Examples
from evenly.train.losses import IGNORED
from evenly.train.row_losses import pad_batch
from evenly.types import Int64Array

TRIMMED_FILE = "vocabulary.json"
MASS_TOKENS = 512
"""Response tokens at which the mass of the left-out tokens is measured: their mean is then known to a few percent."""
MASS_ROWS_AT_ONCE = 4


class Trimmed(Frozen):
    """What was left out of a model; ``vocabulary.json`` in its folder."""

    model: str  # the whole model
    tokens: list[int]  # kept, ascending: token i of the trimmed model is tokens[i] of the whole one
    of: int  # tokens of the whole model
    mass: float  # mean probability that the whole model gives all left-out tokens together, where one is predicted


def read_trimmed(folder: str | Path) -> Trimmed | None:
    """What was left out of the model in a folder; None for a whole one."""
    path = Path(folder) / TRIMMED_FILE
    return Trimmed.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def kept_tokens(examples: Examples, tokenizer: Any) -> Int64Array:
    """The tokens of the rows and the special ones of the tokenizer, ascending."""
    special = np.array(tokenizer.all_special_ids, dtype=np.int64)
    return np.unique(np.concatenate([*examples.tokens, special]))


def renumbered(examples: Examples, tokens: Int64Array) -> Examples:
    """Rows in the numbers of a trimmed model."""

    def place(ids: Int64Array) -> Int64Array:
        return np.where(ids == IGNORED, IGNORED, np.searchsorted(tokens, ids)).astype(np.int64)

    return replace(
        examples,
        tokens=[place(ids) for ids in examples.tokens],
        labels=[place(ids) for ids in examples.labels],
    )


def trim_model(model: Any, examples: Examples, tokenizer: Any, name: str, folder: Path) -> Trimmed:
    """Writes a model without the tokens that no row holds, and its tokenizer, which stays whole.

    Args:
        model: the whole model; it is trimmed.
        examples: all rows, in the whole model's numbers.
        tokenizer: of the model.
        name: folder or hub id of the whole model.
        folder: where the trimmed one goes.

    Raises:
        InputError: the model's head is more than one product, so that it cannot be cut.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None:
        raise InputError(
            f"the vocabulary of {name} cannot be trimmed: its head is {type(head).__name__} and not one product"
        )
    tokens = kept_tokens(examples, tokenizer)
    record = Trimmed(
        model=name, tokens=tokens.tolist(), of=len(head.weight), mass=_mass(model, examples, tokens)
    )
    keep = torch.from_numpy(tokens)
    embedding = model.get_input_embeddings()
    tied = embedding.weight is head.weight
    for each in (embedding, head) if not tied else (embedding,):
        each.weight = torch.nn.Parameter(each.weight.detach()[keep].clone(), requires_grad=False)
    if tied:
        head.weight = embedding.weight
    embedding.num_embeddings, head.out_features = len(keep), len(keep)
    if getattr(embedding, "padding_idx", None) is not None:
        embedding.padding_idx = trimmed_id(record, embedding.padding_idx)
    model.config.get_text_config().vocab_size = len(keep)
    model.vocab_size = len(keep)
    for special in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(model.config, special, trimmed_id(record, getattr(model.config, special, None)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_atomically(
        folder / TRIMMED_FILE, record.model_dump_json() + "\n"
    )  # last: it says that all is there
    return record


def trimmed_id(record: Trimmed, token: Any) -> int | None:
    """A special token in the numbers of a trimmed model; None where there is none or it was left out."""
    first = token[0] if isinstance(token, list) and token else token
    if not isinstance(first, int):
        return None
    place = int(np.searchsorted(record.tokens, first))
    return place if place < len(record.tokens) and record.tokens[place] == first else None


def _mass(model: Any, examples: Examples, tokens: Int64Array) -> float:
    """Mean probability of all other tokens, at the response tokens of some rows."""
    usable = np.flatnonzero(~examples.dropped)
    order = np.random.default_rng(0).permutation(usable)
    sums: list[float] = []
    keep = torch.from_numpy(tokens)
    for start in range(0, len(order), MASS_ROWS_AT_ONCE):
        if len(sums) >= MASS_TOKENS:
            break
        batch = pad_batch(examples, order[start : start + MASS_ROWS_AT_ONCE], int(tokens[0]))
        predicted = (batch["labels"][:, 1:] != IGNORED).nonzero(as_tuple=True)
        sums += _left_out(model, batch, predicted, keep)
    return float(np.mean(sums[:MASS_TOKENS]))


def _left_out(
    model: Any, batch: dict[str, torch.Tensor], places: Sequence[torch.Tensor], keep: torch.Tensor
) -> list[float]:
    def select(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (arguments[0][places[0], places[1]][:MASS_TOKENS], *arguments[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        with torch.no_grad():
            logits = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
            ).logits.float()
    finally:
        hook.remove()
    kept = torch.logsumexp(logits[:, keep], -1) - torch.logsumexp(logits, -1)
    found: list[float] = (-torch.expm1(kept)).clamp(min=0.0).tolist()
    return found


def write_whole(trained: Path, record: Trimmed) -> None:
    """Makes what was trained on a trimmed model fit the whole one again: a model's rows, or an adapter's base.

    Args:
        trained: folder of a trained model or of adapters; it is rewritten.
        record: of the trimmed model that training began with.
    """
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    adapters = trained / "adapter_config.json"
    if adapters.exists():
        config = json.loads(adapters.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = record.model
        write_atomically(adapters, json.dumps(config, indent=2) + "\n")
        return
    whole = AutoModelForCausalLM.from_pretrained(record.model, dtype=torch.float32)
    keep = torch.tensor(record.tokens)
    parts = [load_file(path) for path in sorted(trained.glob("*.safetensors"))]
    own = {name: value for part in parts for name, value in part.items()}
    with torch.no_grad():
        for name, value in whole.state_dict().items():
            if name in own and own[name].shape == value.shape:
                value.copy_(own[name])
            elif name in own:
                value[keep] = own[name].to(value.dtype)
    for path in trained.glob("*.safetensors*"):
        path.unlink()
    whole.save_pretrained(trained)
