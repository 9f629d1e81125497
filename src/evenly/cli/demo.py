"""`evenly demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import WriteRequest


@takes(writing=WriteRequest)
def demo(
    writing: WriteRequest,
    out: Annotated[Path, typer.Option(help="Folder for the pool, the kept rows and the page.")] = Path(
        "demo"
    ),
    rows: Annotated[int, typer.Option(help="Documentation strings to collect at most.", min=2)] = 5000,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the main job on text that is already here: documentation strings of the installed Python."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.cli.summary import print_summary
    from evenly.jobs.demo import run_demo

    with shown_progress(json_output=json_output) as progress:
        outcome = run_demo(out, limit=rows, overwrite=writing.overwrite, progress=progress)
    if json_output:
        print_json(outcome.to_dict())
    else:
        print_summary(outcome)
