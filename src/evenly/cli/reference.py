"""The reference of all commands, made from the commands themselves.

``python -m evenly.cli.reference > docs/reference.md``; a test holds the file to what this prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command


def reference() -> str:
    """Markdown with one section per command: what it does, its arguments and options with defaults."""
    from evenly.cli.app import COMMANDS, app

    root: Any = get_command(app)
    lines = ["# Commands", "", "Made by `python -m evenly.cli.reference`; edit the commands, not this file."]
    for name in sorted(COMMANDS):
        lines += ["", *_section(f"evenly {name}", root.get_command(None, name))]
    return "\n".join(lines) + "\n"


def _section(title: str, command: Any) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield " ".join((command.help or "").split())
    parameters = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
    if parameters:
        yield ""
        yield "| parameter | meaning | default |"
        yield "|---|---|---|"
    for one in parameters:
        is_option = one.param_type_name == "option"
        name = ", ".join(one.opts) if is_option else one.name.upper()
        meaning = " ".join((getattr(one, "help", "") or "").split()).replace("|", "\\|")
        yield f"| `{name}` | {meaning} | {_default(one)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default in (None, False, ()) or callable(default) else f"`{default}`"


if __name__ == "__main__":
    print(reference(), end="")
