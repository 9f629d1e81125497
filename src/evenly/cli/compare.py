"""`evenly compare`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer


def compare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Training files, folders or dataset ids, as for select; may come from the recipe."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="YAML file of options, or a shipped one (small/ce, paper/llama-7b-teamsrl-ce …); options named "
            "beside it win."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Causal language model, a folder or hub id. Default: a small one made from the pool."
        ),
    ] = None,
    keep: Annotated[str | None, typer.Option(help="Size of the arms: a share or a count. [50%]")] = None,
    arms: Annotated[
        str | None, typer.Option(help="Of full, random, uniform, clumped, matched. [full,random,uniform]")
    ] = None,
    saved: Annotated[
        list[str] | None, typer.Option(help="A further arm, NAME=FOLDER of a selection. May be repeated.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds per arm, paired between arms. [3]")] = None,
    pool: Annotated[int | None, typer.Option(help="Draw this many rows first. Default: all.")] = None,
    test: Annotated[int | None, typer.Option(help="Rows of the random and of the even test. [200]")] = None,
    near_copy: Annotated[
        float | None, typer.Option(help="Leave out rows this near (1 - cos) to a test row. [0.05]")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="As for select. [minilm]")] = None,
    part: Annotated[
        Literal["all", "prompt", "response"] | None,
        typer.Option(help="Part of a row that is embedded. [all]"),
    ] = None,
    match_length: Annotated[
        bool | None, typer.Option("--match-length", help="Give every arm the response lengths of the pool.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="cross-entropy, l2, l2-probabilities.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd. [adamw]")] = None,
    lr: Annotated[
        str | None, typer.Option(help="Learning rate of all arms, or auto for a sweep. [auto]")
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd. [0]")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="[0]")] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Then the rate is constant. [2]")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Of the largest arm; all run as many steps. [1]")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Rows per step; several (8,32) are an axis. [32]")] = None,
    batch_by: Annotated[
        str | None, typer.Option(help="tokens: the same tokens a step for all arms; or rows. [tokens]")
    ] = None,
    micro_batch: Annotated[int | None, typer.Option(help="Rows per pass and device. [8]")] = None,
    window: Annotated[int | None, typer.Option(help="Most tokens of a row. [512]")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="shuffled, order, growing; several are an axis. [shuffled]")
    ] = None,
    lora: Annotated[int | None, typer.Option(help="Train adapters of this rank.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bf16, fp16, fp32. [auto]")] = None,
    gradient_checkpointing: Annotated[bool | None, typer.Option("--gradient-checkpointing")] = None,
    plain_template: Annotated[
        bool | None, typer.Option("--plain-template", help="Ignore the model's chat template.")
    ] = None,
    report_to: Annotated[
        str | None, typer.Option(help="wandb, tensorboard … as the trainer knows them.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Evaluate every trained model on these, as evaluate does.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that train at once. Default: one per core, or per machine with a GPU."),
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
    from evenly.train.extras import require_training
    from evenly.train.recipes import make_request, read_recipe

    require_training("evenly compare")
    if tasks:
        from evenly.train.evaluate import check_tasks, evaluate_runs

        check_tasks(names(tasks) or ())
    request = make_request(
        read_recipe(recipe) if recipe else {},
        sources=tuple(sources) if sources else None,
        model=model,
        keep=keep,
        arms=names(arms),
        saved=tuple(saved) if saved else None,
        seeds=seeds,
        pool=pool,
        test=test,
        near_copy=near_copy,
        encoder=encoder,
        part=part,
        match_length=match_length,
        save_models=True if tasks else None,
        **axis("batch", "batches", names(batch)),
        **axis("schedule", "schedules", names(schedule)),
        **training_options(
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            lora=lora,
            report_to=report_to,
            momentum=momentum,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            epochs=epochs,
            batch_by=batch_by,
            micro_batch=micro_batch,
            window=window,
            precision=precision,
            gradient_checkpointing=gradient_checkpointing,
            plain_template=plain_template,
        ),
    )
    with shown_progress(json_output=json_output) as progress:
        if dry_run:
            from evenly.jobs.dry_run import dry_run as plan

            planned = plan(request, workers=worker_count(workers), progress=progress)
        else:
            from evenly.jobs.compare import compare as run

            result = run(request, Path(out), workers=worker_count(workers), progress=progress)
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


def names(text: str | None) -> tuple[str, ...] | None:
    """Splits a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def axis(single: str, several: str, values: tuple[str, ...] | None) -> dict[str, Any]:
    """One value is a setting, several are an axis of the comparison."""
    if not values:
        return {}
    return {single: values[0]} if len(values) == 1 else {several: values}


def training_options(
    *, lr: str | None, lora: int | None, report_to: str | None, **plain: Any
) -> dict[str, Any]:
    """Options of a training as the fields of its record."""
    return {
        **plain,
        "rate": lr,
        "lora": {"rank": lora} if lora else None,
        "report_to": names(report_to),
    }


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


def print_result(result: Any) -> None:
    """The verdict and the table it rests on; every question is on the page."""
    from rich.console import Console
    from rich.table import Table

    from evenly.report.comparison_tables import answer_rows, arm_rows

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # nothing is wrapped or cut in a file
    for variant in result.model_dump(mode="json")["variants"]:
        console.print(variant["variant"], style="bold")
        for rows in (arm_rows(variant), answer_rows(variant, main=True)):
            table = Table(*rows[0], box=None, pad_edge=False)
            for row in rows[1:]:
                table.add_row(*row)
            console.print(table)
    for paragraph in result.verdict:
        console.print(paragraph + "\n")
