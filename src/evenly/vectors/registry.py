"""The kinds of encoder there are. Adding one is a module with an `EncoderKind`, and its class in `KINDS`."""

from __future__ import annotations

from typing import Any

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.vectors.column import Column
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.kind import Encoder, EncoderKind
from evenly.vectors.npy import NpyFile
from evenly.vectors.static import Static
from evenly.vectors.transformer import Transformer

KINDS: tuple[type[EncoderKind], ...] = (NpyFile, Column, Static, Transformer)
"""Asked in this order; the last takes every name that no other claims."""


def encoder_usage() -> str:
    """How an encoder may be named, in words."""
    *others, last = [kind.usage for kind in (KINDS[-1], *KINDS[:-1])]
    return f"{', '.join(others)}, or {last}"


def encoder_named(name: str) -> EncoderKind:
    """The encoder of that name; nothing is looked for yet.

    Raises:
        InputError: an empty name.
    """
    if not name:
        raise InputError(f"the encoder has no name; use {encoder_usage()}")
    return next(kind for kind in KINDS if kind.claims(name))(name)


def embedding_named(name: str) -> EmbeddingKind:
    """The encoder of that name, for who must embed texts that are in no pool.

    Raises:
        InputError: it embeds no texts, or an empty name.
    """
    kind = encoder_named(name)
    if not isinstance(kind, EmbeddingKind):
        raise InputError(
            f"{name} gives vectors of its rows and embeds no text; use {KINDS[-1].usage} as encoder"
        )
    return kind


def load_encoder(name: str = "minilm", **options: Any) -> Encoder:
    """What turns texts into vectors, by its name.

    Args:
        name: as for ``encoder`` of `evenly.request.PoolRequest`.
        options: further fields of it. The cache, which may know what would else be loaded at once, is not asked
            unless ``use_cache`` says so.

    Raises:
        InputError: no such encoder here, or it embeds no texts.
    """
    return embedding_named(name).load(PoolRequest((), encoder=name, **{"use_cache": False, **options}))
