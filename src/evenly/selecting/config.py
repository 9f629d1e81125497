"""config.yaml: the options that repeat a selection, as one types them without the dashes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from evenly.files import file_sha256, write_atomically
from evenly.request import PICKED, Option
from evenly.selecting.request import SelectRequest

CONFIG_FILE = "config.yaml"


def config_of(request: SelectRequest) -> dict[str, Any]:
    """The options of a request that are not left at their defaults, by name."""
    found: dict[str, Any] = {"sources": list(request.pool.sources)}
    parts: tuple[Any, ...] = (request.pool, *request.choice.controls, request.choice)
    for part in parts:
        for one in fields(part):
            value = getattr(part, one.name)
            if "option" in one.metadata and one.name not in found and value != one.default:
                found |= _typed(one.name, one.metadata["option"], value)
    found |= {"order": PICKED} if request.order == PICKED else {}
    return {**found, "out": request.out}


def _typed(name: str, option: Option, value: Any) -> dict[str, Any]:
    typed = (option.flag or name).lstrip("-").replace("_", "-")
    if option.flag and typed.startswith("no-"):
        return {typed: not value}
    return {typed: list(value) if isinstance(value, tuple) else value}


def write_config(request: SelectRequest, folder: Path) -> str:
    """Writes ``folder/config.yaml``; returns its SHA-256."""
    import yaml

    said = "# The options that made this selection; evenly again repeats it.\n"
    write_atomically(
        folder / CONFIG_FILE, said + yaml.safe_dump(config_of(request), sort_keys=False, allow_unicode=True)
    )
    return file_sha256(folder / CONFIG_FILE)
