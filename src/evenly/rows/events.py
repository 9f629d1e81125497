"""Events of coding agents, as Claude Code, Codex and Pi write them, read as turns of a conversation.

The hub's own simple format is like that of Pi (https://huggingface.co/docs/hub/agent-traces). Events are taken in the
order of the file; branches that were given up are read too, what an agent told its helpers (``isSidechain``) only where
there is nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Event = Mapping[str, Any]

_SPOKEN = ("user", "assistant", "message")
"""Events that hold a message: the first two of Claude Code, the last of Pi and the hub's own format."""

_SAYS = {"role", "content", "reasoning_content", "tool_calls", "tool_call_id", "toolCallId", "toolName"}
"""What of a message belongs to a turn; counts of tokens, prices and times do not."""

_REASONING, _TEXT, _CALLS = 0, 1, 3
"""The parts of an answer of Codex, in their order."""


def is_event(value: Any) -> bool:
    """Whether a value is an event that says something."""
    if not isinstance(value, Mapping):
        return False
    kind, message, payload = value.get("type"), value.get("message"), value.get("payload")
    if kind == "response_item":
        return isinstance(payload, Mapping) and isinstance(payload.get("type"), str)
    return kind in _SPOKEN and isinstance(message, Mapping) and "role" in message


def messages_of(events: Iterable[Any]) -> list[dict[str, Any]]:
    """The turns that events hold, each as its maker writes them; see `evenly.rows.turns`."""
    said = [event for event in events if is_event(event)]
    own = [event for event in said if not event.get("isSidechain")] or said
    turns: list[dict[str, Any]] = []
    for event in own:
        message = _message(event)
        if message is not None and not (turns and _continued(turns[-1], message)):
            turns.append(message)
    return [{name: value for name, value in turn.items() if name in _SAYS} for turn in turns]


def _continued(last: dict[str, Any], message: dict[str, Any]) -> bool:
    """Adds a part of an answer, an event of its own, to the answer that it belongs to; False where it is none."""
    if last.get("role") != "assistant" or message.get("role") != "assistant":
        return False
    if "id" in message:  # Claude Code names the answer
        same = message["id"] == last.get("id")
        if not same or not all(isinstance(one.get("content"), list) for one in (last, message)):
            return False
        last["content"] = [*last["content"], *message["content"]]
        return True
    # Codex: reasoning, then a text, then calls.
    if "of" not in message or "of" not in last or message["of"] < last["of"]:
        return False
    for name in ("reasoning_content", "content", "tool_calls"):
        before, more = last.get(name), message.get(name)
        both = (
            f"{before}\n{more}"
            if isinstance(before, str) and isinstance(more, str)
            else [*(before or ()), *(more or ())]
        )
        if before or more:
            last[name] = both if before and more else before or more
    last["of"] = message["of"] + (message["of"] == _TEXT)  # one text an answer
    return True


def _message(event: Event) -> dict[str, Any] | None:
    """The turn that an event holds, None where it is something else."""
    if event["type"] == "response_item":
        return _response_item(event["payload"])
    message: dict[str, Any] = dict(event["message"])
    if "command" in message and "content" not in message:  # a command that the user ran, in Pi
        message |= {"role": "user", "content": f"{message['command']}\n{message.get('output', '')}"}
    return message


def _response_item(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """An item of Codex, which are those of OpenAI's Responses."""
    kind = item["type"]
    if kind == "message":
        parts = item.get("content")
        if isinstance(parts, list) and all(isinstance(part, Mapping) and "text" in part for part in parts):
            parts = "\n".join(str(part["text"]) for part in parts)
        return {"role": item.get("role", "user"), "content": parts, "of": _TEXT}
    if kind == "reasoning":
        given = [item.get(name) for name in ("summary", "content")]
        parts = [part for one in given if isinstance(one, list) for part in one if isinstance(part, Mapping)]
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
        said = "\n".join(texts)
        whole = {"role": "assistant", "content": "", "reasoning_content": said, "of": _REASONING}
        return whole if said else None
    if kind.endswith("_call"):
        asked: Any = next((item[name] for name in ("arguments", "input", "action") if name in item), {})
        call = {"name": item.get("name", kind.removesuffix("_call")), "arguments": asked}
        return {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": item.get("call_id"), "type": "function", "function": call}],
            "of": _CALLS,
        }
    if kind.endswith("_call_output"):
        output = item.get("output", "")
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        return {"role": "tool", "content": text, "tool_call_id": item.get("call_id")}
    return None
