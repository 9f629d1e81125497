"""`evenly verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    folder: Annotated[Path, typer.Argument(help="The folder that select wrote, e.g. kept.evenly/")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a source is now, once for each in the manifest's order; default: where it was."
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Embed with this instead of the manifest's encoder.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Embed every row anew.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a selection from its manifest: files, vectors, every pick against the definition, the certificate."""
    from dataclasses import asdict

    from evenly.cli.screen import print_json, shown_progress
    from evenly.jobs.verify import verify_folder

    with shown_progress(json_output=json_output) as progress:
        found = verify_folder(
            folder, sources=source, encoder=encoder, use_cache=not no_cache, progress=progress
        )
    if json_output:
        print_json(
            {
                "passed": found.passed,
                "same_vectors": found.same_vectors,
                "checks": [asdict(c) for c in found.checks],
            }
        )
    else:
        for check in found.checks:
            typer.echo(str(check))
        failed = sum(not check.passed for check in found.checks)
        typer.echo("all checks passed" if found.passed else f"{failed} of {len(found.checks)} checks FAILED")
    if not found.passed:
        raise typer.Exit(1)
