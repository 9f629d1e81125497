"""`evenly cache`."""

from __future__ import annotations

from typing import Annotated

import typer


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all vectors and picks that are kept.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say where vectors are kept between runs and how many, or clear them."""
    from evenly.cli.screen import print_json
    from evenly.vectors.cache import Cache

    kept = Cache.open()
    size = kept.clear() if clear else kept.size()
    if json_output:
        print_json({"folder": size.folder, "vectors": size.vectors, "bytes": size.bytes, "cleared": clear})
        return
    done = "cleared" if clear else "holds"
    typer.echo(f"{size.folder} {done} {size.vectors:,} vectors, {size.bytes / 1e6:,.1f} MB")
