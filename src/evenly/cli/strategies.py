"""`evenly strategies`."""

from __future__ import annotations

from typing import Annotated

import typer


def strategies(
    json_output: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the strategies of `evenly select --strategy`, each with its source."""
    from evenly.cli.screen import print_json
    from evenly.strategies import STRATEGIES

    if json_output:
        print_json(
            [{"name": one.name, "line": one.line, "source": one.source} for one in STRATEGIES.values()]
        )
        return
    for one in STRATEGIES.values():
        typer.echo(f"{one.name:<14} {one.line} [{one.source}]")
