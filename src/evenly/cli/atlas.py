"""`evenly atlas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import WriteRequest


@takes(writing=WriteRequest)
def atlas(
    folder: Annotated[Path, typer.Argument(help="The folder that select wrote, or the kept rows beside it.")],
    writing: WriteRequest,
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")] = Path("atlas.parquet"),
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a selection as the Parquet file that Embedding Atlas reads."""
    from evenly.cli.screen import print_json
    from evenly.report.atlas import write_atlas

    path = write_atlas(folder, out, overwrite=writing.overwrite)
    if json_output:
        print_json({"file": str(path)})
    else:
        typer.echo(f"wrote {path}; look at it with:")
        typer.echo(f"  embedding-atlas {path} --text text --x x --y y --neighbors neighbors")
