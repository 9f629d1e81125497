"""All commands of `evenly`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.atlas import atlas
from evenly.cli.cache import cache
from evenly.cli.compare import compare
from evenly.cli.demo import demo
from evenly.cli.evaluate import evaluate
from evenly.cli.export import export
from evenly.cli.extend import extend
from evenly.cli.lab import lab
from evenly.cli.measure import measure
from evenly.cli.plan import plan
from evenly.cli.report import report
from evenly.cli.select import select
from evenly.cli.slice import slice_order
from evenly.cli.split import split
from evenly.cli.strategies import strategies
from evenly.cli.train import train
from evenly.cli.verify import verify

app = typer.Typer(
    help="Choose the part of a training set that trains fastest, prove how even it is, measure whether it paid.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

CHOOSING = (demo, plan, select, slice_order, extend, split, strategies)
CHECKING = (verify, measure, report, atlas)
TRAINING = (compare, train, evaluate, export, lab)
for command in (*CHOOSING, *CHECKING, *TRAINING, cache):
    app.command(command.__name__.removesuffix("_order"))(command)  # `slice` is a builtin


def _version(asked: bool) -> None:
    if asked:
        from evenly import __version__

        typer.echo(f"evenly {__version__}")
        raise typer.Exit


@app.callback()
def evenly(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
