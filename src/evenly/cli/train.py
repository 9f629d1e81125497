"""`evenly train`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from evenly.cli.options import takes
from evenly.cli.training import TRAINING, named
from evenly.request import RowsRequest


@takes(reading=RowsRequest, training=TRAINING)
def train(
    reading: RowsRequest,
    model: Annotated[str, typer.Option(help="Causal language model: a folder or hub id.")],
    out: Annotated[
        str, typer.Option(help="Folder for curve, checkpoints and model; goes on where it was left.")
    ],
    training: Any,
    lr: Annotated[float, typer.Option(help="Learning rate, constant after the warm-up.")] = 2e-5,
    seed: Annotated[int, typer.Option(help="Of shuffles and adapters.")] = 0,
) -> None:
    """Train one model on the rows of some files. Runs under accelerate launch too."""
    from pathlib import Path

    from evenly.cli.screen import shown_progress
    from evenly.rows.sources import read_rows
    from evenly.train.recipes import make_request
    from evenly.train.settings import require_training

    require_training("evenly train")
    from evenly.rows.chat import conversation
    from evenly.train.single import train_rows

    settings = make_request({}, rate=lr, **named(training)).training
    with shown_progress() as progress:
        rows = read_rows(**vars(reading), progress=progress)
        messages = [conversation(rows.whole(row)) for row in range(len(rows))]
        done = train_rows(messages, model, settings, Path(out), seed=seed, progress=progress)
    typer.echo(
        f"trained on {done.rows:,} rows for {done.steps:,} steps; {done.truncated:,} rows were cut at "
        f"{settings.window} tokens, {done.dropped:,} had no response inside and were left out"
    )
    typer.echo(f"loss on all rows {done.loss:.4f}; curve {out}/curve.parquet, model {out}/model")
