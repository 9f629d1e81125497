"""Conversations as a language model reads them: by its chat template or a plain one, answers told from prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from evenly.errors import InputError
from evenly.rows.turns import Turn, as_json, call_function, turn_text, unpacked
from evenly.rows.whole import WholeRow

Messages: TypeAlias = Sequence[Turn]
"""Turns with ``role`` (system, user, assistant, tool) and ``content``, and what else they have; the tool list where
they are a `Conversation`. The answers are the assistant's turns but those of weight 0; a row without any is plain
text, and all of it counts as answer."""

Segments: TypeAlias = list[tuple[str, bool]]
"""Pieces of text in order, each with whether it is of an answer."""


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


class RewrittenError(InputError):
    """A chat template that writes earlier turns otherwise once later ones follow."""


def training_template(tokenizer: Any) -> str | None:
    """The variant for training that TRL has of a known template which rewrites earlier turns, as Qwen3's does.

    It keeps the reasoning of earlier answers, which the template itself drops.
    """
    try:
        from trl.chat_template_utils import get_training_chat_template

        found = get_training_chat_template(tokenizer)
    except (ImportError, ValueError):  # none is known
        return None
    return str(found) if found else None


def tokenised(messages: Messages, tokenizer: Any, template: Any) -> tuple[list[int], list[bool]]:
    """Token ids of one conversation, and of each whether it is of an answer.

    Prompt and answers are tokenised apart, as they are at inference, so no token straddles the border.

    Args:
        messages: the turns.
        tokenizer: a transformers tokenizer.
        template: its chat template; None takes a plain one.

    Raises:
        RewrittenError: see there.
        InputError: the template refuses the row, or leaves out a turn of it.
    """
    if all(turn["role"] != "assistant" for turn in messages):
        template, messages = None, [{"role": "assistant", "content": turn_text(turn)} for turn in messages]
    if template:
        segments = _template_segments(messages, tokenizer, template)
        ids: list[int] = []
    else:
        segments = _plain_segments(messages, tokenizer.eos_token or "")
        ids = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    answered = [False] * len(ids)
    for text, is_answer in segments:
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        answered += [is_answer] * len(piece)
    if answered:
        answered[0] = False  # nothing comes before it that could predict it
    return ids, answered


def _is_trained(turn: Turn) -> bool:
    return turn["role"] == "assistant" and turn.get("weight", 1) not in (0, False)


def _plain_segments(messages: Messages, eos: str) -> Segments:
    segments: Segments = []
    for turn in messages:
        text = turn_text(turn)
        if turn["role"] == "assistant":
            segments.append((text + eos, _is_trained(turn)))
        elif turn["role"] == "system":
            segments.append((f"{text}\n\n", False))
        else:
            segments.append((f"### Instruction:\n{text}\n\n### Response:\n", False))
    return segments


def _template_segments(messages: Messages, tokenizer: Any, template: Any) -> Segments:
    turns = [with_arguments(turn, as_text=False) for turn in messages]
    tools = getattr(messages, "tools", None)

    def render(count: int, *, generation: bool) -> str:
        return _render(turns[:count], tokenizer, template, tools, generation)

    segments: Segments = []
    done = ""
    for number, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before, after = render(number, generation=True), render(number + 1, generation=False)
        if not before.startswith(done) or not after.startswith(before):
            raise RewrittenError(
                "the model's chat template rewrites earlier turns, so responses cannot be told from prompts; "
                "use `plain_template`, or single-turn rows"
            )
        segments += [(before[len(done) :], False), (after[len(before) :], _is_trained(turn))]
        done = after
    _check_written(messages, done)
    return segments


def _check_written(messages: Messages, text: str) -> None:
    """Templates leave out turns of a role that they do not know, and calls, without an error."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    for number, turn in enumerate(messages[: last + 1], start=1):
        content = turn["content"] if isinstance(turn["content"], str) else ""
        answer = content.rpartition("</think>")[
            2
        ].strip()  # what stands before it is written otherwise by many
        calls = [str((call.get("function") or call).get("name", "")) for call in turn.get("tool_calls") or ()]
        missing = None if any(form in text for form in _written_as(answer)) else "the text"
        missing = missing or (None if all(name in text for name in calls) else "a call")
        if missing:
            raise InputError(
                f"the model's chat template leaves out {missing} of turn {number}, by {turn['role']}; use another "
                "template, or `plain_template`"
            )


def _written_as(text: str) -> tuple[str, str, str]:
    """A text as it is, and as it stands in JSON, into which some templates put results of tools."""
    return text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]


def _render(turns: list[Turn], tokenizer: Any, template: Any, tools: Any, generation: bool) -> str:
    if not turns:
        return ""
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=generation
            )
        )
    except Exception as error:  # jinja2 raises whatever the template of the model says
        raise InputError(f"the model's chat template refuses a row: {error}; use `plain_template`") from None
