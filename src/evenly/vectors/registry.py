"""The kinds of encoder there are. Adding one is a module with an `EncoderKind`, and its class in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any, get_type_hints

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.vectors.column import Column
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.gradients import Gradients
from evenly.vectors.hidden import Hidden
from evenly.vectors.kind import Encoder, EncoderKind
from evenly.vectors.npy import NpyFile
from evenly.vectors.static import Static
from evenly.vectors.transformer import Transformer

KINDS: tuple[type[EncoderKind], ...] = (NpyFile, Column, Static, Hidden, Gradients, Transformer)
"""Asked in this order; the last takes every name that no other claims."""


def encoder_usage() -> str:
    """How an encoder may be named, in words."""
    *others, last = [kind.usage for kind in (KINDS[-1], *KINDS[:-1])]
    return f"{', '.join(others)}, or {last}"


def encoder_options() -> dict[str, tuple[Field[Any], Any]]:
    """The options of all kinds by name: how they are declared, and the type of their values."""
    return {name: (one, get_type_hints(kind)[name]) for kind in KINDS for name, one in kind.options().items()}


def encoder_named(name: str, options: Mapping[str, Any] | None = None) -> EncoderKind:
    """The encoder of that name; nothing is looked for yet.

    Args:
        name: as the user gave it.
        options: of its kind, by name.

    Raises:
        InputError: an empty name, or an option that its kind does not have.
    """
    if not name:
        raise InputError(f"the encoder has no name; use {encoder_usage()}")
    kind = next(kind for kind in KINDS if kind.claims(name))
    for option in (options or {}).keys() - kind.options():
        having = " and ".join(other.usage for other in KINDS if option in other.options())
        raise InputError(f"`{option}` is an option of {having}, and {name} does not have it; leave it out")
    return kind(name, **(options or {}))


def encoder_of(request: PoolRequest) -> EncoderKind:
    """The encoder of a request, with its options.

    Raises:
        InputError: as `encoder_named`.
    """
    return encoder_named(request.encoder, dict(request.encoder_options))


def pool_request(sources: Any = (), **options: Any) -> PoolRequest:
    """A request from options by name, those of kinds of encoder among them."""
    own = {name: options.pop(name) for name in encoder_options() if name in options}
    return PoolRequest(sources, encoder_options=tuple(sorted(own.items())), **options)


def embedding_named(name: str, options: Mapping[str, Any] | None = None) -> EmbeddingKind:
    """The encoder of that name, for who must embed texts that are in no pool.

    Raises:
        InputError: it embeds no texts, or as `encoder_named`.
    """
    kind = encoder_named(name, options)
    if not isinstance(kind, EmbeddingKind):
        raise InputError(
            f"{name} gives vectors of its rows and embeds no text; use {KINDS[-1].usage} as encoder"
        )
    return kind


def load_encoder(name: str = "minilm", **options: Any) -> Encoder:
    """What turns texts into vectors, by its name.

    Args:
        name: as for ``encoder`` of `evenly.request.PoolRequest`.
        options: further fields of it, and options of the encoder's kind. The cache, which may know what would else
            be loaded at once, is not asked unless ``use_cache`` says so.

    Raises:
        InputError: no such encoder here, or it embeds no texts.
    """
    request = pool_request(encoder=name, **{"use_cache": False, **options})
    return embedding_named(name, dict(request.encoder_options)).load(request)
