"""`evenly measure`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.options import as_typed, takes
from evenly.request import PoolRequest


@takes(pool=PoolRequest)
def measure(
    pool: PoolRequest,
    subset: Annotated[
        str | None, typer.Option(help="A file of rows from the pool: measure these, and how they cover it.")
    ] = None,
    within: Annotated[list[float] | None, typer.Option(help="Count pairs at most this far apart.")] = None,
    draws: Annotated[int, typer.Option(help="Random subsets of the same size to compare with.")] = 20,
    seed: Annotated[int, typer.Option(help="For the random subsets and samples.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how even a file is, or a part of it beside random parts of the same size."""
    from evenly.cli.screen import print_json, print_wrapped, shown_progress
    from evenly.jobs.measure import measure_sources, sentences, table_of
    from evenly.words import decimals

    with shown_progress(json_output=json_output) as progress:
        found = measure_sources(
            pool, subset=subset, thresholds=within, random_draws=draws, seed=seed, progress=progress
        )
    if json_output:
        print_json(found.to_dict())
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{found.rows:,} of {found.pool_rows:,} rows, {found.dimension} dimensions", style="bold")
    table = Table("", "value", *(["random"] if found.random else []), "", box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for name, meaning, value, random in table_of(found):
        shown = f"{value:,}" if isinstance(value, int) else decimals(value)
        table.add_row(name, shown, *([decimals(random)] if found.random else []), meaning)
    console.print(table)
    for line in sentences(found):
        print_wrapped(as_typed(line))
    if found.random:
        console.print(f"random: mean of {found.random.draws} random subsets of the same size")
