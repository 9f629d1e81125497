"""Makes the small files of the tutorials: `python rows.py`. Plain Python, the same files on every machine."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

TOPICS = {
    "bread": "flour, water, salt and yeast, and a night of rest",
    "bicycle brakes": "the cable, the pads and the small screw at the lever",
    "a cough": "rest and warm drinks, and a doctor after three weeks",
    "rent": "the contract, the notice period and the deposit",
    "tomatoes": "sun, much water at the roots and none on the leaves",
    "a first job": "a letter of one page that says what you can do",
    "guitar strings": "wire cutters, a new set and a little patience",
    "the tides": "the pull of the moon, and a weaker one of the sun",
    "jet lag": "daylight in the morning and no nap after three",
    "a cracked window": "tape for the moment and a glazier for good",
    "chess openings": "the centre, the knights and an early castle",
    "wool": "cold water, little soap and drying flat",
}
ASKED = {
    "What do I need for {}?": "You need {}.",
    "Explain {} to a child.": "Think of it like this: it is about {}.",
    "My neighbour asked me about {}. What should I say?": "Tell your neighbour: {}.",
    "Give me a short checklist for {}.": "In this order: {}.",
    "What goes wrong most often with {}?": "People forget one of these: {}.",
}
TASKS = {
    "reverses a string": "def solve(text):\n    return text[::-1]",
    "counts the vowels of a word": "def solve(word):\n    return sum(letter in 'aeiou' for letter in word)",
    "merges two sorted lists": "from heapq import merge\n\ndef solve(one, other):\n    return list(merge(one, other))",
    "finds duplicates in a list": "def solve(items):\n    return {one for one in items if items.count(one) > 1}",
    "reads a CSV file": "import csv\n\ndef solve(path):\n    return list(csv.reader(open(path)))",
    "sums the digits of a number": "def solve(number):\n    return sum(map(int, str(number)))",
    "checks for a palindrome": "def solve(text):\n    return text == text[::-1]",
    "flattens nested lists": "def solve(items):\n    return [one for inner in items for one in inner]",
}
LANGUAGES = [
    "Python",
    "Python 3 without imports",
    "short Python",
    "Python with type hints",
    "readable Python",
]
PEOPLE, THINGS = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn"], ["apples", "books", "coins", "pens", "shells"]
MATHS = "Solve the problem step by step, check every step, and write the result after four hash signs."


def chat() -> list[tuple[str, str]]:
    """60 questions of everyday life and their answers."""
    return [
        (question.format(topic), answer.format(said))
        for (topic, said), (question, answer) in product(TOPICS.items(), ASKED.items())
    ]


def code() -> list[tuple[str, str]]:
    """40 small programming tasks."""
    return [
        (f"Write a function in {language} that {task}.", done)
        for (task, done), language in product(TASKS.items(), LANGUAGES)
    ]


def maths(first: int = 0) -> list[tuple[str, str]]:
    """200 sums that share their instruction and most of their words."""
    rows = []
    for number in range(first, first + 200):
        person, thing = PEOPLE[number % 6], THINGS[number % 5]
        have, more = 3 + number % 17, 2 + number % 11
        question = (
            f"{MATHS} {person} has {have} {thing} and buys {more} more. How many {thing} has {person} now?"
        )
        rows.append((question, f"{person} has {have} + {more} = {have + more} {thing}. #### {have + more}"))
    return rows


def write(path: str, rows: list[tuple[str, str]]) -> None:
    """One conversation a line."""
    turns = (
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in rows
    )
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in turns))


if __name__ == "__main__":
    write("chat.jsonl", chat()[:50])
    write("code.jsonl", code())
    write("maths.jsonl", maths())
    write("week2.jsonl", chat()[45:] + maths(200)[:60])
    write("test.jsonl", maths(90)[:5] + chat()[3:5])
