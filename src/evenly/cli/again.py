"""`evenly again`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evenly.errors import InputError


def again(
    folder: Annotated[Path, typer.Argument(help="The folder that select wrote, or the kept rows beside it.")],
    on: Annotated[
        list[str] | None, typer.Option(help="Other sources; may be repeated. Default: the same.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Where kept rows go. Default: where they went.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what lies at --out although evenly did not write it.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Repeat a selection with the options it was made with, on the same sources or on others."""
    from typer.main import get_command

    from evenly.cli.app import app
    from evenly.folder.selection import SelectionFolder
    from evenly.selecting.config import CONFIG_FILE

    place = SelectionFolder.open(folder).path / CONFIG_FILE
    if not place.is_file():
        raise InputError(
            f"{place.parent} holds no {CONFIG_FILE}: it was extended from another selection, or is of an older version"
        )
    if on and out is None:
        raise InputError("`on` names other sources; say with `out` where the rows kept of them go")
    arguments = ["select", *(on or []), "--config", str(place)]
    arguments += ["--out", out] if out is not None else []
    arguments += ["--overwrite"] if overwrite else []
    arguments += ["--json"] if json_output else []
    command: Any = get_command(app)
    command.main(arguments, prog_name="evenly", standalone_mode=False)
