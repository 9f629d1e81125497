"""`evenly export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import SavedRequest, WriteRequest


@takes(saved=SavedRequest, writing=WriteRequest)
def export(
    saved: SavedRequest,
    to: Annotated[str, typer.Option(help="trl, axolotl, llama-factory or unsloth.")],
    writing: WriteRequest,
    out: Annotated[Path, typer.Option(help="A new folder for the rows and the configuration.")] = Path(
        "export"
    ),
) -> None:
    """Write the kept rows and a configuration for a training tool."""
    from evenly.cli.screen import print_line
    from evenly.train.export import export as write

    done = write(saved.folder, to, out, sources=saved.source, overwrite=writing.overwrite)
    for path in done.files:
        print_line(f"wrote {path}")
    rows = "1 row" if done.rows == 1 else f"{done.rows:,} rows"
    print_line(f"{rows}, the longest about {done.tokens:,} tokens (UTF-8 bytes / 3, rounded up)")
    for note in done.notes:
        print_line(note)
