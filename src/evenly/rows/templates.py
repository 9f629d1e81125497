"""``--text``: fields or a template that say what the text of a record is, where its form does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenly.errors import InputError
from evenly.rows.forms import FieldForm, Form, Record, other_fields
from evenly.rows.turns import RecordError, names_of
from evenly.rows.whole import Texts, WholeRow

if TYPE_CHECKING:
    from jinja2 import Template


def form_of_text(text: str) -> Form:
    """Reads ``--text``.

    Args:
        text: field names with commas between them (of two or more the last is the response, the others the
            prompt), or a Jinja template over the fields (anything with ``{{`` or ``{%``), all of it prompt.

    Raises:
        InputError: a blank or repeated name, or a template that does not parse.
    """
    if "{{" in text or "{%" in text:
        return TemplateForm(text)
    fields = tuple(name.strip() for name in text.split(","))
    if not all(fields) or len(set(fields)) < len(fields):
        raise InputError(
            f"`text` must be field names, each once, with commas between them, or a template; got {text!r}"
        )
    if len(fields) == 1:
        return FieldForm("fields", fields, alone=True)
    return FieldForm("fields", fields[:-1], fields[-1], alone=True)


class TemplateForm:
    """A Jinja template, rendered in a sandbox over the fields of the record; a name not there is an error.

    ``row`` is the record itself, for fields that no template can name: ``{{ row["a, b"] }}``.
    """

    name = "template"
    description = "template"
    fields = None
    has_response = False

    def __init__(self, source: str) -> None:
        self._template = _compiled(source)

    def texts(self, record: Record) -> Texts:
        from jinja2 import TemplateError

        try:
            prompt = self._template.render({"row": record, **record})
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            found = names_of(record)
            raise RecordError(f"does not fit the template of `text`: {error}; found: {found}") from None
        return Texts(prompt, "", prompt)

    def whole(self, record: Record) -> WholeRow:
        return WholeRow(
            "prompts", [{"role": "user", "content": self.texts(record).prompt}], more=other_fields(record)
        )


def _compiled(source: str) -> Template:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise InputError(
            f"line {error.lineno} of the template of `text` does not parse: {error.message}"
        ) from None
