"""`evenly select`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from evenly.cli.options import as_typed, takes
from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.controls.control import Control
from evenly.request import PoolRequest, WriteRequest


@takes(pool=PoolRequest, writing=WriteRequest, controls=CONTROLS, choice=Choice)
def select(
    pool: PoolRequest,
    out: Annotated[
        str,
        typer.Option(
            help="Where kept rows go: a file in the sources' own format, or a folder (kept/) for one file per source."
        ),
    ],
    writing: WriteRequest,
    controls: tuple[Control, ...],
    choice: Choice,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Keep the rows that lie as far apart as possible."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.select import select_sources
    from evenly.selecting.request import SelectRequest

    request = SelectRequest(pool, replace(choice, controls=controls), out, overwrite=writing.overwrite)
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
        print_summary(outcome)


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


def print_summary(outcome: Any) -> None:
    """What was kept, how even it is, beside the pool and random sets, and what it cost."""
    from rich.console import Console
    from rich.table import Table

    from evenly.cli.screen import printable
    from evenly.words import decimals

    manifest, measures = outcome.manifest, outcome.measures
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for note in outcome.notes():
        console.print(printable(as_typed(note), 400))
    share = 100.0 * manifest.kept / manifest.pool_rows
    console.print(f"kept {manifest.kept:,} of {manifest.pool_rows:,} rows ({share:.1f} %)", style="bold")
    table = Table("", "rows", "h_min", "fill", "mesh ratio", "exact copies", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    kept, pool, random = measures["kept"], measures["pool"], measures.get("random")
    for name, of in (("kept", kept), ("pool", pool)):
        mesh = (
            decimals(of["mesh_ratio"], 3) if isinstance(of["mesh_ratio"], float) and name == "kept" else "-"
        )
        table.add_row(
            name,
            f"{of['rows']:,}",
            decimals(of["h_min"]) if isinstance(of["h_min"], float) else "-",
            decimals(of["fill"]) if name == "kept" else "-",
            mesh,
            f"{of['copies']:,}",
        )
        if name == "kept" and random:
            h_min, fill = random["h_min"]["median"], random["fill"]["median"]
            ratio = decimals(fill / h_min, 3) if h_min > 0 else "-"
            label = f"random (median of {random['draws']})"
            table.add_row(label, f"{of['rows']:,}", decimals(h_min), decimals(fill), ratio, "-")
    console.print(table)
    unit = "1 - cos" if manifest.metric == "cosine" else "euclidean"
    console.print(
        f"distances are {unit}; h_min: closest pair of the set; fill: farthest any row is from a kept one"
    )
    if sampled := measures.get("sampled_rows"):
        console.print(
            f"pool and random sets: from a sample of {sampled:,} rows each, so their h_min may be smaller and "
            "their fill larger"
        )
    console.print(f"certificate: {measures['certificate']['text']}")
    for name, (distance, first, second) in outcome.closest_pairs().items():
        of = "kept rows" if name == "kept" else "sampled rows of the pool" if sampled else "pool"
        console.print(f"closest pair of the {of}, {decimals(distance)} apart:")
        console.print(f"  {printable(first)}\n  {printable(second)}", style="dim")
    seconds = "  ".join(f"{stage} {spent:.1f} s" for stage, spent in manifest.seconds.items())
    console.print(f"took {seconds}")
    for output in manifest.outputs:
        console.print(f"wrote {output.name} ({output.rows:,} rows)")
    console.print(
        f"record and page: {outcome.folder}/report.html; check it with: evenly verify {outcome.folder}"
    )
