"""`evenly select`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from evenly.cli.options import as_typed, takes
from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.controls.control import Control
from evenly.request import KeptRequest, MapRequest, PoolRequest


@takes(pool=PoolRequest, writing=KeptRequest, map=MapRequest, controls=CONTROLS, choice=Choice)
def select(
    pool: PoolRequest,
    out: Annotated[
        str,
        typer.Option(
            help="Where kept rows go: a file in the sources' own format, or a folder (kept/) for one file per source."
        ),
    ],
    writing: KeptRequest,
    controls: tuple[Control, ...],
    choice: Choice,
    map: MapRequest,
    details: Annotated[
        bool, typer.Option("--details", help="Print the table of measures, closest pairs and seconds too.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Keep the rows that lie as far apart as possible."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.cli.summary import print_summary
    from evenly.jobs.select import select_sources
    from evenly.selecting.request import SelectRequest

    asked = replace(choice, controls=controls)
    request = SelectRequest(pool, asked, out, overwrite=writing.overwrite, order=writing.order, map=map.map)
    if choice.strategy == "all":
        _select_all(request, json_output)
        return
    with shown_progress(json_output=json_output) as progress:
        outcome = select_sources(
            request,
            announce=None if json_output else lambda line: typer.echo(line, err=True),
            progress=progress,
        )
    if json_output:
        print_json(outcome.to_dict())
    else:
        print_summary(outcome, details)


def _select_all(request: Any, json_output: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.strategies import arm_rows, select_all

    with shown_progress(json_output=json_output) as progress:
        found = select_all(request, progress)
    if json_output:
        print_json(found.to_dict())
        return
    headings, *lines = arm_rows(found)
    table = Table(*headings, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header == "strategy" else "right"
    for line in lines:
        table.add_row(*line)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:  # a file has no width, and must not be given the 80 columns that are assumed
        unbound = console.options.update(max_width=2**16)
        console.width = console.measure(table, options=unbound).maximum
    console.print(table)
    for message in found.missing.values():
        console.print(as_typed(message))
    console.print(f"one file per arm, and all overlaps in strategies.json, in {request.out}")
