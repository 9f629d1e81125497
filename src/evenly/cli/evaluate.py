"""`evenly evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer


def evaluate(
    model: Annotated[str, typer.Argument(help="Causal language model: a folder or hub id.")],
    tasks: Annotated[
        str,
        typer.Option(
            help="Tasks of lm-evaluation-harness (arc_challenge, truthfulqa_mc1, mmlu, gsm8k) or files of questions "
            "(JSON, JSON Lines, CSV), with commas between them."
        ),
    ],
    batch_size: Annotated[int, typer.Option(help="Questions per pass; pinned, so that scores repeat.")] = 8,
    limit: Annotated[int | None, typer.Option(help="Only the first questions of each task.")] = None,
    out: Annotated[str | None, typer.Option(help="Write the result to this JSON file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score a model on public tests, with standard errors."""
    from pathlib import Path

    from evenly.cli.screen import print_json
    from evenly.cli.training import names
    from evenly.train.evaluate import evaluate_model

    result = evaluate_model(
        model, names(tasks) or (), batch_size=batch_size, limit=limit, out=Path(out) if out else None
    )
    if json_output:
        print_json(result.model_dump(mode="json"))
        return
    for score in result.scores:
        typer.echo(score.line())
    if result.answer_tokens is not None:
        typer.echo(f"generated answers end after {result.answer_tokens} tokens, half of the model's window")
    typer.echo(f"model {result.identity[:16]}, batches of {result.batch_size}")
