"""`evenly export`."""

from __future__ import annotations

from typing import Annotated

import typer


def export(
    kept: Annotated[
        str,
        typer.Argument(help="The folder that select wrote, e.g. kept.evenly/, or the kept file beside it."),
    ],
    to: Annotated[str, typer.Option(help="trl, axolotl, llama-factory or unsloth.")],
    out: Annotated[str, typer.Option(help="A new folder for the rows and the configuration.")] = "export",
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a source is now, should the kept rows be gone; once for each of the manifest's."
        ),
    ] = None,
) -> None:
    """Write the kept rows and a configuration for a training tool."""
    from pathlib import Path

    from evenly.train.export import export as write

    done = write(Path(kept), to, Path(out), sources=source or ())
    for path in done.files:
        typer.echo(f"wrote {path}")
    rows = "1 row" if done.rows == 1 else f"{done.rows:,} rows"
    typer.echo(f"{rows}, the longest about {done.tokens:,} tokens (UTF-8 bytes / 3, rounded up)")
    for note in done.notes:
        typer.echo(note)
