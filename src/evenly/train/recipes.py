"""Recipes: a comparison written down as YAML, with any of its values overruled by what a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from evenly.errors import InputError
from evenly.train.settings import Request, Training

SHIPPED = Path(__file__).parents[1] / "recipes"
"""Recipes of the paper, a small pair of the same path, and launcher configurations for accelerate."""


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package, such as small/ce."""
    found = (path.relative_to(SHIPPED).with_suffix("") for path in sorted(SHIPPED.glob("*/*.yaml")))
    return [path.as_posix() for path in found if path.parent.name != "accelerate"]


def read_recipe(name: str) -> dict[str, Any]:
    """Reads a recipe: the fields of `Request`, those of its training under ``training``.

    Args:
        name: a file, or else a shipped recipe.

    Raises:
        InputError: neither of the two, not YAML, or not a mapping.
    """
    path = Path(name)
    if not path.exists():
        if name not in shipped_recipes():
            raise InputError(
                f"recipe {name} is neither a file nor one of those in {SHIPPED}: {', '.join(shipped_recipes())}"
            )
        path = SHIPPED / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"recipe {path} must hold names and values, such as keep: 50%")
    return values


def make_request(recipe: dict[str, Any], **named: Any) -> Request:
    """Makes a request from a recipe and the options that a user named, which win.

    Args:
        recipe: from `read_recipe`, or empty.
        named: fields of `Request` and of `Training`; None where the user named nothing.

    Raises:
        InputError: a field that is not known or a value that cannot be used.
    """
    given = {name: value for name, value in named.items() if value is not None}
    training = {name: value for name, value in given.items() if name in Training.model_fields}
    values = {**recipe, **{name: value for name, value in given.items() if name not in training}}
    values["training"] = {**recipe.get("training", {}), **training}
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place or 'options'}: {first['msg'].removeprefix('Value error, ')}") from None
