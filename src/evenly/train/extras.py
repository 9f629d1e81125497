"""Whether the packages for training are there."""

from __future__ import annotations

from importlib.util import find_spec

from evenly.errors import MissingExtraError


def require_training(feature: str) -> None:
    """Says which extra to install where a package for training is missing.

    Raises:
        MissingExtraError: without trl, accelerate or peft.
    """
    if any(find_spec(name) is None for name in ("trl", "accelerate", "peft")):
        raise MissingExtraError(feature, "train")
