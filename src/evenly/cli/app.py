"""All commands of `evenly`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.cache import cache
from evenly.cli.demo import demo
from evenly.cli.select import select
from evenly.cli.verify import verify

app = typer.Typer(
    help="Choose the part of a training set that trains fastest, prove how even it is, measure whether it paid.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (demo, select, verify, cache):
    app.command()(command)


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
