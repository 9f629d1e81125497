"""Turns of a conversation: how files of many makers write them, read into one form, with all that hangs on a turn.

A turn is a dictionary with ``role`` (system, user, assistant, tool, or a name that says something else) and
``content`` (a text, or typed parts where media are among them), and whatever else the file says of it: calls
(``tool_calls``), reasoning, a weight.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evenly.rows.events import is_event, messages_of

Turn = dict[str, Any]


class RecordError(Exception):
    """What is wrong with a record, in words that go behind "row 3 of train.jsonl"."""


ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(
        ("gpt", "chatgpt", "bing", "bard", "model", "bot", "chatbot", "assistant", "ai"), "assistant"
    ),
    **dict.fromkeys(
        ("tool", "observation", "tool_response", "function_response", "ipython", "toolresult"), "tool"
    ),
    "system": "system",
}
"""Names that files have for the roles of chat templates. Any other name is kept as it is."""

_OTHER_KNOWN = {"developer", "function"}
_CALLS = ("function_call", "tool_call")
_REASONING = ("reasoning_content", "thinking", "reasoning")
_CALL_IDS = {"toolCallId": "tool_call_id", "toolName": "name"}
"""Names of Pi for what a result belongs to."""

_CONTENT = ("content", "value", "parts", "text")


MEDIA = ("image", "images", "audio", "audios", "video", "videos")
"""Fields of what no text encoder sees."""


def has_media(record: Mapping[str, Any]) -> bool:
    """Whether a record has media in a field of their own."""
    return not record.keys().isdisjoint(MEDIA) and any(record.get(name) for name in MEDIA)


def joined(texts: Iterable[str]) -> str:
    """Texts that are not blank, one a line."""
    return "\n".join([text for text in texts if text and not text.isspace()])


def missing(value: Any) -> bool:
    """Whether a value stands for none: libraries write a missing text as NaN."""
    return value is None or (isinstance(value, float) and value != value)


def unpacked(value: Any) -> Any:
    """What a string of a JSON list or object holds, as some libraries save them; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def is_turns(value: Any) -> bool:
    """Whether a value is a turn or a list of turns."""
    found = unpacked(value)
    if isinstance(found, list | tuple) and found:
        return _is_turn(unpacked(found[0]))
    return _is_turn(found)


def _is_turn(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "from" in value or is_event(value))


def read_turns(given: Any, field: str) -> list[Turn]:
    """The turns of a field: a list of them, one alone, or JSON of either.

    Raises:
        RecordError: it holds something else; names the turn.
    """
    value = unpacked(given)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise RecordError(
            f"holds no list of turns in the field {field}; expected role and content, or from and value"
        )
    turns: list[Turn] = []
    given_turns = [unpacked(one) for one in value]
    if any(map(is_event, given_turns)):
        given_turns = messages_of(given_turns)
    for number, one in enumerate(given_turns, start=1):
        turns += _read_turn(one, number, field)
    return _with_known_roles(turns)


def _read_turn(turn: Any, number: int, field: str) -> Iterable[Turn]:
    """One turn, or the turns that one with the results of several tools stands for."""
    given = dict(turn) if isinstance(turn, Mapping) else {}
    own, shared = given.get("role"), given.get("from")
    role = own if isinstance(own, str) else shared
    key = next((name for name in _CONTENT if name in given), None)
    calls = _calls(given)
    if not isinstance(role, str) or (key is None and not calls and not reasoning(given)):
        raise RecordError(f"has no role and content (or from and value) in turn {number} of {field}; mend it")
    content = given.get(key) if key is not None else ""
    rest = {
        _CALL_IDS.get(name, name): value
        for name, value in given.items()
        if value is not None and name not in ("role", "from", key, "tool_calls", "function_call")
    }
    if role.lower() in _CALLS and (found := _written_calls(content)):
        return [{"role": "assistant", "content": "", "tool_calls": found, **rest}]
    known = "assistant" if role.lower() in _CALLS else ROLES.get(role.lower(), role)
    more = {**({"tool_calls": calls} if calls else {}), **rest}
    if isinstance(content, str):
        return [{"role": known, "content": content, **more}]
    if missing(content):
        return [{"role": known, "content": "", **more}]
    if isinstance(content, list | tuple) and all(isinstance(part, Mapping | str) for part in content):
        return _of_parts(known, content, more)
    raise RecordError(f"has a turn without text in {field}: turn {number} holds {type(content).__name__}")


def _of_parts(role: str, parts: Iterable[Any], more: Turn) -> Iterator[Turn]:
    """A turn of typed parts: calls, reasoning and results of tools take the places they have in other files."""
    kept: list[Any] = []
    calls, thoughts, results = list(more.get("tool_calls", ())), [], []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("tool_use", "toolCall") or (
            kind is None and "functionCall" in part and isinstance(part, Mapping)
        ):
            calls.append(_call_of(part.get("functionCall") or part))
        elif kind == "tool_result" or (
            kind is None and "functionResponse" in part and isinstance(part, Mapping)
        ):
            results.append(_result_of(part.get("functionResponse") or part))
        elif kind == "thinking" and isinstance(part.get("thinking"), str):
            thoughts.append(part["thinking"])
        else:
            kept.append(part)
    yield from results
    if not kept and not calls and not thoughts and results:
        return
    turn: Turn = {"role": role, "content": _plain(kept), **more}
    if calls:
        turn["tool_calls"] = calls
    if thoughts:
        turn.setdefault("reasoning_content", "\n".join(thoughts))
    yield turn


def _plain(parts: list[Any]) -> Any:
    """Parts of text alone as the text that they are; with media among them, the parts."""
    texts = [part if isinstance(part, str) else part.get("text") for part in parts]
    return joined(texts) if all(isinstance(text, str) for text in texts) else parts


def _call_of(given: Mapping[str, Any]) -> Turn:
    arguments: Any = next((given[name] for name in ("input", "args", "arguments") if name in given), {})
    more = {"id": given["id"]} if "id" in given else {}
    return {**more, "type": "function", "function": {"name": given.get("name"), "arguments": arguments}}


def _result_of(given: Mapping[str, Any]) -> Turn:
    content = given.get("content", given.get("response", ""))
    if isinstance(content, list | tuple) and all(isinstance(part, Mapping | str) for part in content):
        content = _plain(list(content))
    elif not isinstance(content, str):
        content = "" if content is None else as_json(content)
    more = {"tool_call_id": given["tool_use_id"]} if "tool_use_id" in given else {}
    more |= {"name": given["name"]} if "name" in given else {}
    return {"role": "tool", "content": content, **more}


def _calls(turn: Mapping[str, Any]) -> list[Any]:
    """The calls of a turn, in the form of chat templates; those of the older ``function_call`` too."""
    calls = unpacked(turn.get("tool_calls"))
    if isinstance(calls, Mapping):
        calls = [calls]
    found = (
        [unpacked(call) for call in calls] if isinstance(calls, list | tuple) else [calls] if calls else []
    )
    old = unpacked(turn.get("function_call"))
    if isinstance(old, Mapping) and old.get("name"):
        found.append({"type": "function", "function": dict(old)})
    if not all(isinstance(call, Mapping) for call in found):
        raise RecordError("has tool_calls that are no list of calls with name and arguments; mend it")
    return found


def _written_calls(content: Any) -> list[Turn]:
    """The calls that the text of a turn is, as ShareGPT writes them; none where it is no JSON of calls."""
    given = unpacked(content)
    calls = given if isinstance(given, list) else [given]
    if not all(isinstance(call, Mapping) and "name" in call for call in calls):
        return []
    return [{"type": "function", "function": dict(call)} for call in calls]


def _with_known_roles(turns: list[Turn]) -> list[Turn]:
    """Turns whose two speakers are known: of two names that take turns, the first asks and the second answers."""
    known = {*ROLES.values(), *_OTHER_KNOWN}
    speakers = [turn["role"] for turn in turns if turn["role"] not in ("system", "tool", *_OTHER_KNOWN)]
    names = list(dict.fromkeys(name for name in speakers if name not in known))
    if not names:
        return turns
    roles: dict[str, str] = {}
    if len(names) == 1 and len(there := set(speakers) - set(names)) == 1:
        roles = {names[0]: "user" if "assistant" in there else "assistant"}
    elif (
        len(names) == 2
        and len(set(speakers)) == 2
        and all(name == names[place % 2] for place, name in enumerate(speakers))
    ):
        roles = dict(zip(names, ("user", "assistant"), strict=True))
    return [{**turn, "role": roles.get(turn["role"], turn["role"])} for turn in turns]


def reasoning(turn: Mapping[str, Any]) -> str:
    """What a turn thinks before it speaks."""
    return next((value for name in _REASONING if isinstance(value := turn.get(name), str)), "")


def turn_text(turn: Mapping[str, Any]) -> str:
    """All that a turn says: its reasoning, its text, its calls as JSON of name and arguments."""
    content = turn["content"]
    thoughts, calls = reasoning(turn), turn.get("tool_calls")
    if isinstance(content, str) and not thoughts and not calls:
        return content
    if not isinstance(content, str):
        parts = [part if isinstance(part, str) else part.get("text") for part in content]
        content = joined(part for part in parts if isinstance(part, str))
    return joined([thoughts, content, *(call_text(call) for call in calls or ())])


def call_text(call: Mapping[str, Any]) -> str:
    """Name and arguments of a call, whatever the arguments are saved as."""
    function = call_function(call)
    return as_json({name: unpacked(function[name]) for name in ("name", "arguments") if name in function})


def call_function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a call calls; in some files that is the call itself."""
    function = unpacked(call.get("function"))
    return function if isinstance(function, Mapping) else call


def names_of(fields: Iterable[Any]) -> str:
    """Names of fields for a message: on one line, whatever they are."""
    shown = (name if name.isprintable() else ascii(name) for name in map(str, fields))
    return ", ".join(shown) or "no field"


def as_json(value: Any) -> str:
    """A value as JSON; what JSON has no form for (dates, bytes) as text."""
    return json.dumps(value, ensure_ascii=False, default=str)
