"""`evenly extend`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import KeptRequest, SavedPoolRequest


@takes(saved=SavedPoolRequest, writing=KeptRequest)
def extend(
    saved: SavedPoolRequest,
    new: Annotated[list[str], typer.Argument(help="Files with new rows, as for select.")],
    keep: Annotated[
        str, typer.Option(help="How much to keep in all, the rows kept so far among it; as for select.")
    ],
    out: Annotated[str, typer.Option(help="Where all kept rows go: a file, or a folder (kept/).")],
    writing: KeptRequest,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Go on from a saved selection over its rows and new ones; what is kept stays kept."""
    from evenly.cli.screen import print_json, print_wrapped, shown_progress
    from evenly.cli.summary import print_summary
    from evenly.jobs.extend import extend_selection

    with shown_progress(json_output=json_output) as progress:
        found = extend_selection(
            saved, new, keep, out, overwrite=writing.overwrite, order=writing.order, progress=progress
        )
    if json_output:
        print_json(found.to_dict())
        return
    print_summary(found.outcome)
    print_wrapped(found.line)
