"""A row whole: its turns with all that hangs on them, its answers, its kind, and what else it carries.

What is embedded is made of it (`texts_of`), and exports and training take it as it is, so that both read a row alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from evenly.request import Part
from evenly.rows.turns import Turn, as_json, joined, turn_text, unpacked

Kind = Literal["answers", "pairs", "judged answers", "texts", "prompts", "steps"]
"""``pairs`` hold a chosen and a rejected answer, ``judged answers`` one with a label, ``steps`` labelled steps."""


class Texts(NamedTuple):
    """What a record says.

    Attributes:
        prompt: everything before the answer, the tool list last.
        response: the answer; of a pair the chosen one.
        whole: all of it, which is what ``--part all`` embeds.
        rejected: the other answer of a pair.
        media: whether turns hold images, sounds or films beside their texts.
    """

    prompt: str
    response: str
    whole: str
    rejected: str = ""
    media: bool = False

    def part(self, part: Part) -> str:
        """The part of that name; ``chosen`` is the answer, ``pair`` both answers of a pair without its prompt."""
        if part == "all":
            return self.whole
        if part == "pair":
            return joined((self.response, self.rejected)) if self.rejected else ""
        return self.prompt if part == "prompt" else self.rejected if part == "rejected" else self.response


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


def texts_of(row: WholeRow) -> Texts:
    """What a row says, as one text for each part.

    Of a conversation the answer is the last turn of the assistant; what follows it counts towards the whole alone.
    The tool list stands behind everything else, for many rows share it and it would fill an encoder's window; the
    label of a judged answer, and those of steps, stand last.
    """
    said = [turn_text(turn) for turn in row.turns]
    media = not all(isinstance(turn["content"], str) for turn in row.every_turn())
    tools, after = tools_text(row.tools), ""
    if row.kind == "steps":
        steps = row.more.get("completions", ())
        after, answer = as_json(row.more.get("labels")), joined(str(step) for step in steps)
        return Texts(joined([*said, tools]), answer, joined([*said, answer, tools, after]), media=media)
    if row.chosen:
        chosen, rejected = (joined(map(turn_text, side)) for side in (row.chosen, row.rejected))
        if row.kind == "judged answers":
            after = f"label: {as_json(row.more.get('label'))}"
        whole = joined([*said, chosen, rejected, tools, after])
        return Texts(joined([*said, tools]), chosen, whole, rejected, media)
    answers = [place for place, turn in enumerate(row.turns) if turn["role"] == "assistant"]
    last = answers[-1] if answers else len(said)
    prompt, answer = joined([*said[:last], tools]), joined(said[last : last + 1])
    return Texts(prompt, answer, joined([*said, tools]), media=media)


def tools_text(tools: Any) -> str:
    """A tool list as text: name, description and parameters of each on a line."""
    found = unpacked(tools)
    if isinstance(found, str) or not found:
        return found or ""
    return joined(_tool_text(tool) for tool in (found if isinstance(found, list | tuple) else [found]))


def _tool_text(given: Any) -> str:
    tool = unpacked(given)
    if not isinstance(tool, Mapping):
        return tool if isinstance(tool, str) else as_json(tool)
    function = tool.get("function")
    own = function if isinstance(function, Mapping) else tool
    name, description = own.get("name"), own.get("description")
    if not isinstance(name, str):
        return as_json(tool)
    parameters = next((own[key] for key in ("parameters", "input_schema") if own.get(key)), None)
    heading = f"{name}: {description}" if isinstance(description, str) and description else name
    return f"{heading} {as_json(parameters)}" if parameters else heading


def side_without(turns: list[Turn], prompt: Iterable[Turn]) -> list[Turn]:
    """An answer without the prompt that some sets repeat at its head."""
    asked = list(prompt)
    return turns[len(asked) :] if asked and turns[: len(asked)] == asked else turns
