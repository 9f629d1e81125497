"""`evenly split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import PoolRequest, WriteRequest


@takes(pool=PoolRequest, writing=WriteRequest)
def split(
    pool: PoolRequest,
    out: Annotated[str, typer.Option(help="Folder for the parts, e.g. parts/.")],
    writing: WriteRequest,
    test: Annotated[str | None, typer.Option(help="Rows of the test part: a share (10%) or a count.")] = None,
    folds: Annotated[int | None, typer.Option(help="Deal the rows out to so many folds instead.")] = None,
    both: Annotated[
        bool, typer.Option("--both", help="Cover the pool with the train part too (DUPLEX); slower.")
    ] = False,
    gap: Annotated[
        float | None,
        typer.Option(
            help="Leave rows nearer than this to a test row out of the train part, and copies always; 0 leaves out "
            "copies alone. Default: 0.05 for cosine, 0 for euclidean."
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a test part that covers the pool, without copies and near-copies in the train part, or folds."""
    from evenly.cli.screen import print_json, print_line, removed_line, shown_progress
    from evenly.jobs.split import SplitRequest, split_sources
    from evenly.words import decimals

    request = SplitRequest(pool, out, test=test, folds=folds, both=both, gap=gap, overwrite=writing.overwrite)
    with shown_progress(json_output=json_output) as progress:
        found = split_sources(request, progress)
    if json_output:
        print_json(found.to_dict())
        return
    for name, count in found.rows.items():
        print_line(
            f"{name}: {count:,} rows; no row of the pool is farther than {decimals(found.fill[name])} from it"
        )
    if found.gap is not None:
        print_line(f"train and test rows are at least {decimals(found.gap)} apart")
    if found.left_out:
        near = f"or lie within {found.gap_asked:g} of one" if found.gap_asked else "in text or vector"
        print_line(f"left out: {found.left_out:,} rows that equal a test row {near}, listed in split.json")
    for output in found.outputs:
        print_line(f"wrote {Path(out) / output.name} ({output.rows:,} rows)")
    if (gone := removed_line(found.removed)) is not None:
        print_line(gone)
