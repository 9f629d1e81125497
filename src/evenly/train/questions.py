"""Test questions from local files, in the forms that public tests are handed around in."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evenly.errors import InputError

ASKED = "Please choose the correct answer to the question: "
NUMBERED_CHOICE = re.compile(r"Answer(\d+): (.*?)(?= Answer\d+: |\n\n|$)", re.DOTALL)


@dataclass(frozen=True)
class Questions:
    """A test read from a file.

    Attributes:
        name: of the test: the file's name without its ending.
        kind: ``choice`` (the likelier continuation wins) or ``answer`` (a number is generated).
        rows: for ``choice`` question, choices and label (a position in choices); for ``answer`` question and
            answer.
    """

    name: str
    kind: Literal["choice", "answer"]
    rows: list[dict[str, Any]]


def read_questions(path: Path) -> Questions:
    """Reads a test: JSON, JSON Lines or CSV.

    Known forms: question, choices and answer (ARC, MMLU: choices as a list, or as text and label; the answer
    as a letter, a number or the choice itself); TruthfulQA's table (question, best answer, incorrect
    answers); rows of six cells without a head (MMLU: question, A, B, C, D, letter); an instruction that lists
    "Answer1: …"; question and an answer that ends in "#### NUMBER" (GSM8K).

    Raises:
        InputError: no such file, no known form, or a question without an answer (names its number).
    """
    records = _records(path)
    if not records:
        raise InputError(f"{path} holds no question")
    rows = [_checked(record, number, path) for number, record in enumerate(records, start=1)]
    kinds = {"choice" if "choices" in row else "answer" for row in rows}
    if len(kinds) > 1:
        raise InputError(f"{path} mixes questions with and without choices; split it")
    name = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_")
    return Questions(name, "choice" if kinds == {"choice"} else "answer", rows)


def _checked(record: dict[str, Any], number: int, path: Path) -> dict[str, Any]:
    try:
        found = _question(record)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        raise InputError(
            f"question {number} of {path} has no answer that is known; expected question, choices and answer, "
            f"found: {', '.join(map(str, record))}"
        ) from None
    if not all(choice.strip() for choice in found.get("choices", ())):
        raise InputError(
            f"question {number} of {path} has an empty choice, which no model can answer; remove it"
        )
    return found


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            return _table(text)
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        found = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as questions: {error}") from None
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise InputError(f"{path} must hold a list of questions")
    return found


def _table(text: str) -> list[dict[str, Any]]:
    lines = [line for line in csv.reader(text.splitlines(keepends=True)) if line]
    head = [cell.strip().lower() for cell in lines[0]] if lines else []
    if "question" in head:
        return [dict(zip(head, line, strict=False)) for line in lines[1:]]
    return [{"question": line[0], "choices": line[1:-1], "answer": line[-1]} for line in lines]


def _question(record: dict[str, Any]) -> dict[str, Any]:
    if "best answer" in record:
        wrong = [choice.strip() for choice in record["incorrect answers"].split(";") if choice.strip()]
        return _choice(record["question"], [record["best answer"].strip(), *wrong], 0)
    if "choices" in record:
        choices, answer = (
            record["choices"],
            record.get("answerKey", record.get("answer", record.get("label"))),
        )
        labels = None
        if isinstance(choices, dict):
            choices, labels = choices["text"], choices["label"]
        # True equals 1, and an answer of 1 is a place.
        choices = [str(choice) if isinstance(choice, bool) else choice for choice in choices]
        return _choice(record["question"], list(choices), _label(answer, list(choices), labels))
    if "instruction" in record:
        choices = [text.strip() for _, text in NUMBERED_CHOICE.findall(record["instruction"])]
        question = record["instruction"].split("\n\nAnswer1:")[0].removeprefix(ASKED)
        return _choice(question, choices, int(record["answer"].removeprefix("answer")) - 1)
    answer = record["answer"]
    if not answer.rpartition("####")[2].strip() or "####" not in answer:
        raise ValueError(answer)
    return {"question": _text(record["question"]), "answer": answer}


def _choice(question: Any, choices: list[Any], label: int) -> dict[str, Any]:
    if len(choices) < 2 or not 0 <= label < len(choices):
        raise ValueError(label)
    return {"question": _text(question), "choices": [_text(choice) for choice in choices], "label": label}


def _text(value: Any) -> str:
    """A text, or a number as it prints."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float):
        raise TypeError(value)
    return str(value)


def _label(answer: Any, choices: list[str], labels: list[str] | None) -> int:
    if labels and answer in labels:
        return labels.index(answer)
    if answer in choices:
        return choices.index(answer)
    if isinstance(answer, int):
        return answer
    if answer in (printed := list(map(str, choices))):
        return printed.index(answer)
    return ord(answer.strip().upper()) - ord("A")
