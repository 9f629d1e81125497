"""`evenly export`."""

from __future__ import annotations

from typing import Annotated

import typer


def export(
    kept: Annotated[str, typer.Argument(help="The folder that select wrote, e.g. kept.evenly/")],
    to: Annotated[str, typer.Option(help="trl, axolotl, llama-factory or unsloth.")],
    out: Annotated[str, typer.Option(help="A new folder for the rows and the configuration.")] = "export",
) -> None:
    """Write the kept rows and a configuration for a training tool."""
    from pathlib import Path

    from evenly.train.export import export as write

    for path in write(Path(kept), to, Path(out)):
        typer.echo(f"wrote {path}")
