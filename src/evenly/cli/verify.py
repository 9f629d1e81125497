"""`evenly verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from evenly.cli.options import as_typed, takes
from evenly.request import SavedPoolRequest


@takes(saved=SavedPoolRequest)
def verify(
    saved: SavedPoolRequest,
    encoder: Annotated[
        str | None, typer.Option(help="Embed with this instead of the manifest's encoder.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a selection from its manifest: files, vectors, every pick against the definition, the certificate.

    Exit status 1: a check failed. 2: none failed, but not all could be made.
    """
    from evenly.cli.screen import print_json, print_line, shown_progress
    from evenly.jobs.verify import verify_folder

    with shown_progress(json_output=json_output) as progress:
        found = verify_folder(saved, encoder=encoder, progress=progress)
    if json_output:
        print_json(found.to_dict())
    else:
        for check in found.checks:
            print_line(str(check))
        for name, reason in found.unchecked.items():
            print_line(f"not checked  {name}: {as_typed(reason)}")
        failed = sum(not check.passed for check in found.checks)
        if failed:
            print_line(f"{failed} of {len(found.checks)} checks FAILED")
        else:
            print_line("all checks passed" if not found.unchecked else "all that could be checked passed")
    if not found.passed or found.unchecked:
        raise typer.Exit(1 if not found.passed else 2)
