"""docs/formats.md says what is embedded of every form; it is held to it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from evenly.rows.forms import FORMS
from evenly.rows.sources import read_rows

DOCUMENT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
EXAMPLES = re.findall(
    r"^## (.*?)\n.*?```jsonl\n(.*?)\n```\n\n```text\n(.*?)\n```", DOCUMENT, re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize(("title", "rows", "embedded"), EXAMPLES, ids=[title for title, *_ in EXAMPLES])
def test_what_is_embedded_is_what_the_document_says(title: str, rows: str, embedded: str) -> None:
    assert len(rows.splitlines()) == 2
    assert list(read_rows(["-"], stdin=io.BytesIO(rows.encode())).texts()) == embedded.split("\n---\n")


def test_every_field_of_a_form_is_in_the_document() -> None:
    assert len(EXAMPLES) == DOCUMENT.count("\n## ")
    for form in FORMS:
        missing = [name for name in form.fields or () if name not in DOCUMENT]
        assert missing == []
