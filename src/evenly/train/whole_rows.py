"""A row whole, as trainers know it: its turns with all that hangs on them, its kind, and what else it carries.

`evenly.rows.forms` says what of a row is embedded; here nothing is left behind: calls, tool lists, reasoning,
weights, media, both answers of a pair. Every row is read by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evenly.rows.forms import ROLES, recognise
from evenly.rows.rows import Rows

Turn = dict[str, Any]
Kind = Literal["answers", "pairs", "judged answers", "texts", "prompts", "steps"]
"""``pairs`` hold a chosen and a rejected answer, ``judged answers`` one with a label, ``steps`` labelled steps."""

TURNS = ("messages", "conversations", "conversation")
MEDIA = ("images", "image", "videos", "audios")
_ROLES = {
    **ROLES,
    "bot": "assistant",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
}
_CALLS = ("function_call", "tool_call")
_READ = {
    *("system", "tools", "history", "chosen", "rejected", "label", "completions", "labels", "instruction"),
    *("input", "output", "prompt", "completion", "text", *TURNS),
}


@dataclass(frozen=True)
class WholeRow:
    """One row.

    Attributes:
        kind: what can be trained on it.
        turns: of the conversation; for a pair or a judged answer those of the prompt.
        chosen, rejected: the turns of the answers of a pair; a judged answer is ``chosen``.
        tools: the tool list, as it was; None where it has none.
        more: its other fields: media, label, steps, ids, scores.
    """

    kind: Kind
    turns: list[Turn]
    chosen: list[Turn] = field(default_factory=list)
    rejected: list[Turn] = field(default_factory=list)
    tools: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def answers(self) -> list[int]:
        """The places of the assistant's turns that are to be trained on: all but those of weight 0."""
        return [
            place
            for place, turn in enumerate(self.turns)
            if turn["role"] == "assistant" and turn.get("weight", 1) not in (0, False)
        ]

    def every_turn(self) -> list[Turn]:
        """All turns, those of the answers last."""
        return [*self.turns, *self.chosen, *self.rejected]

    def bytes_of_text(self) -> int:
        """UTF-8 bytes of all that a template may write, the longer of two answers counted."""
        answers = max(_size(self.chosen), _size(self.rejected))
        return _size(self.turns) + answers + (_size(self.tools) if self.tools else 0)

    def conversation(self) -> Conversation:
        """What there is to train on: of a pair the chosen answer; a judged answer counts where its label is true."""
        weight = {} if self.more.get("label", True) else {"weight": 0}
        answers = [{**turn, **weight} if self.kind == "judged answers" else turn for turn in self.chosen]
        return Conversation([*self.turns, *answers], self.tools)


class Conversation(list[Turn]):
    """Turns, and the tool list that goes with them."""

    def __init__(self, turns: Iterable[Turn], tools: Any = None) -> None:
        super().__init__(turns)
        self.tools = tools


def turn_text(turn: Mapping[str, Any]) -> str:
    """All that a turn says: its reasoning, its text, its calls as JSON."""
    content = turn["content"]
    if not isinstance(content, str):
        content = "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    calls = [call.get("function") or call for call in turn.get("tool_calls") or ()]
    pieces = [
        turn.get("reasoning_content"),
        content,
        *(json.dumps(call, ensure_ascii=False) for call in calls),
    ]
    return "\n".join(piece for piece in pieces if piece)


def _size(value: Any) -> int:
    return len((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode())


def read_whole(rows: Rows, row: int) -> WholeRow:
    """One row of a pool; see `whole_row`."""
    record = rows.record(row)
    form = recognise(record)
    return whole_row(record, rows.messages(row), (form.fields or ()) if form else ())


def whole_row(
    record: Mapping[str, Any], messages: Sequence[Mapping[str, str]], taken: Sequence[str] = ()
) -> WholeRow:
    """Reads a record.

    Args:
        record: the row with all its fields; media, ids and the like are carried along.
        messages: the row as `evenly.rows.rows.Rows.messages` gives it, for the forms whose turns are made of fields.
        taken: the fields that these are made of.
    """
    given = {name: value for name, value in record.items() if value is not None}
    more = {name: value for name, value in given.items() if name not in _READ and name not in taken}
    tools = _parsed(given.get("tools")) if given.get("tools") else None
    if isinstance(given.get("completions"), list) and isinstance(given.get("labels"), list):
        steps = {"completions": given["completions"], "labels": given["labels"]}
        return WholeRow("steps", _side(given.get("prompt"), "user"), more={**more, **steps})
    if "chosen" in given and "rejected" in given:
        return _pair(given, tools, more)
    turns = _conversation(given, messages)
    label = given.get("label")
    if isinstance(label, bool) and turns and turns[-1]["role"] == "assistant":
        return WholeRow("judged answers", turns[:-1], turns[-1:], tools=tools, more={**more, "label": label})
    more |= {"label": label} if label is not None else {}
    if any(turn["role"] == "assistant" for turn in turns):
        return WholeRow("answers", turns, tools=tools, more=more)
    plain = "text" in given and not any(name in given for name in TURNS)
    return WholeRow("texts" if plain else "prompts", turns, tools=tools, more=more)


def _pair(given: Mapping[str, Any], tools: Any, more: dict[str, Any]) -> WholeRow:
    chosen, rejected = (_side(given[name], "assistant") for name in ("chosen", "rejected"))
    asked = next(
        (given[name] for name in ("prompt", *TURNS, "question", "instruction") if name in given), None
    )
    more = {name: value for name, value in more.items() if name != "question"}
    if asked is not None:
        prompt = [*_system(given), *_side(asked, "user")]
        if isinstance(given.get("input"), str) and given["input"].strip() and "instruction" in given:
            prompt[-1] = {**prompt[-1], "content": f"{prompt[-1]['content']}\n{given['input']}"}
        # Some sets repeat the prompt at the head of both answers.
        chosen, rejected = (
            side[len(prompt) :] if side[: len(prompt)] == prompt else side for side in (chosen, rejected)
        )
    else:
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = [*_system(given), *chosen[:shared]], chosen[shared:], rejected[shared:]
    return WholeRow("pairs", prompt, chosen, rejected, tools, more)


def _conversation(given: Mapping[str, Any], messages: Sequence[Mapping[str, str]]) -> list[Turn]:
    """The turns of a row: its own, those of prompt and completion, or those that its form makes of fields."""
    name = next((name for name in TURNS if _is_turns(given.get(name))), None)
    if name is not None:
        turns = _side(given[name], "user")
    elif "prompt" in given and "completion" in given:
        turns = [*_side(given["prompt"], "user"), *_side(given["completion"], "assistant")]
    else:
        turns = [*_history(given.get("history")), *(dict(turn) for turn in messages)]
    return [*(_system(given) if not turns or turns[0]["role"] != "system" else []), *turns]


def _system(given: Mapping[str, Any]) -> list[Turn]:
    system = given.get("system")
    return [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []


def _history(history: Any) -> list[Turn]:
    """Earlier rounds of an Alpaca row: pairs of a question and its answer."""
    if not isinstance(history, list | tuple):
        return []
    rounds = [pair for pair in history if isinstance(pair, list | tuple) and len(pair) == 2]
    return [
        {"role": role, "content": str(text)}
        for pair in rounds
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _is_turns(value: Any) -> bool:
    value = _parsed(value)
    return isinstance(value, list | tuple) and all(isinstance(turn, Mapping) for turn in map(_parsed, value))


def _side(value: Any, role: str) -> list[Turn]:
    """One side of a row as turns: a text is one turn of the role."""
    value = value if value is not None else []
    found = _parsed(value) if isinstance(value, str) and value.lstrip().startswith(("[", "{")) else value
    if isinstance(found, Mapping) and ("role" in found or "from" in found):
        return [_turn(found)]
    if isinstance(found, list | tuple) and found and _is_turns(found):
        turns = [_turn(_parsed(turn)) for turn in found]
        names = {
            turn["role"] for turn in turns if turn["role"] not in ("system", "user", "assistant", "tool")
        }
        known = {turn["role"] for turn in turns}
        if "assistant" not in known and "user" in known and len(names) == 1:
            # A name that is not known, where only the one who answers is missing.
            turns = [{**turn, "role": "assistant"} if turn["role"] in names else turn for turn in turns]
        return turns
    return [{"role": role, "content": value if isinstance(value, str) else str(value)}] if value != [] else []


def _turn(turn: Mapping[str, Any]) -> Turn:
    """A turn with role and content, and everything else that it has; calls in the form of chat templates."""
    given = {name: value for name, value in turn.items() if value is not None}
    role = str(given.pop("role", None) or given.pop("from", "user"))
    given.pop("from", None)
    content = given.pop("content", given.pop("value", ""))
    if role.lower() in _CALLS:
        calls = _parsed(content)
        found = calls if isinstance(calls, list) else [calls]
        if all(isinstance(call, Mapping) and "name" in call for call in found):
            calls = [{"type": "function", "function": dict(call)} for call in found]
            return {"role": "assistant", "content": "", "tool_calls": calls, **given}
        role = "assistant"
    if isinstance(content, list | tuple) and all(
        isinstance(part, Mapping) and "text" in part for part in content
    ):
        content = "\n".join(str(part["text"]) for part in content)
    known = {name: value for name, value in given.items() if name != "value"}
    return {"role": _ROLES.get(role.lower(), role), "content": content, **known}


def _parsed(value: Any) -> Any:
    """What a JSON text holds; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def with_arguments(turn: Turn, *, as_text: bool) -> Turn:
    """The turn with the arguments of its calls as objects, which templates write as JSON, or as JSON texts."""
    if not turn.get("tool_calls"):
        return turn
    calls = []
    for call in turn["tool_calls"]:
        function = dict(call.get("function") or call)
        arguments = _parsed(function.get("arguments", {}))
        if as_text and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        function["arguments"] = arguments
        calls.append(
            {**call, "function": function}
            if "function" in call
            else {"type": "function", "function": function}
        )
    return {**turn, "tool_calls": calls}
