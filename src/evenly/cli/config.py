"""Options of a command from a file: ``--config even.yaml``. What is typed wins over what the file says."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from evenly.errors import InputError


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Makes what a file says the defaults of a command's options, before any of them is looked at."""
    if path is not None:
        context.default_map = {**(context.default_map or {}), **_defaults(context, path)}
    return path


Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="A YAML file of options by name; what is typed wins. Each selection writes its own into its folder.",
        callback=read_config,
        is_eager=True,
    ),
]


def _defaults(context: Any, path: Path) -> dict[str, Any]:
    import yaml

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"`config` {path} cannot be read: {reason}") from None
    if not isinstance(said, dict):
        raise InputError(f"`config` {path} must hold options by name, as keep: 50%")
    options = {
        name.lstrip("-"): option
        for option in context.command.params
        for name in (option.opts if option.opts[0].startswith("-") else [option.name])
        if option.name not in ("config", "help")
    }
    found = {}
    for key, value in said.items():
        name = str(key).replace("_", "-")
        if name not in options:
            near = get_close_matches(name, options, n=1)
            ask = f"did you mean {near[0]}?" if near else "the command's help lists them"
            raise InputError(f"{path} names the option {key}, which there is not; {ask}")
        found[options[name].name] = _value(path, name, options[name], value)
    return found


def _value(path: Path, name: str, option: Any, value: Any) -> Any:
    """A value as it would be typed."""
    flag = getattr(option, "is_flag", False)
    many = getattr(option, "multiple", False) or option.nargs != 1
    values = value if isinstance(value, list) else [value]
    if flag != isinstance(value, bool) or any(isinstance(one, dict | list | type(None)) for one in values):
        raise InputError(
            f"{path}: {name} must be {'true or false' if flag else 'text or a number'}; got {value!r}"
        )
    if isinstance(value, list) and not many:
        raise InputError(f"{path}: {name} takes one value; got {len(value)}")
    if flag:
        return value
    return [str(one) for one in values] if many else str(value)
