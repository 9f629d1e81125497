"""A Model2Vec folder as a table of token vectors, with the vectors that model2vec's own class gives.

That class, ``StaticModel.encode``, cuts a long text by characters first and by tokens then; sentence-transformers cuts
the same folder in another place. So the identity names the route.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.request import PoolRequest
from evenly.types import Float32Array
from evenly.vectors.folders import find_folder
from evenly.vectors.static_encoder import WHOLE, StaticEncoder, TokenTable, read_tokenizer

if TYPE_CHECKING:
    from evenly.vectors.kind import Encoder

FILES = ("config.json", "model.safetensors", "tokenizer.json")
MAX_LENGTH = 512
"""What model2vec (0.10) takes where the folder says nothing."""


def is_model2vec(folder: Path) -> bool:
    """Whether a folder was written by model2vec."""
    return _config(folder).get("model_type") == "model2vec"


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def model2vec(name: str, model: str, request: PoolRequest) -> Encoder:
    """The encoder of a Model2Vec folder; computes in float32 on the processor.

    Raises:
        InputError: a file is missing, or the table does not fit its tokenizer.
    """
    folder = find_folder(model)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise InputError(f"{folder} lacks {missing[0]}; copy the whole Model2Vec folder")
    config = _config(folder)
    settings = {
        "route": "model2vec.StaticModel.encode",
        **{name: file_sha256(folder / name) for name in FILES},
    }
    tokenizer, _ = read_tokenizer(folder)
    vectors = _vectors(folder, tokenizer.get_vocab_size())
    window = config.get("max_length", MAX_LENGTH)
    lengths = [len(token) for token in tokenizer.get_vocab()]
    return StaticEncoder(
        name=name,
        identity=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        runtime="sums in float32",
        dimension=vectors.shape[1],
        window=WHOLE if window is None else int(window),
        long=request.long,
        normalise=bool(config.get("normalize", False)),
        cut_characters=None if window is None else int(window) * int(np.median(lengths)),
        _load=lambda: TokenTable(vectors, *read_tokenizer(folder)),
    )


def _vectors(folder: Path, tokens: int) -> Float32Array:
    """(V, d) by token number, weights included."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    try:
        parts = load_file(path)
        table = np.asarray(parts["embeddings"], dtype=np.float32)
        table = table[parts["mapping"]] if "mapping" in parts else table
        table = table * parts["weights"].astype(np.float32)[:, None] if "weights" in parts else table
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path} is no table of Model2Vec ({error}); copy the folder again") from None
    if table.ndim != 2 or len(table) < tokens:
        raise InputError(
            f"{path} has {len(table):,} vectors for {tokens:,} tokens of its tokenizer; copy the folder again"
        )
    return table
