"""Options declared once as fields of a dataclass (see `evenly.request`), as parameters of a command."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from evenly.request import OPTIONS_OF_ENCODERS, Option, PoolRequest
from evenly.vectors.registry import encoder_options, encoder_usage

Command = TypeVar("Command", bound=Callable[..., None])


def takes(**requests: type | tuple[type, ...]) -> Callable[[Command], Command]:
    """Gives a command the options of dataclasses: ``@takes(pool=PoolRequest)`` puts one for every field in the place
    of the parameter ``pool``, and calls the command with the dataclass made of them. Of several dataclasses the
    command gets those of which an option is used."""

    def expand(command: Command) -> Command:
        own = get_type_hints(command, include_extras=True)
        shown: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            if name in requests:
                request = requests[name]
                for one in request if isinstance(request, tuple) else (request,):
                    shown += _parameters(one)
            else:
                shown.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=own[name]))

        @functools.wraps(command)
        def call(**given: Any) -> None:
            made: dict[str, Any] = {}
            for name, request in requests.items():
                if isinstance(request, tuple):
                    every = [_made(one, given) for one in request]
                    made[name] = tuple(one for one in every if one != type(one)())
                else:
                    made[name] = _made(request, given)
            command(**given, **made)

        call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in shown}
        return call  # type: ignore[return-value]

    return expand


def as_typed(text: str) -> str:
    """A message of the library, which names arguments in backquotes (`keep`, `guard=5%`), as one types them."""
    return _NAMED.sub(_typed, text)


FLAGS = {
    "rate": "--lr",
    "random_draws": "--draws",
    "thresholds": "--within",
    **{one.name: one.metadata["option"].flag for one in fields(PoolRequest) if "option" in one.metadata},
}
"""How arguments are typed that are not typed as they are called."""

_NAMED = re.compile(r"(?<!`)`([a-z][a-z_]*)(?:=([^`]*))?`(?!`)")


def _typed(named: re.Match[str]) -> str:
    name, value = named.groups()
    flag = FLAGS.get(name) or _flag(name)
    return flag if value in (None, "True", "False") else f"{flag} {value}"


def as_named(request: Any, context: typer.Context) -> dict[str, Any]:
    """Of a dataclass that a command was called with, the options that were typed, by name."""
    given = {field.name: context.get_parameter_source(_name(field)) for field, _ in _options(type(request))}
    typed = {
        name: getattr(request, name) for name, source in given.items() if source and source.name != "DEFAULT"
    }
    own = _of_encoders(type(request))
    return typed | ({own: getattr(request, own)} if own and getattr(request, own) else {})


def _flag(name: str) -> str:
    """``lambda_``, which Python does not take without its last sign, is typed ``--lambda``."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def _options(request: type) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a dataclass that are options."""
    return ((one, one.metadata["option"]) for one in fields(request) if "option" in one.metadata)


def _of_encoders(request: type) -> str | None:
    """The field of a dataclass that holds the options of the kinds of encoder."""
    return next((one.name for one in fields(request) if OPTIONS_OF_ENCODERS in one.metadata), None)


def _parameters(request: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(request)
    shown_fields = list(_options(request))
    if _of_encoders(request):
        own = encoder_options()
        shown_fields += [(field, field.metadata["option"]) for field, _ in own.values()]
        hints |= {name: hint for name, (_, hint) in own.items()}
    for field, option in shown_fields:
        kind, default = hints[field.name], field.default
        meaning = as_typed(option.help).replace("{encoders}", encoder_usage())
        if option.argument:
            shown: Any = typer.Argument(help=meaning)
        else:
            flags = [option.flag or _flag(field.name)]
            shown = typer.Option(
                *flags,
                help=meaning,
                metavar=option.metavar or None,
                rich_help_panel=option.group or getattr(request, "group", None),
            )
        if option.read is not None:
            kind = str
        elif get_origin(kind) is tuple or (option.argument and get_origin(kind) is not None):
            kind, default = list[get_args(kind)[0]], default or None  # type: ignore[misc]
        yield inspect.Parameter(
            _name(field),
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if default is MISSING
            else not default
            if option.turns_off
            else default,
            annotation=Annotated[kind if default is not None else kind | None, shown],
        )


def _made(request: type, given: dict[str, Any]) -> Any:
    """The dataclass from the values of its options, which are taken out of ``given``."""
    values = {}
    for field, option in _options(request):
        value = given.pop(_name(field))
        if option.turns_off:
            value = not value
        if option.read is not None and value is not None:
            value = option.read(value)
        values[field.name] = tuple(value or ()) if isinstance(field.default, tuple) else value
    if holder := _of_encoders(request):
        own = {name: (given.pop(name), field.default) for name, (field, _) in encoder_options().items()}
        used = {name: value for name, (value, default) in own.items() if value != default}
        values[holder] = tuple(sorted(used.items()))
    return request(**values)


def _name(field: Field[Any]) -> str:
    option: Option = field.metadata["option"]
    return (option.flag or field.name).lstrip("-").replace("-", "_")
