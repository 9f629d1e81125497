"""Whether the Hugging Face hub has something, asked once and for a bounded time."""

from __future__ import annotations

import threading
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
