"""`evenly verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    folder: Annotated[Path, typer.Argument(help="The folder that select wrote, e.g. kept.evenly/")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a selection from its manifest: files, vectors, and every pick against the definition."""
