"""`evenly plan`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def plan(
    sources: Annotated[list[str], typer.Argument(help="As for select.")],
    keep: Annotated[str, typer.Option(help="How much would be kept: a share (50%, 0.5) or a count (5000).")],
    text: Annotated[str | None, typer.Option(help="As for select.")] = None,
    part: Annotated[
        Literal["all", "prompt", "response"], typer.Option(help="Which part of a row is embedded.")
    ] = "all",
    split: Annotated[str | None, typer.Option(help="Split of a dataset.")] = None,
    metric: Annotated[Literal["cosine", "euclidean"], typer.Option(help="As for select.")] = "cosine",
    encoder: Annotated[
        str, typer.Option(help="minilm, a model folder or hub id, vectors:FILE.npy, or column:NAME.")
    ] = "minilm",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="As for select.")] = False,
    device: Annotated[
        str | None, typer.Option(help="Device to embed and select on, as torch names it.")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Memory that selection may hold (2GB, 512MiB).")] = None,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="As for select.")] = "local",
    ray_address: Annotated[str | None, typer.Option(help="As for select.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Say what select would need, before it is run: memory, disk and time."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.plan import plan_sources
    from evenly.jobs.request import SelectRequest

    request = SelectRequest(
        sources=sources,
        keep=keep,
        out="",
        text=text,
        part=part,
        split=split,
        metric=metric,
        encoder=encoder,
        use_cache=not no_cache,
        device=device,
        memory=memory,
        engine=engine,
        ray_address=ray_address,
    )
    with shown_progress(json_output=json_output) as progress:
        found = plan_sources(request, progress=progress)
    if json_output:
        print_json(found.to_dict())
    else:
        typer.echo("\n".join(found.lines()))
