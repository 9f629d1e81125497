"""Help of one command in plain text: an example, options in groups as wide as the terminal, where to read more."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand

WIDEST = 100
"""Longer lines are hard to read; narrower terminals wrap at their own width."""

_NAMES = 22
"""Columns for names; a longer one has its line alone."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "demo": ("evenly demo", "README.md"),
    "plan": ("evenly plan train.jsonl --keep 50%", "docs/scaling.md"),
    "select": ("evenly select train.jsonl --keep 50% --out kept.jsonl", "docs/choosing.md"),
    "slice": ("evenly slice kept.jsonl --keep 10% --out small.jsonl", "docs/choosing.md"),
    "again": ("evenly again kept.jsonl --on march.jsonl --out march-kept.jsonl", "docs/choosing.md"),
    "extend": ("evenly extend kept.jsonl new.jsonl --keep 6000 --out both.jsonl", "docs/choosing.md"),
    "split": ("evenly split train.jsonl --test 10% --out parts/", "docs/choosing.md"),
    "score": ("evenly score train.jsonl --model MODEL --out scores.parquet", "docs/quality.md"),
    "strategies": ("evenly strategies", "docs/strategies.md"),
    "verify": ("evenly verify kept.jsonl", "docs/measures.md"),
    "measure": ("evenly measure train.jsonl --subset kept.jsonl", "docs/measures.md"),
    "report": ("evenly report kept.jsonl --map umap", "docs/measures.md"),
    "atlas": ("evenly atlas kept.jsonl --out atlas.parquet", "docs/choosing.md"),
    "compare": ("evenly compare train.jsonl --model MODEL --out compare", "docs/comparison.md"),
    "train": ("evenly train kept.jsonl --model MODEL --out run", "docs/comparison.md"),
    "evaluate": ("evenly evaluate MODEL --tasks arc_easy", "docs/comparison.md"),
    "export": ("evenly export kept.jsonl --to trl --out training", "docs/trainers.md"),
    "push": ("evenly push kept.jsonl --to NAME --private", "docs/order.md"),
    "lab": ("evenly lab forecast train.jsonl", "docs/theory.md"),
    "cache": ("evenly cache", "docs/scaling.md"),
}
"""A command line of each command that works as it is, and the document that says more of it."""


_KINDS = {"str": "TEXT", "text": "TEXT", "int": "N", "integer": "N", "float": "X", "path": "PATH"}


class PlainHelp(TyperCommand):
    """A command whose help needs no library that draws boxes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        width = min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
        formatter.write("\n".join(self._lines(ctx, width)) + "\n")

    def _lines(self, ctx: Any, width: int) -> Iterator[str]:
        parameters: list[Any] = list(self.get_params(ctx))
        arguments = [one for one in parameters if one.param_type_name == "argument"]
        required = [one for one in parameters if one.param_type_name == "option" and one.required]
        named = [_shown(one) for one in arguments] + [_shown(one) for one in required]
        usage = " ".join(["Usage:", ctx.command_path, *named, "[OPTIONS]"])
        yield from textwrap.wrap(usage, width, subsequent_indent="         ", break_on_hyphens=False)
        yield ""
        yield from textwrap.wrap(" ".join((self.help or "").split()), width)
        if self.name in EXAMPLES:
            yield from ("", "Example:", f"  {EXAMPLES[self.name][0]}")
        yield ""
        for one in arguments:
            yield from _entry(_shown(one), one.help or "", one, width)
        for group, options in _groups(parameters).items():
            yield from ("", f"{group}:")
            for one in options:
                yield from _entry(_shown(one), one.help or "", one, width)
        if self.name in EXAMPLES:
            yield from ("", f"Read more: {EXAMPLES[self.name][1]}")


def _groups(parameters: list[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {"Options": []}
    for one in parameters:
        if one.param_type_name == "option" and not one.hidden:
            groups.setdefault(getattr(one, "rich_help_panel", None) or "Options", []).append(one)
    return groups


def _shown(parameter: Any) -> str:
    """How a parameter is typed: SOURCES..., [NAME], --out TEXT, -h, --help."""
    if parameter.param_type_name == "argument":
        name = str(parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
        return name if parameter.required else f"[{name}]"
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {_value(parameter)}"


def _value(parameter: Any) -> str:
    """What an option takes. The parser's versions keep it in different places."""
    kind = getattr(parameter, "type", None)
    choices = getattr(kind, "choices", None)
    said = "|".join(map(str, choices)) if choices else getattr(kind, "name", None)
    said = parameter.metavar or said or getattr(parameter, "display_type", "text")
    named = str(said(None) if callable(said) else said).strip("<>").removeprefix("list[").strip("<>[]")
    return _KINDS.get(named.lower().split(" ")[0], named)


def _entry(name: str, meaning: str, parameter: Any, width: int) -> Iterator[str]:
    default = parameter.default
    if (
        default not in (None, False, (), "")
        and not callable(default)
        and not getattr(parameter, "is_flag", False)
    ):
        meaning = f"{meaning} [{default}]"
    if parameter.param_type_name == "option" and parameter.required:
        meaning = f"{meaning} [required]"
    lines = textwrap.wrap(" ".join(meaning.split()), width - _NAMES - 4, break_on_hyphens=False) or [""]
    if len(name) > _NAMES:
        yield from textwrap.wrap(f"  {name}", width, subsequent_indent="      ", break_on_hyphens=False)
    else:
        yield f"  {name:<{_NAMES}}  {lines.pop(0)}".rstrip()
    yield from (f"{'':<{_NAMES + 4}}{line}" for line in lines)
