"""Record forms: which fields of a record are the prompt and which the response.

A form is recognised by the names of a record's fields: the first form of `FORMS` whose required fields are
all there is taken. Records of a file must all have one form. What is embedded:

* fields: the prompt's fields joined by a line break, those that are blank left out; ``all`` is prompt and
  response, joined likewise. An optional field (``input``) may be missing or null, which reads as blank.
* conversations: the texts of the turns joined by line breaks, without role names. The response is the last
  turn of the assistant, the prompt everything before it. What follows that turn counts towards ``all`` alone.
  A conversation without the assistant is all prompt.
* plain text is all prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

Part = Literal["all", "prompt", "response"]
Record = Mapping[str, Any]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
}
"""ShareGPT's names and the ones chat templates know. Any other role (tool, function …) is kept as it is."""


class RecordError(Exception):
    """What is wrong with a record, in words that go behind "row 3 of train.jsonl"."""


class Texts(NamedTuple):
    """What a record says; ``whole`` is what ``--part all`` embeds."""

    prompt: str
    response: str
    whole: str

    def part(self, part: Part) -> str:
        return self.whole if part == "all" else self.prompt if part == "prompt" else self.response


class Form(Protocol):
    """How the text of a record is found."""

    @property
    def name(self) -> str:
        """One file takes rows of sources whose forms have the same name."""

    @property
    def description(self) -> str:
        """The form in words for the summary and the manifest, e.g. "alpaca (instruction, input, output)"."""

    @property
    def fields(self) -> tuple[str, ...] | None:
        """The fields it reads; None where that cannot be told beforehand."""

    @property
    def has_response(self) -> bool:
        """Whether records of this form can have a response at all."""

    def texts(self, record: Record) -> Texts:
        """Raises RecordError where the record does not have the form."""

    def messages(self, record: Record) -> list[dict[str, str]]:
        """The record as turns with ``role`` and ``content``, as chat templates take them."""


@dataclass(frozen=True)
class FieldForm:
    """Prompt and response are fields of their own.

    Attributes:
        name: of the form.
        prompt: the fields of the prompt.
        response: the field of the response; None for plain text.
        optional: fields that a record may lack.
    """

    name: str
    prompt: tuple[str, ...]
    response: str | None = None
    optional: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        return self.prompt if self.response is None else (*self.prompt, self.response)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every record of the form has."""
        return tuple(field for field in self.fields if field not in self.optional)

    @property
    def description(self) -> str:
        return f"{self.name} ({', '.join(self.fields)})"

    @property
    def has_response(self) -> bool:
        return self.response is not None

    def texts(self, record: Record) -> Texts:
        prompt = _joined([self._text(record, field) for field in self.prompt])
        response = "" if self.response is None else self._text(record, self.response)
        return Texts(prompt, response, _joined((prompt, response)))

    def messages(self, record: Record) -> list[dict[str, str]]:
        prompt, response, _ = self.texts(record)
        turns = [{"role": "user", "content": prompt}]
        return turns if self.response is None else [*turns, {"role": "assistant", "content": response}]

    def _text(self, record: Record, field: str) -> str:
        try:
            return value_text(record[field], field)
        except KeyError:
            if field in self.optional:
                return ""
            found = ", ".join(map(str, record)) or "no field"
            raise RecordError(f"has no field {field}; found: {found}. Name the field as `text`") from None


@dataclass(frozen=True)
class ConversationForm:
    """A list of turns: {role, content} or ShareGPT's {from, value}; content may be a list of typed parts."""

    name: str
    field: str
    keys: str

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def required(self) -> tuple[str, ...]:
        return self.fields

    @property
    def description(self) -> str:
        return f"{self.name} ({self.field}: {self.keys})"

    @property
    def has_response(self) -> bool:
        return True

    def texts(self, record: Record) -> Texts:
        turns = self.messages(record)
        answers = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
        last = answers[-1] if answers else len(turns)
        contents = [turn["content"] for turn in turns]
        return Texts(_joined(contents[:last]), _joined(contents[last : last + 1]), _joined(contents))

    def messages(self, record: Record) -> list[dict[str, str]]:
        return list(_turns(record[self.field], self.field))


_ANSWERS = ("response", "output")
FORMS: tuple[FieldForm | ConversationForm, ...] = (
    ConversationForm("messages", "messages", "role, content"),
    ConversationForm("sharegpt", "conversations", "from, value"),
    *(
        FieldForm("alpaca", ("instruction", "input"), name, ("input",))
        for name in ("output", "response", "completion")
    ),
    *(FieldForm("prompt and completion", ("prompt",), name) for name in ("completion", *_ANSWERS)),
    *(FieldForm("question and answer", ("question",), name) for name in ("answer", *_ANSWERS)),
    *(FieldForm("problem and solution", ("problem",), name) for name in ("solution", *_ANSWERS)),
    FieldForm("plain text", ("text",)),
)


_CONVERSATIONS = tuple(form.field for form in FORMS if isinstance(form, ConversationForm))


def recognise(record: Record) -> Form | None:
    """The form of a record by the names of its fields, None where none fits. A conversation that is null is none."""
    names = tuple(record)
    for name in _CONVERSATIONS:
        if name in record and record[name] is None:
            names = tuple(other for other in names if other != name)
    return _form_of(names)


@lru_cache(maxsize=4096)
def _form_of(names: tuple[str, ...]) -> Form | None:
    there = frozenset(names)
    return next((form for form in FORMS if there.issuperset(form.required)), None)


def value_text(value: Any, field: str) -> str:
    """The text of one field: text as it is, null as blank, numbers as they print, turns one per line."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # libraries write a missing text as NaN
        return ""
    if isinstance(value, list | tuple):
        return _joined(turn["content"] for turn in _turns(value, field))
    if isinstance(value, dict | bytes):
        raise RecordError(
            f"holds {type(value).__name__} in the field {field}, which is no text; name another as `text`"
        )
    return str(value)


def _turns(given: Any, field: str) -> Iterable[dict[str, str]]:
    value = _unpacked(given)
    if not isinstance(value, list | tuple):
        raise RecordError(
            f"holds no list of turns in the field {field}; expected role and content, or from and value"
        )
    for number, turn in enumerate(map(_unpacked, value), start=1):
        keys = ("role", "content") if isinstance(turn, Mapping) and "role" in turn else ("from", "value")
        role = turn.get(keys[0]) if isinstance(turn, Mapping) else None
        if not isinstance(role, str) or keys[1] not in turn:
            raise RecordError(
                f"has no role and content (or from and value) in turn {number} of {field}; mend it"
            )
        content = turn[keys[1]]
        yield {"role": ROLES.get(role.lower(), role), "content": _content_text(content, number, field)}


def _unpacked(value: Any) -> Any:
    """What a string of JSON holds: some libraries save turns, or all of a conversation, as one."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _content_text(content: Any, number: int, field: str) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    # Typed parts: text is taken, images and the like have none.
    if isinstance(content, list | tuple) and all(isinstance(part, Mapping | str) for part in content):
        texts = [part if isinstance(part, str) else part.get("text") for part in content]
        return _joined(text for text in texts if isinstance(text, str))
    raise RecordError(f"has a turn without text in {field}: turn {number} holds {type(content).__name__}")


def _joined(texts: Iterable[str]) -> str:
    return "\n".join([text for text in texts if text and not text.isspace()])
