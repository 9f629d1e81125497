"""Token vectors distilled from an encoder, as Model2Vec does it (MinishLab, https://github.com/MinishLab/model2vec).

Every token of the vocabulary goes through the encoder by itself, between the special tokens of a text, once. The mean
of all is taken off, and a token weighs less the earlier it stands in the vocabulary, which is about the order of how
often tokens occur: SIF / (SIF + p) for the probability p (Arora, Liang & Ma 2017, "A simple but tough-to-beat baseline
for sentence embeddings", eq. 2), p by Zipf's law, as 1 / (place + 2). Model2Vec leaves out tokens that no text can have
before it counts places, and turns the vectors to their first principal components. Neither is done here: places of the
whole vocabulary came closer to the encoder's own neighbours (docs/LOG.md), and a turn changes no distance.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from evenly.errors import InputError
from evenly.files import new_files
from evenly.request import PoolRequest
from evenly.types import Float32Array
from evenly.vectors.cache import Cache
from evenly.vectors.encoders import ModelEncoder, load_model_encoder
from evenly.vectors.folders import find_folder
from evenly.vectors.recipe import Recipe, read_recipe
from evenly.vectors.static_encoder import WHOLE, StaticEncoder, TokenTable, read_tokenizer

SIF = 1e-4
"""Model2Vec's own."""
PLACES_PER_BATCH = 1024
"""Tokens of a batch: a layer stays in a core's cache."""


def distilled(name: str, model: str, request: PoolRequest) -> StaticEncoder:
    """Token vectors of an encoder on this machine: from the cache, or made when the first text is asked for.

    A table is a function of the encoder and the kind of processor, bit for bit. Making that of all-MiniLM-L6-v2 costs
    what embedding 1,300 rows of alpaca_data does.

    Raises:
        InputError: as `evenly.vectors.encoders.load_model_encoder`; an encoder without tokenizer.json.
    """
    base = load_model_encoder(model, replace(request, long="cut"))
    recipe = read_recipe(find_folder(model))
    read_tokenizer(recipe.folder)
    settings = json.dumps({"static": 1, "of": base.identity, "sif": SIF}, sort_keys=True)
    identity = hashlib.sha256(settings.encode()).hexdigest()
    runtime = f"{base.runtime}; sums in float32"
    cache = Cache.of(request)
    kept = None
    if cache is not None:
        key = hashlib.sha256(f"{identity}\n{runtime}".encode()).hexdigest()[:32]
        kept = cache.encoders / f"{key}.safetensors"

    def load() -> TokenTable:
        vectors = _from_cache(kept) if kept else None
        if vectors is None:
            vectors = token_vectors(base, recipe)
            if kept:
                _to_cache(kept, vectors)
        return TokenTable(vectors, *read_tokenizer(recipe.folder), lower=recipe.lower)

    return StaticEncoder(
        name=name,
        identity=identity,
        runtime=runtime,
        dimension=base.dimension,
        window=WHOLE,
        long=request.long,
        precision=base.precision,
        device=base.device,
        note=f"token vectors distilled from {model}",
        _load=load,
    )


def token_vectors(base: ModelEncoder, recipe: Recipe) -> Float32Array:
    """(V, d) float32: each token's vector by its number, less the mean of all, times its weight.

    Raises:
        InputError: a vector that is not finite.
    """
    import torch

    from evenly.vectors.running import pooled, run_jobs

    device = torch.device(base.device)
    tokens, network = base.model.tokens, base.model.network
    size = read_tokenizer(recipe.folder)[0].get_vocab_size()
    if size > network.get_input_embeddings().num_embeddings:
        raise InputError(
            f"the tokenizer in {recipe.folder} has more tokens than its model; copy the folder again"
        )
    length = tokens.specials + 1
    rows = max(1, PLACES_PER_BATCH // length)

    def work(first: int) -> Float32Array:
        ids = np.empty(
            (rows, length), dtype=np.int64
        )  # every batch of one shape: a last one repeats its last token
        ids[:, : len(tokens.prefix)] = tokens.prefix
        ids[:, len(tokens.prefix)] = np.minimum(np.arange(first, first + rows), size - 1)
        ids[:, len(tokens.prefix) + 1 :] = tokens.suffix
        return pooled(network, ids, np.full(rows, length), recipe.pooling, device)

    raw = np.concatenate(list(run_jobs(range(0, size, rows), work, device)))[:size]
    if not np.isfinite(raw).all():
        raise InputError(
            f"{base.name} gives token vectors in {base.precision} that are not finite; use precision float32"
        )
    vectors: Float32Array = centred(raw) * weights(size)[:, None]
    return vectors


def centred(vectors: Float32Array) -> Float32Array:
    """(V, d) less the mean of all, which is added up in float64."""
    return np.asarray(vectors - vectors.mean(axis=0, dtype=np.float64), dtype=np.float32)


def weights(tokens: int) -> Float32Array:
    """(V,) weights of tokens by their place in the vocabulary."""
    share = 1.0 / np.arange(2, tokens + 2)
    return np.asarray(SIF / (SIF + share / share.sum()), dtype=np.float32)


def _from_cache(path: Path) -> Float32Array | None:
    """The table that was kept, or None where there is none or its hash does not fit."""
    from safetensors import SafetensorError, safe_open

    with suppress(OSError, SafetensorError, KeyError), safe_open(path, "numpy") as kept:
        vectors: Float32Array = kept.get_tensor("vectors")
        if (kept.metadata() or {}).get("sha256") == _sha256(vectors):
            return vectors
    return None


def _to_cache(path: Path, vectors: Float32Array) -> None:
    from safetensors.numpy import save

    whole = save({"vectors": vectors}, metadata={"sha256": _sha256(vectors)})
    # A cache that cannot be written costs the next run some seconds, no more.
    new = new_files(durable=False, make_folders=True)
    with suppress(OSError, InputError), new as files, files.open(path) as stream:
        stream.write(whole)


def _sha256(vectors: Float32Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest()
