"""`evenly score`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from evenly.cli.options import as_typed, takes
from evenly.request import RowsRequest, WriteRequest


@takes(reading=RowsRequest, writing=WriteRequest)
def score(
    reading: RowsRequest,
    model: Annotated[str, typer.Option(help="Causal language model: a folder or hub id.")],
    out: Annotated[
        str,
        typer.Option(help="Where scores go: a .parquet file. A run that was stopped goes on from OUT.part."),
    ],
    writing: WriteRequest,
    scores: Annotated[
        str,
        typer.Option(
            "--with",
            help="Scores, with commas between them: loss and ppl of the answer, ifd (loss with the prompt over loss "
            "without it), margin of pairs, length in tokens.",
        ),
    ] = "loss,ifd,length",
    window: Annotated[
        int, typer.Option(help="Most tokens of a row; longer ones are cut, and counted.")
    ] = 1024,
    precision: Annotated[
        Literal["auto", "bf16", "fp32"], typer.Option(help="Precision of the model; auto takes what is fast.")
    ] = "auto",
    device: Annotated[str | None, typer.Option(help="Device to score on, as torch names it.")] = None,
    plain_template: Annotated[
        bool, typer.Option("--plain-template", help="Leave the model's chat template aside.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score rows by a language model, for --quality and --band of select."""
    from dataclasses import asdict

    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.score import ScoreRequest, score_sources

    named = tuple(one.strip() for one in scores.split(",") if one.strip())
    request = ScoreRequest(
        reading,
        model,
        out,
        named,
        window,
        precision,
        device,
        plain_template,
        writing.overwrite,
    )
    with shown_progress(json_output=json_output) as progress:
        found = score_sources(request, progress)
    if json_output:
        print_json(asdict(found))
        return
    for line in found.lines():
        typer.echo(as_typed(line))
    typer.echo(f"use it:  evenly select … --quality {found.example} --within 0.05")
