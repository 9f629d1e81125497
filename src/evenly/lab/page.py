"""One self-contained page of results: figures, tables, verdicts, and the command that repeats each."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from evenly.files import write_atomically
from evenly.lab.result import Result
from evenly.words import show

PAGE_FILE = "index.html"


def write_page(results: Sequence[Result], folder: Path) -> Path:
    """Writes ``folder/index.html`` from the results and their figures NAME.svg in the same folder."""
    path = folder / PAGE_FILE
    write_atomically(path, page(results, folder))
    return path


def page(results: Sequence[Result], folder: Path) -> str:
    """The page as HTML. Every text is escaped; figures are embedded, nothing is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evenly.lab", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["show"] = show
    figures = {result.name: _data_address(folder / f"{result.name}.svg") for result in results}
    return environment.get_template("page.html").render(results=results, figures=figures)


def _data_address(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
