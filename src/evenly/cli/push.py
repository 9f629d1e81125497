"""`evenly push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="The folder that select wrote, or the kept rows beside it.")],
    to: Annotated[
        str, typer.Option(help="The dataset repository on the Hugging Face hub: NAME or OWNER/NAME.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: Annotated[
        Path | None, typer.Option(help="Write what would be pushed to this new folder, and push nothing.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Push kept rows, their record and a dataset card to the hub, in one commit."""
    from evenly.cli.screen import print_json
    from evenly.jobs.push import push_selection

    found = push_selection(folder, to, private=private, dry_run=dry_run)
    if json_output:
        print_json(found.to_dict())
        return
    typer.echo("would push" if found.dry_run else "pushed")
    for file in found.files:
        typer.echo(f"  {file}")
    typer.echo(f"the record holds the beginnings of all {found.shown_rows:,} rows of the pool")
    typer.echo(f"{'look at it in' if found.dry_run else 'it is at'} {found.place}")
