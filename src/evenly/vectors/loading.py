"""Loading what a model folder holds: the network and its tokenizer. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from evenly.errors import InputError, first_line
from evenly.vectors.kind import Precision
from evenly.vectors.recipe import Recipe
from evenly.vectors.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Model:
    """A model folder, loaded.

    Attributes:
        network: the transformers model, ready to run.
        tokens: its tokenizer, with the window that settings, tokenizer and network allow.
        positions: the most positions the network has.
    """

    network: Any
    tokens: Tokens
    positions: int


def load_model(recipe: Recipe, trust_remote_code: bool, precision: Precision, device: torch.device) -> Model:
    """Loads network and tokenizer.

    Raises:
        InputError: one of them cannot be loaded, or is none that evenly runs.
    """
    network = _load_network(recipe, trust_remote_code, precision, device)
    positions = _positions(network)
    return Model(network, _load_tokens(recipe, positions, trust_remote_code), positions)


def _load_network(recipe: Recipe, trust_remote_code: bool, precision: Precision, device: torch.device) -> Any:
    """The transformers model, ready to run.

    It is read in its precision rather than turned into it: tables of rotary positions stay float32 then.

    Raises:
        InputError: it cannot be loaded, is no encoder or decoder, or lacks weights.
    """
    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with loading(f"the model in {recipe.folder}"):
        config = AutoConfig.from_pretrained(recipe.folder, **options)
        if getattr(config, "is_encoder_decoder", False):
            raise InputError(f"{recipe.folder} is an encoder-decoder; give an encoder or a decoder alone")
        model, report = AutoModel.from_pretrained(
            recipe.folder,
            config=config,
            dtype=getattr(torch, precision),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(
            f"{recipe.folder} lacks {len(missing)} of the model's weights ({missing[0]} …), which would stay "
            "random; copy the whole model"
        )
    model.config.use_cache = False
    return model.eval().requires_grad_(False).to(device)


def _positions(network: Any) -> int:
    """The most positions a network has; those that count from their padding number lose some."""
    positions = int(getattr(network.config, "max_position_embeddings", 0) or 0)
    table = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    offset = getattr(table, "padding_idx", None)
    return positions - (0 if offset is None else offset + 1) if positions > 0 else 1 << 30


def _load_tokens(recipe: Recipe, positions: int, trust_remote_code: bool) -> Tokens:
    """The tokenizer, with the window that settings, tokenizer and model allow.

    Raises:
        InputError: it cannot be loaded, is not a fast one, or nothing says how long a text may be.
    """
    with loading(f"the tokenizer in {recipe.folder}"):
        tokenizer = AutoTokenizer.from_pretrained(
            recipe.folder, local_files_only=True, use_fast=True, trust_remote_code=trust_remote_code
        )
    if not tokenizer.is_fast or tokenizer.truncation_side != "right":
        raise InputError(f"{recipe.folder} needs a fast tokenizer (tokenizer.json) that cuts on the right")
    window = min(recipe.window or int(min(tokenizer.model_max_length, 1 << 30)), positions)
    if window >= 1 << 30:
        raise InputError(f"{recipe.folder} does not say how long a text may be; set max_seq_length in it")
    return Tokens(tokenizer, window, prompt=recipe.prompt, lower=recipe.lower)


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Loading without the bars and reports of transformers: what matters is checked here and said in one line."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # transformers raises many kinds
        reason = first_line(error)
        raise InputError(f"{what} cannot be loaded: {reason}") from error
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
