"""What rows cost (characters, tokens) and how a selection shifts their lengths."""

from __future__ import annotations

from array import array
from itertools import islice
from typing import Any

import numpy as np

from evenly.errors import InputError
from evenly.rows.rows import Rows
from evenly.types import Int64Array
from evenly.vectors.folders import find_folder
from evenly.vectors.registry import COLUMN, FILE

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
BINS = 10
"""Length bins of ``--match-length``: the deciles of the pool."""

_AT_ONCE = 1024


def token_counts(rows: Rows, tokenizer: str | None, encoder: str) -> Int64Array:
    """(N,) tokens of the whole text of every row, without special tokens.

    Args:
        rows: the pool.
        tokenizer: a folder or an id in the local Hugging Face cache; None takes the encoder's.
        encoder: as the user named it.

    Raises:
        InputError: no tokenizer there, or none named where the vectors were given.
    """
    if tokenizer is None and encoder.startswith((FILE, COLUMN)):
        raise InputError(
            f"--keep tokens: needs a tokenizer, and {encoder} has none; add --tokenizer with a model folder, "
            "or use --keep chars:"
        )
    folder = find_folder(tokenizer or encoder)
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no tokenizer.json; give --tokenizer a folder with a fast tokenizer")
    backend = _backend(str(file))
    texts = (text.whole for text in rows.all_texts())
    counts = array("q")
    while some := list(islice(texts, _AT_ONCE)):
        encoded = backend.encode_batch_fast(some, add_special_tokens=False)
        counts.extend(len(one.ids) for one in encoded)
    return np.array(counts, dtype=np.int64)


def _backend(file: str) -> Any:
    from tokenizers import Tokenizer

    try:
        backend = Tokenizer.from_file(file)
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(f"the tokenizer {file} cannot be read: {str(error).splitlines()[0]}") from None
    backend.no_truncation()
    backend.no_padding()
    return backend


def length_bins(lengths: Int64Array) -> Int64Array:
    """(N,) the bin of every row between the deciles of the pool's lengths, numbered from 0 without gaps."""
    borders = np.quantile(lengths, np.linspace(0, 1, BINS + 1)[1:-1])
    _, bins = np.unique(np.searchsorted(borders, lengths, side="right"), return_inverse=True)
    return np.asarray(bins, dtype=np.int64)


def length_shift(lengths: Int64Array, kept: Int64Array) -> dict[str, Any]:
    """Mean and quantiles of the characters of kept rows and of the pool."""
    return {"levels": list(LEVELS), "kept": _summary(lengths[kept]), "pool": _summary(lengths)}


def _summary(lengths: Int64Array) -> dict[str, Any]:
    return {"mean": float(lengths.mean()), "quantiles": np.quantile(lengths, LEVELS).tolist()}
