"""`evenly lab`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenly.lab.result import Result
    from evenly.lab.setup import Setup


def lab(
    name: Annotated[
        str | None,
        typer.Argument(
            help="trap, law, spectrum, train, approx, trajectory, depth, coverage or forecast; all if left out."
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Argument(help="With forecast: training files, to forecast on your own data.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds; default: as many as each experiment needs.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer seeds, steps and networks.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the JSON, the figures and the page.")] = Path("lab"),
    device: Annotated[str, typer.Option(help="Where to compute, as torch names it.")] = "cpu",
    model: Annotated[
        str | None, typer.Option(help="With spectrum: a causal language model, a folder or hub id.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="With spectrum and --model: its training file; may be repeated.")
    ] = None,
    last_blocks: Annotated[
        int | None,
        typer.Option(help="With --model: exact gradients of the last blocks alone; default: all parameters."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=2, help="With your own data: how many rows to draw from it at most.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="With forecast: what turns texts into vectors; default: minilm.")
    ] = None,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="With forecast: folders of comparisons to fit it on; may be repeated."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure the theory: every claim as an experiment with its figure, its numbers and a verdict."""
    from evenly.cli.screen import shown_progress
    from evenly.errors import InputError
    from evenly.lab.setup import Setup, check_extra

    _refuse_mixed(name, source, model, data, last_blocks, rows, encoder, generic=seeds is not None or quick)
    if evidence and (name != "forecast" or source):
        raise InputError(
            "--evidence is for forecast without training files: evenly lab forecast --evidence FOLDER"
        )
    check_extra()
    with shown_progress(json_output=json_output) as progress:
        setup = Setup(seeds, quick, device, progress)
        results = _on_own(
            source, model, data, last_blocks, rows, encoder, evidence, out=out, setup=setup
        ) or _experiments(name, out, setup)
    if json_output:
        joined = ",\n".join(result.as_json() for result in results)
        typer.echo(joined if name else f"[\n{joined}\n]")
    else:
        _print(results, out, whole=name is None)


def _on_own(
    source: list[str] | None,
    model: str | None,
    data: list[str] | None,
    last_blocks: int | None,
    rows: int | None,
    encoder: str | None,
    evidence: list[str] | None,
    *,
    out: Path,
    setup: Setup,
) -> list[Result]:
    """What is measured on the user's own data, model or comparisons; empty where none are named."""
    from evenly.lab import evidence as comparisons
    from evenly.lab import language_model, userdata
    from evenly.lab.running import write

    if evidence:
        return [write(comparisons.forecast_evidence(evidence), comparisons.draw, out)]
    if source:
        found = userdata.forecast_source(source, encoder or "minilm", rows or 1000, setup)
        return [write(found, userdata.draw, out)]
    if model and data:
        found = language_model.spectrum_of_model(model, data, rows or 32, last_blocks, setup)
        return [write(found, language_model.draw, out)]
    return []


def _experiments(name: str | None, out: Path, setup: Setup) -> list[Result]:
    from evenly.lab.running import run_all, run_one

    return [run_one(name, out, setup)] if name else run_all(out, setup)


def _refuse_mixed(
    name: str | None,
    source: list[str] | None,
    model: str | None,
    data: list[str] | None,
    last_blocks: int | None,
    rows: int | None,
    encoder: str | None,
    *,
    generic: bool,
) -> None:
    """Options that belong to one's own data are for it alone, and --seeds and --quick (``generic``) are not."""
    from evenly.errors import InputError

    if source and name != "forecast":
        raise InputError(f"experiment {name!r} takes no source ({source[0]}); only forecast reads your data")
    if bool(model) != bool(data) or (model and name != "spectrum"):
        raise InputError("--model and --data belong together: evenly lab spectrum --model PATH --data SOURCE")
    if last_blocks is not None and not model:
        raise InputError("--last-blocks is for a model: evenly lab spectrum --model PATH --data SOURCE")
    if rows is not None and not (source or model):
        raise InputError("--rows is for your own data: evenly lab forecast SOURCE, or spectrum with --model")
    if encoder is not None and not source:
        raise InputError("--encoder is for your own data: evenly lab forecast SOURCE --encoder NAME")
    if generic and (source or model):
        raise InputError(
            "--seeds and --quick are for the lab's own experiments; on your own data leave them out"
        )


def _print(results: list[Result], out: Path, *, whole: bool) -> None:
    """Tables of one experiment, or the verdicts of all; then where the files are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for result in results:
        for table in () if whole else result.tables:
            shown = Table(title=Text(table.title), title_justify="left", title_style="bold")
            columns, *rows = table.shown()
            for index, column in enumerate(columns):
                shown.add_column(Text(column), justify="left" if index == 0 else "right")
            for row in rows:
                shown.add_row(*map(Text, row))
            console.print(shown)
        console.print(Text(f"{result.name}: {result.outcome}: {result.verdict}\n"), soft_wrap=not whole)
    where = out / "index.html" if whole else out / f"{results[0].name}.png"
    console.print(Text(f"written: {where}"))
