"""`evenly plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import PoolRequest


@takes(pool=PoolRequest)
def plan(
    pool: PoolRequest,
    keep: Annotated[str, typer.Option(help="How much would be kept: a share (50%, 0.5) or a count (5000).")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Say what select would need, before it is run: memory, disk and time."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.plan import plan_sources

    with shown_progress(json_output=json_output) as progress:
        found = plan_sources(pool, keep, progress=progress)
    if json_output:
        print_json(found.to_dict())
    else:
        typer.echo("\n".join(found.lines()))
