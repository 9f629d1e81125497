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
    model: Annotated[
        str | None,
        typer.Option(
            help="The model to train, a folder or hub name: named in the configuration, rows measured by it."
        ),
    ] = None,
) -> None:
    """Write the kept rows and a configuration for a training tool."""
    from evenly.cli.screen import print_line
    from evenly.train.export import export as write
    from evenly.train.export_lengths import BYTES_PER_TOKEN, TOKENS_PER_TURN
    from evenly.train.handed import TRAINERS

    done = write(saved.folder, to, out, sources=saved.source, model=model, overwrite=writing.overwrite)
    for path in done.files:
        print_line(f"wrote {path}")
    for path in done.removed:
        print_line(f"removed {path}, of an older export")
    rows, lengths = "1 row" if done.rows == 1 else f"{done.rows:,} rows", done.lengths
    turns = "1 turn" if lengths.turns == 1 else f"{lengths.turns:,} turns"
    how = (
        f"{lengths.tokens:,} tokens by the tokenizer of {model}"
        if model
        else f"about {lengths.tokens:,} tokens, at {BYTES_PER_TOKEN} bytes a token and {TOKENS_PER_TURN} tokens a turn"
    )
    print_line(f"{rows}, the longest of {lengths.size:,} bytes in {turns} (row {lengths.longest:,}): {how}")
    window = f"{TRAINERS[to].window} is {lengths.window:,}"
    if lengths.over:
        print_line(f"{window}, the most that {model} takes")
    elif model:
        print_line(f"{window}: no row is longer")
    else:
        print_line(f"{window}, that rounded up; digits and rare scripts may take more: `--model` measures")
    for note in done.notes:
        print_line(note)
