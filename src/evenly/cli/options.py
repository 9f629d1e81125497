"""Options declared once as fields of a dataclass (see `evenly.request`), as parameters of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from evenly.request import Option

Command = TypeVar("Command", bound=Callable[..., None])


def takes(**requests: type) -> Callable[[Command], Command]:
    """Gives a command the options of dataclasses: ``@takes(pool=PoolRequest)`` puts one for every field in the place
    of the parameter ``pool``, and calls the command with the dataclass made of them."""

    def expand(command: Command) -> Command:
        own = get_type_hints(command, include_extras=True)
        shown: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            if name in requests:
                shown += _parameters(requests[name])
            else:
                shown.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=own[name]))

        @functools.wraps(command)
        def call(**given: Any) -> None:
            made = {name: _made(request, given) for name, request in requests.items()}
            command(**given, **made)

        call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in shown}
        return call  # type: ignore[return-value]

    return expand


def _parameters(request: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(request)
    for field in fields(request):
        option: Option = field.metadata["option"]
        kind, default = hints[field.name], field.default
        if option.argument:
            shown: Any = typer.Argument(help=option.help)
        else:
            flags = [option.flag or f"--{field.name.replace('_', '-')}"]
            shown = typer.Option(*flags, help=option.help, rich_help_panel=option.group or None)
        if get_origin(kind) is not None and (get_origin(kind) is tuple or option.argument):
            kind, default = list[get_args(kind)[0]], default or None  # type: ignore[misc]
        yield inspect.Parameter(
            _name(field),
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if default in (MISSING, None) and option.argument
            else not default
            if _turns_off(field)
            else default,
            annotation=Annotated[kind if default is not None or option.argument else kind | None, shown],
        )


def _made(request: type, given: dict[str, Any]) -> Any:
    """The dataclass from the values of its options, which are taken out of ``given``."""
    values = {}
    for field in fields(request):
        value = given.pop(_name(field))
        if _turns_off(field):
            value = not value
        values[field.name] = tuple(value or ()) if isinstance(field.default, tuple) else value
    return request(**values)


def _name(field: Field[Any]) -> str:
    option: Option = field.metadata["option"]
    return (option.flag or field.name).lstrip("-").replace("-", "_")


def _turns_off(field: Field[Any]) -> bool:
    option: Option = field.metadata["option"]
    return option.flag.startswith("--no-")
