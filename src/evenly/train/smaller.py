"""A model made smaller for a comparison: cut in two, without unused tokens, or both; and back again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenly.errors import InputError
from evenly.train.cut import Cut, cut_model, lower_states, read_cut, write_uncut
from evenly.train.examples import Examples
from evenly.train.models import blocks_of, choose_precision, load_model
from evenly.train.settings import Request
from evenly.train.vocabulary import Trimmed, read_trimmed, renumbered, trim_model, trimmed_id, write_whole
from evenly.types import Progress, silent

TRIMMED, UPPER = "trimmed", "upper"
"""The folders of the model without the tokens that no row holds, and of its last blocks."""


def make_smaller(
    request: Request,
    model: str,
    examples: Examples,
    tokenizer: Any,
    folder: Path,
    progress: Progress = silent,
) -> str:
    """Makes the model as small as a request asks, unless it is there already.

    Args:
        request: says whether the vocabulary is trimmed, and whether frozen blocks are run once.
        model: folder or hub id.
        examples: the rows, in the numbers of the model.
        tokenizer: of the model.
        folder: of the comparison.
        progress: called as rows are passed through the lower blocks.

    Returns:
        The folder of the model that arms start from; ``model`` where nothing is to be made smaller.

    Raises:
        InputError: the model cannot be trimmed or cut, or no last blocks are named.
    """
    if request.trim_vocabulary:
        if read_trimmed(folder / TRIMMED) is None:
            trim_model(load_model(model), examples, tokenizer, model, folder / TRIMMED)
        model = str(folder / TRIMMED)
    if not request.cache_frozen:
        return model
    last = request.training.last_blocks
    if last is None:
        raise InputError("`cache_frozen` needs `last_blocks`: without it no block stays as it is")
    if read_cut(folder / UPPER) is None:
        whole = load_model(model)
        name, blocks = blocks_of(whole, model, last)
        if choose_precision(request.training.precision) == "bf16":
            whole.to(torch.bfloat16)
        whole.to("cuda" if torch.cuda.is_available() else "cpu")
        cut = Cut(model=model, blocks=name, first=len(blocks) - last)
        cut_model(whole, as_model_takes(examples, model), tokenizer, cut, folder / UPPER, progress)
    return str(folder / UPPER)


def trimmed_of(model: str) -> Trimmed | None:
    """What was left out of the vocabulary of a model that may be a smaller one."""
    cut = read_cut(model)
    return read_trimmed(cut.model if cut else model)


def as_model_takes(examples: Examples, model: str) -> Examples:
    """Rows as a model made smaller takes them: its own numbers, and the states of its lower blocks."""
    cut, trimmed = read_cut(model), trimmed_of(model)
    found = renumbered(examples, np.array(trimmed.tokens)) if trimmed else examples
    return replace(found, states=lower_states(model, found)) if cut else found


def padding_of(tokenizer: Any, model: str) -> int:
    """The padding token, in the numbers of a model that may be a smaller one."""
    trimmed = trimmed_of(model)
    token = trimmed_id(trimmed, tokenizer.pad_token_id) if trimmed else tokenizer.pad_token_id
    return int(token or 0)


def write_as_named(trained: Path, model: str) -> None:
    """Makes the trained model in a folder one like that which the user named, and no smaller."""
    if cut := read_cut(model):
        write_uncut(trained, cut)
    if trimmed := trimmed_of(model):
        write_whole(trained, trimmed)
