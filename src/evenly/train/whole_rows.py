"""Rows as trainers take them: a conversation to train on, sizes, and calls in the form that a template wants.

`evenly.rows.whole` has the row itself; nothing of it is left behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evenly.rows.turns import Turn, as_json, call_function, unpacked
from evenly.rows.whole import WholeRow

MEDIA = ("images", "image", "videos", "audios")


class Conversation(list[Turn]):
    """Turns, and the tool list that goes with them."""

    def __init__(self, turns: Iterable[Turn], tools: Any = None) -> None:
        super().__init__(turns)
        self.tools = tools


def conversation(row: WholeRow) -> Conversation:
    """What there is to train on: of a pair the chosen answer; a judged answer counts where its label is true."""
    weight = {} if row.more.get("label", True) else {"weight": 0}
    answers = [{**turn, **weight} if row.kind == "judged answers" else turn for turn in row.chosen]
    return Conversation([*row.turns, *answers], row.tools)


def bytes_of_text(row: WholeRow) -> int:
    """UTF-8 bytes of all that a template may write, the longer of two answers counted."""
    answers = max(_size(row.chosen), _size(row.rejected))
    return _size(row.turns) + answers + (_size(row.tools) if row.tools else 0)


def _size(value: Any) -> int:
    return len((value if isinstance(value, str) else as_json(value)).encode("utf-8", "surrogatepass"))


def with_arguments(turn: Turn, *, as_text: bool) -> Turn:
    """The turn with the arguments of its calls as objects, which templates write as JSON, or as JSON texts."""
    if not turn.get("tool_calls"):
        return turn
    calls = []
    for call in turn["tool_calls"]:
        function = dict(call_function(call))
        arguments = unpacked(function.get("arguments", {}))
        if as_text and not isinstance(arguments, str):
            arguments = as_json(arguments)
        function["arguments"] = arguments
        calls.append(
            {**call, "function": function}
            if "function" in call
            else {"type": "function", "function": function}
        )
    return {**turn, "tool_calls": calls}
