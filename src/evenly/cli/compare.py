"""`evenly compare`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from evenly.cli.options import as_typed, takes
from evenly.cli.training import COMPARE_OPTIONS, COMPARED_TRAINING, RecipePoolRequest, as_read, named, names


@takes(reading=RecipePoolRequest, comparison=COMPARE_OPTIONS, training=COMPARED_TRAINING)
def compare(
    context: typer.Context,
    reading: RecipePoolRequest,
    comparison: Any,
    training: Any,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="YAML file of options, or a shipped one (small/ce, paper/llama-7b-teamsrl-ce …); options named "
            "beside it win."
        ),
    ] = None,
    saved: Annotated[
        list[str] | None,
        typer.Option(
            help="A further arm, NAME=FOLDER of a selection or NAME=FILE of its kept rows. May be repeated."
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            help="A further arm, NAME=OPTIONS of evenly select, e.g. 'spread=--strategy kmeans'. May be repeated."
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Evaluate every trained model on these, as evaluate does.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that train at once. Default: one per core, or per machine with a GPU."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Begin no further run after so long, and judge what is there; the same command goes on."
        ),
    ] = None,
    out: Annotated[
        str, typer.Option(help="Folder of the comparison; the same command goes on there.")
    ] = "compare",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the predicted time.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on all rows, random ones and even ones, and say whether it paid."""
    from pathlib import Path

    from evenly.cli.screen import print_json, shown_progress
    from evenly.train.recipes import make_request, read_recipe
    from evenly.train.settings import require_training

    require_training("evenly compare")
    if tasks:
        from evenly.train.evaluate import check_tasks, evaluate_runs

        check_tasks(names(tasks) or ())
    request = make_request(
        read_recipe(recipe) if recipe else {},
        **as_read(reading, context),
        saved=tuple(saved) if saved else None,
        select=tuple(select) if select else None,
        save_models=True if tasks else None,
        **named(comparison),
        **named(training),
    )
    with shown_progress(json_output=json_output) as progress:
        if dry_run:
            from evenly.jobs.dry_run import dry_run as plan

            planned = plan(request, workers=worker_count(workers), progress=progress)
        else:
            from evenly.jobs.compare import compare as run

            result = run(
                request,
                Path(out),
                workers=worker_count(workers),
                minutes=float("inf") if minutes is None else minutes,
                progress=progress,
            )
    if dry_run:
        print_json(planned.model_dump(mode="json")) if json_output else print_plan(planned)
        return
    if not is_first_process():
        return
    from evenly.report.comparison import write_comparison_page

    page = write_comparison_page(Path(out))
    scores = evaluate_runs(Path(out), names(tasks) or ()) if tasks else {}
    if json_output:
        evaluated = {name: scored.model_dump(mode="json") for name, scored in scores.items()}
        print_json({**result.model_dump(mode="json"), **({"evaluations": evaluated} if tasks else {})})
        return
    print_result(result)
    for name, scored in scores.items():
        for score in scored.scores:
            typer.echo(f"{name}, model {scored.identity[:12]}: {score.line()}")
    typer.echo(f"record and page: {page}")


def worker_count(asked: int | None) -> int:
    """One process per core, or one where a GPU is shared or a launcher has started this one among others."""
    import os

    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 1
    return asked or (1 if torch.cuda.is_available() else os.cpu_count() or 1)


def is_first_process() -> bool:
    """Whether this process speaks for all that a launcher has started."""
    import os

    return int(os.environ.get("RANK", "0")) == 0


def print_plan(planned: Any) -> None:
    """The plan as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(
        "arm", "seed", "variant", "rows", "rows a step", "steps", "tokens", "tokens measured", box=None
    )
    for run in planned.runs:
        counts = (run.rows, run.batch, run.steps, run.tokens, run.measured_tokens)
        table.add_row(run.arm, str(run.seed), run.variant, *(f"{count:,}" for count in counts))
    console.print(table)
    console.print(
        f"pool {planned.pool_rows:,} rows, arms keep {planned.keep:,}; {planned.truncated:,} rows are longer than the "
        f"window, {planned.dropped:,} have no response inside it"
    )
    console.print(
        f"about {planned.training_seconds / 60:.0f} minutes of training at {planned.tokens_per_second:,.0f} tokens a "
        "second; embedding, warm-up and the search for a rate come on top"
    )
    if planned.smaller:
        console.print(
            "timed with the whole model: trimmed or with its lower blocks run once it will be faster"
        )


def print_result(result: Any) -> None:
    """The verdict and the table it rests on; every question is on the page."""
    from rich.console import Console
    from rich.table import Table

    from evenly.report.comparison_tables import (
        answer_rows,
        arm_rows,
        curve_rows,
        look_rows,
        source_rows,
    )

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # nothing is wrapped or cut in a file
    variants = result.model_dump(mode="json")["variants"]

    def show(rows: list[list[str]]) -> None:
        if rows:
            table = Table(*rows[0], box=None, pad_edge=False)
            for row in rows[1:]:
                table.add_row(*row)
            console.print(table)

    show(curve_rows(variants))
    for variant in variants:
        console.print(variant["variant"], style="bold")
        for rows in (arm_rows, source_rows, look_rows):
            show(rows(variant))
        show(answer_rows(variant, main=True))
    for paragraph in result.verdict:
        console.print(as_typed(paragraph) + "\n")
