"""`evenly export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenly.cli.options import takes
from evenly.request import SavedRequest, WriteRequest


@takes(saved=SavedRequest, writing=WriteRequest)
def export(
    saved: SavedRequest,
    to: Annotated[str, typer.Option(help="trl, axolotl, llama-factory or unsloth.")],
    writing: WriteRequest,
    out: Annotated[Path, typer.Option(help="A new folder for the rows and the configuration.")] = Path(
        "export"
    ),
) -> None:
    """Write the kept rows and a configuration for a training tool."""
    from evenly.cli.screen import print_line
    from evenly.train.export import BYTES_PER_TOKEN, TOKENS_PER_TURN
    from evenly.train.export import export as write
    from evenly.train.handed import TRAINERS

    done = write(saved.folder, to, out, sources=saved.source, overwrite=writing.overwrite)
    for path in done.files:
        print_line(f"wrote {path}")
    for path in done.removed:
        print_line(f"removed {path}, of an older export")
    rows, longest = "1 row" if done.rows == 1 else f"{done.rows:,} rows", done.longest
    turns = "1 turn" if longest.turns == 1 else f"{longest.turns:,} turns"
    print_line(
        f"{rows}, the longest of {longest.size:,} bytes in {turns} (row {longest.row:,}): about {longest.tokens:,} "
        f"tokens, at {BYTES_PER_TOKEN} bytes a token and {TOKENS_PER_TURN} tokens a turn"
    )
    print_line(
        f"{TRAINERS[to].window} is that rounded up, {longest.window:,}: no row is longer by this estimate; digits and "
        "rare scripts may take more"
    )
    for note in done.notes:
        print_line(note)
