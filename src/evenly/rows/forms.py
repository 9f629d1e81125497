"""Record forms: which fields of a record are the prompt and which the answer.

Every row is recognised by itself, by the names of its fields: the first form of `FORMS` whose fields are all there
and whose question is not null. docs/formats.md shows each form, and what of it is embedded:

* fields: the prompt's fields joined by a line break, those that are blank left out; ``all`` is prompt and
  response, joined likewise. An optional field (``input``) may be missing or null, which reads as blank.
* conversations: all that the turns say, joined by line breaks, without role names.
* a system text and a history in columns of their own come first, a tool list last.
* pairs: prompt, chosen and rejected answer: a pair teaches what sets its answers apart, so both are read.
* plain text is all prompt.

The file is long because the list of forms is: each is a few lines, and which comes first matters, so they stand
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from evenly.rows.turns import (
    RecordError,
    Turn,
    is_turns,
    joined,
    missing,
    names_of,
    read_turns,
    turn_text,
    unpacked,
)
from evenly.rows.whole import Kind, Texts, WholeRow, side_without, texts_of

Record = Mapping[str, Any]

TURNS = ("messages", "conversations", "conversation", "contents")
_SYSTEM = ("system", "system_prompt", "systemInstruction", "system_instruction")
_LABELS = ("label", "kto_tag")
BESIDE = (*_SYSTEM, "history", "tools", *_LABELS)
"""Fields that belong to what a row says in any form."""


class Form(Protocol):
    """How the text of a record is found."""

    @property
    def name(self) -> str:
        """What the form is called."""

    @property
    def description(self) -> str:
        """The form in words for the summary and the manifest, e.g. "alpaca (instruction, input, output)"."""

    @property
    def fields(self) -> tuple[str, ...] | None:
        """The fields it reads beside those of `BESIDE`; None where that cannot be told beforehand."""

    @property
    def has_response(self) -> bool:
        """Whether records of this form can have a response at all."""

    def texts(self, record: Record) -> Texts:
        """Raises RecordError where the record does not have the form."""

    def whole(self, record: Record) -> WholeRow:
        """The record with nothing left out; raises RecordError where it does not have the form."""


@dataclass(frozen=True)
class FieldForm:
    """Prompt and response are fields of their own.

    Attributes:
        name: of the form.
        prompt: the fields of the prompt.
        response: the field of the response; None for plain text and prompts alone.
        optional: fields that a record may lack.
        plain: whether it is text to train on, without a prompt or an answer.
        alone: whether only these fields are read: those that the user named.
    """

    name: str
    prompt: tuple[str, ...]
    response: str | None = None
    optional: tuple[str, ...] = ()
    plain: bool = False
    alone: bool = False

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
        if not self.alone and any(not missing(record.get(name)) for name in BESIDE):
            return texts_of(self.whole(record))
        prompt = joined([self._text(record, field) for field in self.prompt])
        response = "" if self.response is None else self._text(record, self.response)
        return Texts(prompt, response, joined((prompt, response)))

    def whole(self, record: Record) -> WholeRow:
        turns = self._prompt(record)
        if self.response is not None:
            turns = [*turns, *self._side(record, self.response, "assistant")]
        kind: Kind = "texts" if self.plain else "prompts"
        return _assembled(record, self.fields, turns, kind, alone=self.alone)

    def _prompt(self, record: Record) -> list[Turn]:
        if len(self.prompt) == 1:
            return self._side(record, self.prompt[0], "user")
        return [{"role": "user", "content": joined([self._text(record, field) for field in self.prompt])}]

    def _side(self, record: Record, field: str, role: str) -> list[Turn]:
        value = record.get(field)
        if isinstance(value, list | tuple | Mapping) and is_turns(value):
            return read_turns(value, field)
        return [{"role": role, "content": self._text(record, field)}]

    def _text(self, record: Record, field: str) -> str:
        try:
            return value_text(record[field], field)
        except KeyError:
            if field in self.optional:
                return ""
            found = names_of(record)
            raise RecordError(f"has no field {field}; found: {found}. Name the field as `text`") from None


@dataclass(frozen=True)
class ConversationForm:
    """A list of turns: {role, content} or ShareGPT's {from, value}; content may be a list of typed parts."""

    name: str
    field: str
    keys: str
    has_response = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def required(self) -> tuple[str, ...]:
        return self.fields

    @property
    def description(self) -> str:
        return f"{self.name} ({self.field}: {self.keys})"

    def texts(self, record: Record) -> Texts:
        return texts_of(self.whole(record))

    def whole(self, record: Record) -> WholeRow:
        return _assembled(record, self.fields, read_turns(record[self.field], self.field), "prompts")


@dataclass(frozen=True)
class PairForm:
    """A chosen and a rejected answer; the prompt in a field of its own, or at the head of both answers.

    Attributes:
        asked: the fields that may hold the prompt, the first that is there is taken.
        nested: whether the prompt is an object with messages and tools in it, as OpenAI writes it.
    """

    name: str
    chosen: str
    rejected: str
    asked: tuple[str, ...]
    nested: bool = False
    has_response = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.asked, self.chosen, self.rejected)

    @property
    def required(self) -> tuple[str, ...]:
        return (*(self.asked if self.nested else ()), self.chosen, self.rejected)

    @property
    def description(self) -> str:
        return f"{self.name} ({self.chosen}, {self.rejected})"

    def texts(self, record: Record) -> Texts:
        return texts_of(self.whole(record))

    def whole(self, record: Record) -> WholeRow:
        chosen, rejected = (_side(record[name], name, "assistant") for name in (self.chosen, self.rejected))
        name = next((name for name in self.asked if not missing(record.get(name))), None)
        taken = [*self.required, name or "", *(["input"] if name == "instruction" else [])]
        beside: Record = record
        if name is None:
            shared = 0
            while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
                shared += 1
            asked, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        else:
            given = record[name]
            if self.nested and isinstance(found := unpacked(given), Mapping) and "messages" in found:
                given, beside = found["messages"], {"tools": found.get("tools"), **record}
            asked = _side(given, name, "user")
            if name == "instruction" and not missing(record.get("input")):
                more = value_text(record["input"], "input")
                asked[-1] = {**asked[-1], "content": joined((turn_text(asked[-1]), more))}
        asked = [*_system(beside, asked), *_history(beside.get("history")), *asked]
        chosen, rejected = side_without(chosen, asked), side_without(rejected, asked)
        return WholeRow(
            "pairs",
            asked,
            chosen,
            rejected,
            _tools(beside),
            other_fields(record, taken, asked),
        )


@dataclass(frozen=True)
class StepForm:
    """A prompt, steps towards an answer, and of each whether it is right."""

    name = "stepwise supervision"
    fields = required = ("prompt", "completions", "labels")
    description = "stepwise supervision (prompt, completions, labels)"
    has_response = True

    def texts(self, record: Record) -> Texts:
        return texts_of(self.whole(record))

    def whole(self, record: Record) -> WholeRow:
        prompt = [] if missing(record["prompt"]) else _side(record["prompt"], "prompt", "user")
        steps = {name: list(record[name]) for name in ("completions", "labels")}
        more = {**other_fields(record, self.fields), **steps}
        return WholeRow("steps", [*_system(record, prompt), *prompt], tools=_tools(record), more=more)


_ANSWERS = ("response", "output")
_QUESTIONS = ("prompt", "question", "problem", "query", "instruction")
FORMS: tuple[FieldForm | ConversationForm | PairForm | StepForm, ...] = (
    PairForm("OpenAI preference", "preferred_output", "non_preferred_output", ("input",), nested=True),
    PairForm("preference", "chosen", "rejected", ("prompt", *TURNS, *_QUESTIONS[1:])),
    StepForm(),
    ConversationForm("messages", "messages", "role, content"),
    ConversationForm("sharegpt", "conversations", "from, value"),
    *(
        FieldForm("alpaca", ("instruction", "input"), name, ("input",))
        for name in ("output", "response", "completion")
    ),
    *(FieldForm("prompt and completion", ("prompt",), name) for name in ("completion", *_ANSWERS)),
    *(FieldForm("question and answer", ("question",), name) for name in ("answer", *_ANSWERS)),
    *(FieldForm("problem and solution", ("problem",), name) for name in ("solution", *_ANSWERS)),
    FieldForm("plain text", ("text",), plain=True),
    # Version 0.1.0 knew those above alone: a row of one of them that has fields of another, too, stays what it was.
    ConversationForm("conversation", "conversation", "role, content"),
    ConversationForm("contents", "contents", "role, parts"),
    FieldForm("alpaca", ("instruction", "input"), "answer", ("input",)),
    FieldForm("prompt and completion", ("prompt",), "answer"),
    FieldForm("question and answer", ("question",), "solution"),
    FieldForm("problem and solution", ("problem",), "answer"),
    *(FieldForm("query and response", ("query",), name) for name in (*_ANSWERS, "answer")),
    FieldForm("input and output", ("input",), "output"),
    FieldForm("inputs and targets", ("inputs",), "targets"),
    FieldForm("input and output", ("text_input",), "output"),
    *(FieldForm("prompts", (name,)) for name in _QUESTIONS),
    *(ConversationForm("session of an agent", name, "events") for name in ("trace", "events")),
)

_ASKS = {
    *(name for form in FORMS if isinstance(form, FieldForm) for name in form.prompt if name != "input"),
    *TURNS,
}
_SIDES = ("chosen", "rejected", "preferred_output", "non_preferred_output")
_LISTS = ("completions", "labels")
READ_FIELDS = tuple(dict.fromkeys([*(name for form in FORMS for name in form.fields), *BESIDE]))
"""Every field that some form reads."""


def recognise(record: Record) -> Form | None:
    """The form of a record, None where none fits.

    A question or conversation that is null counts as missing while another form fits, as do answers of a pair that
    are neither texts nor turns (scores, say).
    """
    names = tuple(record)
    there = tuple(
        name
        for name in names
        if not (
            (name in _ASKS and missing(record[name]))
            or (name in _SIDES and not isinstance(record[name], str | list | tuple | Mapping))
            or (name in _LISTS and not isinstance(record[name], list | tuple))
        )
    )
    found = _form_of(there)
    if found is None and len(there) < len(names):
        found = _form_of(
            tuple(name for name in names if name in there or (name in _ASKS and name not in TURNS))
        )
    return found


@lru_cache(maxsize=4096)
def _form_of(names: tuple[str, ...]) -> Form | None:
    there = frozenset(names)
    return next((form for form in FORMS if there.issuperset(form.required)), None)


def value_text(value: Any, field: str) -> str:
    """The text of one field: text as it is, null as blank, numbers as they print, turns one per line."""
    if isinstance(value, str):
        return value
    if missing(value):
        return ""
    if isinstance(value, list | tuple) or (isinstance(value, Mapping) and is_turns(value)):
        return joined(map(turn_text, read_turns(value, field)))
    if isinstance(value, dict | bytes):
        raise RecordError(
            f"holds {type(value).__name__} in the field {field}, which is no text; name another as `text`"
        )
    try:
        return str(value)
    except ValueError as error:  # a whole number of more than 4300 digits
        raise RecordError(f"holds a number in the field {field} that cannot be read: {error}") from None


def _side(value: Any, field: str, role: str) -> list[Turn]:
    """One side of a pair as turns: a text is one turn of the role."""
    if is_turns(value):
        return read_turns(value, field)
    if isinstance(value, list | tuple) and not value:
        return []
    return [{"role": role, "content": value_text(value, field)}]


def _assembled(
    record: Record, taken: Sequence[str], turns: list[Turn], kind: Kind, *, alone: bool = False
) -> WholeRow:
    """A row of turns, with what stands beside them in columns of its own."""
    more = other_fields(record, taken, turns)
    if alone:
        return _of_kind(kind, turns, None, more)
    turns = [*_system(record, turns), *_history(record.get("history")), *turns]
    label = next((record[name] for name in _LABELS if not missing(record.get(name))), None)
    if isinstance(label, str) and label.strip().lower() in ("true", "false"):  # as tables of texts have it
        label = label.strip().lower() == "true"
    if isinstance(label, bool) and turns and turns[-1]["role"] == "assistant":
        more["label"] = label
        return WholeRow("judged answers", turns[:-1], turns[-1:], tools=_tools(record), more=more)
    if label is not None:
        more["label"] = label
    return _of_kind(kind, turns, _tools(record), more)


def _of_kind(kind: Kind, turns: list[Turn], tools: Any, more: dict[str, Any]) -> WholeRow:
    answered = any(turn["role"] == "assistant" for turn in turns)
    return WholeRow("answers" if answered else kind, turns, tools=tools, more=more)


def other_fields(record: Record, taken: Iterable[str] = (), turns: Sequence[Turn] = ()) -> dict[str, Any]:
    """The fields that are no part of what the row says: a system text, too, where the turns begin with another."""
    gone = {*BESIDE, *taken}
    if turns and turns[0]["role"] == "system":
        gone -= {name for name in _SYSTEM if record.get(name) not in ("", turns[0]["content"])}
    return {name: value for name, value in record.items() if value is not None and name not in gone}


def _tools(record: Record) -> Any:
    found = unpacked(record.get("tools"))
    return None if missing(found) or found in ("", [], {}) else found


def _system(record: Record, turns: Sequence[Turn]) -> list[Turn]:
    """The system text of a column of its own, unless the turns begin with one."""
    if turns and turns[0]["role"] == "system":
        return []
    for name in _SYSTEM:
        given = record.get(name)
        if isinstance(given, Mapping) and "parts" in given:
            given = given["parts"]
        if isinstance(given, list | tuple):
            parts = [part.get("text") if isinstance(part, Mapping) else part for part in given]
            given = joined(part for part in parts if isinstance(part, str))
        if isinstance(given, str) and given.strip():
            return [{"role": "system", "content": given}]
    return []


def _history(given: Any) -> list[Turn]:
    """Earlier rounds of an Alpaca row: pairs of a question and its answer, or turns."""
    history = unpacked(given)
    if not isinstance(history, list | tuple):
        return []
    if is_turns(history):
        return read_turns(history, "history")
    rounds = [pair for pair in history if isinstance(pair, list | tuple) and len(pair) == 2]
    return [
        {"role": role, "content": value_text(text, "history")}
        for pair in rounds
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _named_as(record: Record) -> str:
    """How the text of a record without a form is named: by its longest texts, in their order."""
    texts = {
        str(name): len(value)
        for name, value in record.items()
        if isinstance(value, str)
        and value.strip()
        and str(name).isprintable()
        and not set(str(name)) & set(',`"')
    }
    longest = sorted(texts, key=lambda name: -texts[name])[:2]
    shown = ",".join(name for name in texts if name in longest)
    if not shown:
        return "Name the field as `text`"
    quoted = f'"{shown}"' if " " in shown else shown
    last = " (the last is the answer)" if len(longest) > 1 else ""
    return f"Name the fields as `text`, for example `text={quoted}`{last}"


_NOTHING = FieldForm("nothing", ())
"""Of a record whose fields are all null, or that has none."""


class RowByRow:
    """The form of every record decided by itself; remembers which forms were seen, in order.

    Attributes:
        seen: the forms by description.
    """

    name = "recognised"

    def __init__(self) -> None:
        self.seen: dict[str, Form] = {}
        self._last: Form | None = None

    @property
    def description(self) -> str:
        return "; ".join(self.seen)

    @property
    def fields(self) -> tuple[str, ...]:
        """Those of the forms seen."""
        return tuple(dict.fromkeys(name for form in self.seen.values() for name in form.fields or ()))

    @property
    def has_response(self) -> bool:
        return any(form.has_response for form in self.seen.values())

    def form_of(self, record: Record) -> Form:
        """The form of a record; raises RecordError where none is known."""
        form = recognise(record)
        if form is None:
            own = [record[name] for name in READ_FIELDS if name in record]
            if not record or (own and all(missing(value) for value in own)):
                return _NOTHING
            found = names_of(record)
            raise RecordError(f"has no form that is known; found: {found}. {_named_as(record)}")
        if form is not self._last:  # nearly always it is
            self.seen.setdefault(form.description, form)
            self._last = form
        return form

    def texts(self, record: Record) -> Texts:
        return self.form_of(record).texts(record)

    def whole(self, record: Record) -> WholeRow:
        return self.form_of(record).whole(record)
