"""`evenly train`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.compare import training_options


def train(
    sources: Annotated[
        list[str], typer.Argument(help="Training files, as for select; all their rows are trained on.")
    ],
    model: Annotated[str, typer.Option(help="Causal language model: a folder or hub id.")],
    out: Annotated[
        str, typer.Option(help="Folder for curve, checkpoints and model; goes on where it was left.")
    ],
    lr: Annotated[float, typer.Option(help="Learning rate, constant after the warm-up.")] = 2e-5,
    seed: Annotated[int, typer.Option(help="Of shuffles and adapters.")] = 0,
    loss: Annotated[str | None, typer.Option(help="cross-entropy, l2, l2-probabilities.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd. [adamw]")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd. [0]")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="[0]")] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="[2]")] = None,
    epochs: Annotated[float | None, typer.Option(help="[1]")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows per step over all devices. [32]")] = None,
    micro_batch: Annotated[int | None, typer.Option(help="Rows per pass and device. [8]")] = None,
    window: Annotated[int | None, typer.Option(help="Most tokens of a row. [512]")] = None,
    schedule: Annotated[str | None, typer.Option(help="shuffled, order, growing. [shuffled]")] = None,
    lora: Annotated[int | None, typer.Option(help="Train adapters of this rank.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bf16, fp16, fp32. [auto]")] = None,
    gradient_checkpointing: Annotated[bool | None, typer.Option("--gradient-checkpointing")] = None,
    plain_template: Annotated[bool | None, typer.Option("--plain-template")] = None,
    report_to: Annotated[str | None, typer.Option(help="wandb, tensorboard …")] = None,
) -> None:
    """Train one model on the rows of some files. Runs under accelerate launch too."""
    from pathlib import Path

    from evenly.cli.screen import shown_progress
    from evenly.rows.sources import read_rows
    from evenly.train.extras import require_training
    from evenly.train.recipes import make_request

    require_training("evenly train")
    from evenly.train.single import train_rows

    options = training_options(
        lr=str(lr),
        loss=loss,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        warmup_steps=warmup_steps,
        epochs=epochs,
        batch=batch,
        micro_batch=micro_batch,
        window=window,
        schedule=schedule,
        lora=lora,
        precision=precision,
        gradient_checkpointing=gradient_checkpointing,
        plain_template=plain_template,
        report_to=report_to,
    )
    training = make_request({}, **options).training
    with shown_progress() as progress:
        rows = read_rows(sources, progress=progress)
        messages = [rows.messages(row) for row in range(len(rows))]
        done = train_rows(messages, model, training, Path(out), seed=seed, progress=progress)
    typer.echo(
        f"trained on {done.rows:,} rows for {done.steps:,} steps; {done.truncated:,} rows were cut at "
        f"{training.window} tokens, {done.dropped:,} had no response inside and were left out"
    )
    typer.echo(f"loss on all rows {done.loss:.4f}; curve {out}/curve.parquet, model {out}/model")
