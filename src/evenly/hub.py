"""What of the Hugging Face hub is on this machine, and whether the hub has it, asked once for a bounded time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

SECONDS_TO_ANSWER = 3.0
"""A hub that can be reached has answered by then; its own client would ask for half a minute."""


def answer(kind: Literal["dataset", "model"], name: str) -> Exception | None:
    """Asks the hub for a dataset or a model; None where it has it, else the error.

    In a thread, for the time that looking up the hub's address takes cannot be bounded otherwise.
    """
    from huggingface_hub import HfApi

    found: list[Exception | None] = []

    def ask() -> None:
        try:
            hub = HfApi()
            (hub.dataset_info if kind == "dataset" else hub.model_info)(name, timeout=SECONDS_TO_ANSWER)
            found.append(None)
        except Exception as error:  # whatever the network layer of the installed version raises
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS_TO_ANSWER)
    return found[0] if found else TimeoutError()


def cached_model(name: str) -> Path | None:
    """A model in the local cache of the hub, all of it or the files that matter.

    `snapshot_download` would not do: it calls a snapshot incomplete that lacks a file of the repository which nobody
    asked for. One whose fetching was interrupted has no weights yet, and is none.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        files = [try_to_load_from_cache(name, settings) for settings in ("config.json", "modules.json")]
    except HFValidationError:
        return None
    for found in files:
        folder = Path(found).parent if isinstance(found, str) else None
        if folder and any(path.suffix in (".safetensors", ".bin") for path in folder.rglob("*")):
            return folder
    return None
