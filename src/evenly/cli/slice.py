"""`evenly slice`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import PICKED, KeptRequest, SavedPoolRequest


@takes(saved=SavedPoolRequest, writing=KeptRequest)
def slice_order(
    saved: SavedPoolRequest,
    keep: Annotated[
        str,
        typer.Option(help="A share of the pool, a count, tokens:2M, chars:900k, distance:0.35 or knee."),
    ],
    out: Annotated[str, typer.Option(help="Where the rows go: a file, or a folder (kept/).")],
    writing: KeptRequest,
    tokenizer: Annotated[
        str | None, typer.Option(help="Counts the tokens of --keep tokens:…; default: the encoder's.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Cut another size from a saved order, without embedding (where vectors are cached) or picking again."""
    from evenly.cli.screen import print_json, print_line, removed_line, shown_progress
    from evenly.folder.place import selection_folder
    from evenly.jobs.slice import slice_selection
    from evenly.words import decimals

    with shown_progress(json_output=json_output) as progress:
        found = slice_selection(
            saved,
            keep,
            out,
            tokenizer=tokenizer,
            overwrite=writing.overwrite,
            order=writing.order,
            progress=progress,
        )
    if json_output:
        print_json(found.to_dict())
        return
    inside = ", in the order of picking" if writing.order == PICKED else ""
    print_line(f"the first {found.kept:,} of {found.saved:,} picks{inside}, h_min {decimals(found.h_min)}")
    for output in found.outputs:
        print_line(f"wrote {Path(out).parent / output.name} ({output.rows:,} rows)")
    if (gone := removed_line(found.removed)) is not None:
        print_line(gone)
    print_line(f"record and page: {selection_folder(out)}/")
