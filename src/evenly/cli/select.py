"""`evenly select`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer


def select(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files (.json .jsonl .csv .parquet .arrow, plain or .gz .xz .zst), globs, saved datasets folders, "
            "Hugging Face dataset ids, or - for JSON Lines on standard input. All of them are one pool."
        ),
    ],
    keep: Annotated[str, typer.Option(help="How much to keep: a share (50%, 0.5) or a count (5000).")],
    out: Annotated[
        str,
        typer.Option(
            help="Where kept rows go: a file in the sources' own format, or a folder (kept/) for one file per source."
        ),
    ],
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
    device: Annotated[str | None, typer.Option(help="Device to embed on, as torch names it.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the encoder folder's own Python code run.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Keep the rows that lie as far apart as possible."""
    from evenly.cli.screen import print_json, shown_progress
    from evenly.pipeline.select import SelectRequest, select_sources

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
    )
    with shown_progress(json_output=json_output) as progress:
        outcome = select_sources(request, progress=progress)
    if json_output:
        print_json(outcome.to_dict())
    else:
        print_summary(outcome)


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

    from evenly.cli.screen import printable, quantity

    manifest, measures = outcome.manifest, outcome.measures
    console = Console(highlight=False, markup=False)
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
            quantity(of["mesh_ratio"], 3) if isinstance(of["mesh_ratio"], float) and name == "kept" else "-"
        )
        table.add_row(
            name,
            f"{of['rows']:,}",
            quantity(of["h_min"]) if isinstance(of["h_min"], float) else "-",
            quantity(of["fill"]) if name == "kept" else "-",
            mesh,
            f"{of['copies']:,}",
        )
        if name == "kept" and random:
            h_min, fill = random["h_min"]["median"], random["fill"]["median"]
            ratio = quantity(fill / h_min, 3) if h_min > 0 else "-"
            label = f"random (median of {random['draws']})"
            table.add_row(label, f"{of['rows']:,}", quantity(h_min), quantity(fill), ratio, "-")
    console.print(table)
    unit = "1 - cos" if manifest.metric == "cosine" else "euclidean"
    console.print(
        f"distances are {unit}; h_min: closest pair of the set; fill: farthest any row is from a kept one"
    )
    console.print(f"certificate: {measures['certificate']['text']}")
    for name, (distance, first, second) in outcome.pairs.items():
        console.print(
            f"closest pair of the {'kept rows' if name == 'kept' else 'pool'}, {quantity(distance)} apart:"
        )
        console.print(f"  {printable(first)}\n  {printable(second)}", style="dim")
    seconds = "  ".join(f"{stage} {spent:.1f} s" for stage, spent in manifest.seconds.items())
    console.print(f"took {seconds}")
    for output in manifest.outputs:
        console.print(f"wrote {output.name} ({output.rows:,} rows)")
    console.print(
        f"record and page: {outcome.folder}/report.html; check it with: evenly verify {outcome.folder}"
    )
