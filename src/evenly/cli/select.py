"""`evenly select`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

KEPT, ASIDE, GROUPS, SCORES, RIVALS = (
    "Rows kept already",
    "Rows set aside",
    "Groups and lengths",
    "Scores and tokens",
    "Other strategies",
)


def select(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files (.json .jsonl .csv .parquet .arrow, plain or .gz .xz .zst), globs, saved datasets folders, "
            "Hugging Face dataset ids, or - for JSON Lines on standard input. All of them are one pool."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            help="Where kept rows go: a file in the sources' own format, or a folder (kept/) for one file per source."
        ),
    ],
    keep: Annotated[
        str | None,
        typer.Option(
            help="How much to keep: a share (50%), a count (5000), tokens:2M, chars:900k, distance:0.35 (as many as "
            "lie so far apart) or knee. May be left out where --dedup, --floor, --guard, --avoid or --quota say it."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Fields that hold the text (FIELD or FIELD,FIELD; the last is the response), or a Jinja template."
        ),
    ] = None,
    part: Annotated[
        Literal["all", "prompt", "response"], typer.Option(help="Which part of a row is embedded.")
    ] = "all",
    split: Annotated[str | None, typer.Option(help="Split of a dataset.")] = None,
    metric: Annotated[
        Literal["cosine", "euclidean"], typer.Option(help="cosine is 1 - cos of the vectors.")
    ] = "cosine",
    start: Annotated[
        str | None,
        typer.Option(help="First pick: a row number from 0, or random. Default: the row nearest the mean."),
    ] = None,
    seed: Annotated[int, typer.Option(help="For --start random and the random sets of the summary.")] = 0,
    encoder: Annotated[
        str, typer.Option(help="minilm, a model folder or hub id, vectors:FILE.npy, or column:NAME.")
    ] = "minilm",
    long: Annotated[
        Literal["cut", "mean"],
        typer.Option(help="Texts beyond the encoder's window: cut them to it, or average all their windows."),
    ] = "cut",
    allow_copies: Annotated[
        bool, typer.Option("--allow-copies", help="Go on with exact copies once distinct rows run out.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor keep vectors and picks.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Device to embed and select on, as torch names it.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory that selection may hold (2GB, 512MiB); what does not fit goes to scratch files."
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Where selection works: this machine, or a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to join (host:port or auto). Default: one on this machine."),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the encoder folder's own Python code run.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    anchors: Annotated[
        str | None,
        typer.Option(
            help="Rows that count as kept already: a file, a selection folder, or vectors.npy.",
            rich_help_panel=KEPT,
        ),
    ] = None,
    must: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=VALUE: rows that are kept first. May be repeated.", rich_help_panel=KEPT),
    ] = None,
    avoid: Annotated[
        str | None,
        typer.Option(
            help="Rows to stay away from, such as a test set, by --distance.", rich_help_panel=ASIDE
        ),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(help="No kept row lies this near to a row of --avoid.", rich_help_panel=ASIDE),
    ] = None,
    dedup: Annotated[
        float | None,
        typer.Option(help="Drop rows nearer than this to a kept row.", rich_help_panel=ASIDE),
    ] = None,
    guard: Annotated[
        str | None,
        typer.Option(
            help="Set the loneliest share of rows (5%) aside, by the distance to their 10th neighbour.",
            rich_help_panel=ASIDE,
        ),
    ] = None,
    density: Annotated[
        float,
        typer.Option(
            help="A dial from 0, as far apart as possible, to 1, as dense as the pool.", rich_help_panel=ASIDE
        ),
    ] = 0.0,
    by: Annotated[
        str | None, typer.Option(help="Field that names each row's group.", rich_help_panel=GROUPS)
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option(
            help="Rows from each group: equal, proportional, a number for each, or a JSON file by group.",
            rich_help_panel=GROUPS,
        ),
    ] = None,
    at_least: Annotated[
        int, typer.Option(help="At least this many rows from each group.", rich_help_panel=GROUPS)
    ] = 0,
    match_length: Annotated[
        bool,
        typer.Option(
            "--match-length",
            help="Keep the pool's histogram of lengths (by deciles).",
            rich_help_panel=GROUPS,
        ),
    ] = False,
    quality: Annotated[
        str | None, typer.Option(help="Field that holds a score for each row.", rich_help_panel=SCORES)
    ] = None,
    floor: Annotated[
        float | None, typer.Option(help="Rows below this score are set aside.", rich_help_panel=SCORES)
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            help="Distances in the same step of this width count as equal, and the better score decides.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            help="Pick by distance times score to this power; scores must be above 0.", rich_help_panel=SCORES
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id that counts the tokens of --keep tokens:…; default: the encoder's.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="maxmin, or a rival to compare with (see evenly strategies); all makes every one of them.",
            rich_help_panel=RIVALS,
        ),
    ] = "maxmin",
    refine: Annotated[
        bool,
        typer.Option(
            "--refine", help="Spend more time for a larger h_min than greedy reaches.", rich_help_panel=RIVALS
        ),
    ] = False,
) -> None:
    """Keep the rows that lie as far apart as possible."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.controls.request import ControlRequest
    from evenly.jobs.request import SelectRequest
    from evenly.jobs.select import select_sources

    controls = ControlRequest(
        anchors=anchors,
        avoid=avoid,
        distance=distance,
        must=tuple(must or ()),
        by=by,
        quota=quota,
        at_least=at_least,
        guard=guard,
        density=density,
        quality=quality,
        floor=floor,
        within=within,
        weight=weight,
        dedup=dedup,
        match_length=match_length,
        tokenizer=tokenizer,
    )

    request = SelectRequest(
        sources=sources,
        keep=keep,
        out=out,
        text=text,
        part=part,
        split=split,
        metric=metric,
        start=parse_start(start),
        seed=seed,
        encoder=encoder,
        long=long,
        allow_copies=allow_copies,
        use_cache=not no_cache,
        device=device,
        trust_remote_code=trust_remote_code,
        controls=controls,
        strategy=strategy,
        refine=refine,
        memory=memory,
        engine=engine,
        ray_address=ray_address,
    )
    if strategy == "all":
        _select_all(request, json_output)
        return
    with shown_progress(json_output=json_output) as progress:
        outcome = select_sources(
            request,
            announce=None if json_output else lambda line: typer.echo(line, err=True),
            progress=progress,
        )
    if json_output:
        print_json(outcome.to_dict())
    else:
        print_summary(outcome)


def _select_all(request: Any, json_output: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.strategies import arm_rows, select_all

    with shown_progress(json_output=json_output) as progress:
        found = select_all(request, progress)
    if json_output:
        print_json(found.to_dict())
        return
    headings, *lines = arm_rows(found)
    table = Table(*headings, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header == "strategy" else "right"
    for line in lines:
        table.add_row(*line)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:  # a file has no width, and must not be given the 80 columns that are assumed
        unbound = console.options.update(max_width=2**16)
        console.width = console.measure(table, options=unbound).maximum
    console.print(table)
    for message in found.missing.values():
        console.print(message)
    console.print(f"one file per arm, and all overlaps in strategies.json, in {request.out}")


def parse_start(start: str | None) -> Any:
    """A row number, "random" or None from the command line."""
    from evenly.errors import InputError

    if start is None or start == "random":
        return start
    try:
        return int(start)
    except ValueError:
        raise InputError(f"--start must be a row number or random; got {start!r}") from None


def print_summary(outcome: Any) -> None:
    """What was kept, how even it is, beside the pool and random sets, and what it cost."""
    from rich.console import Console
    from rich.table import Table

    from evenly.cli.screen import printable
    from evenly.words import decimals

    manifest, measures = outcome.manifest, outcome.measures
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for note in outcome.notes:
        console.print(printable(note, 400))
    share = 100.0 * manifest.kept / manifest.pool_rows
    console.print(f"kept {manifest.kept:,} of {manifest.pool_rows:,} rows ({share:.1f} %)", style="bold")
    table = Table("", "rows", "h_min", "fill", "mesh ratio", "exact copies", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    kept, pool, random = measures["kept"], measures["pool"], measures.get("random")
    for name, of in (("kept", kept), ("pool", pool)):
        mesh = (
            decimals(of["mesh_ratio"], 3) if isinstance(of["mesh_ratio"], float) and name == "kept" else "-"
        )
        table.add_row(
            name,
            f"{of['rows']:,}",
            decimals(of["h_min"]) if isinstance(of["h_min"], float) else "-",
            decimals(of["fill"]) if name == "kept" else "-",
            mesh,
            f"{of['copies']:,}",
        )
        if name == "kept" and random:
            h_min, fill = random["h_min"]["median"], random["fill"]["median"]
            ratio = decimals(fill / h_min, 3) if h_min > 0 else "-"
            label = f"random (median of {random['draws']})"
            table.add_row(label, f"{of['rows']:,}", decimals(h_min), decimals(fill), ratio, "-")
    console.print(table)
    unit = "1 - cos" if manifest.metric == "cosine" else "euclidean"
    console.print(
        f"distances are {unit}; h_min: closest pair of the set; fill: farthest any row is from a kept one"
    )
    if sampled := measures.get("sampled_rows"):
        console.print(
            f"pool and random sets: from a sample of {sampled:,} rows each, so their h_min may be smaller and "
            "their fill larger"
        )
    console.print(f"certificate: {measures['certificate']['text']}")
    for name, (distance, first, second) in outcome.pairs.items():
        of = "kept rows" if name == "kept" else "sampled rows of the pool" if sampled else "pool"
        console.print(f"closest pair of the {of}, {decimals(distance)} apart:")
        console.print(f"  {printable(first)}\n  {printable(second)}", style="dim")
    seconds = "  ".join(f"{stage} {spent:.1f} s" for stage, spent in manifest.seconds.items())
    console.print(f"took {seconds}")
    for output in manifest.outputs:
        console.print(f"wrote {output.name} ({output.rows:,} rows)")
    console.print(
        f"record and page: {outcome.folder}/report.html; check it with: evenly verify {outcome.folder}"
    )
