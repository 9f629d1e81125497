"""`evenly select`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from evenly.cli.config import Config
from evenly.cli.options import as_typed, takes
from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.controls.control import Control
from evenly.errors import InputError
from evenly.request import KeptRequest, MapRequest, PoolRequest

Out = Annotated[
    str,
    typer.Option(
        help="Where kept rows go: a file in the sources' own format, a folder (kept/), or - for standard output."
    ),
]


@takes(pool=PoolRequest, writing=KeptRequest, map=MapRequest, controls=CONTROLS, choice=Choice)
def select(
    pool: PoolRequest,
    out: Out,
    writing: KeptRequest,
    controls: tuple[Control, ...],
    choice: Choice,
    map: MapRequest,
    config: Config = None,
    details: Annotated[
        bool,
        typer.Option("--details", "-v", help="Print the table of measures, pairs of rows and seconds too."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Write no page; evenly report writes it later.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Keep the rows that lie as far apart as possible."""
    from evenly.cli.pipe import STANDARD_OUTPUT, place_of
    from evenly.cli.screen import print_json, shown_progress, starting

    silent = quiet or json_output
    starting("" if silent else f"reading {', '.join(str(one) for one in pool.sources)}")
    from evenly.cli.summary import print_read, print_summary
    from evenly.jobs.select import select_sources
    from evenly.selecting.request import SelectRequest

    if out == STANDARD_OUTPUT and (json_output or choice.strategy == "all"):
        raise InputError("`out` - prints the kept rows alone; name a file or a folder")
    with place_of(out, pool.sources) as place:
        request = SelectRequest(
            pool,
            replace(choice, controls=controls),
            place,
            overwrite=writing.overwrite,
            order=writing.order,
            map=map.map,
            page=not no_page and out != STANDARD_OUTPUT,
        )
        if choice.strategy == "all":
            _select_all(request, json_output)
            return
        stream = sys.stderr if out == STANDARD_OUTPUT else sys.stdout
        early = not silent and stream.isatty()  # a pipe or a file gets nothing of a run that is refused later
        with shown_progress(json_output=silent) as progress:
            outcome = select_sources(
                request,
                read=(lambda rows: print_read(rows, pool, stream)) if early else None,
                announce=None if silent else lambda line: typer.echo(line, err=True),
                progress=progress,
            )
        if json_output:
            print_json(outcome.to_dict())
        elif not quiet:
            if not early:
                print_read(outcome.prepared.pool.rows, pool, stream)
            print_summary(outcome, details, stream=stream, read_told=True)


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
