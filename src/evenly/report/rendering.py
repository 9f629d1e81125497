"""The templates of the pages, filled in: every value is escaped but what is marked as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

WITHOUT_SCRIPTS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The content-security policy of a page that only shows."""


def asset(name: str) -> str:
    """The text of a file that comes with this package."""
    return files("evenly.report").joinpath(name).read_text(encoding="utf-8")


def rendered(template: str, *, policy: str, styles: Sequence[str], **values: Any) -> Iterator[str]:
    """A page as HTML, in pieces.

    Args:
        template: its file in ``web``, which extends base.html.
        policy: the page's content-security policy.
        styles: style sheets in ``web``, in their order.
        values: what the template names.
    """
    environment = Environment(
        loader=FunctionLoader(lambda name: asset(f"web/{name}")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup("\n".join(asset(f"web/{name}") for name in styles))
    return environment.get_template(template).generate(policy=policy, style=style, **values)
