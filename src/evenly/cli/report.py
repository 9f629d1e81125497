"""`evenly report`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from evenly.cli.options import takes
from evenly.request import SavedPoolRequest


@takes(saved=SavedPoolRequest)
def report(
    saved: SavedPoolRequest,
    map: Annotated[
        Literal["neighbours", "pca", "umap"] | None,
        typer.Option(help="How rows are laid out on the map. Default: as they were."),
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Show a random sample of at most this many rows.")
    ] = None,
) -> None:
    """Write the page of a selection again: one HTML file that opens from disk."""
    from evenly.cli.screen import shown_progress
    from evenly.jobs.report import report_folder

    with shown_progress() as progress:
        path = report_folder(saved, map=map, limit_points=points, progress=progress)
    typer.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
