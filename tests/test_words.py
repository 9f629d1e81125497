"""Numbers, sizes and durations as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from evenly import words


@pytest.mark.parametrize(
    ("formatter", "given", "said"),
    [
        (
            "decimals",
            [None, 0.0, 0.0412, 0.0004, 3.2e-7, 12.5],
            ["-", "0.0000", "0.0412", "4.00e-04", "3.20e-07", "12.5000"],
        ),
        (
            "show",
            [None, float("nan"), "x", 1200, float("inf"), 0.0123456, 1.5e7, 123.4],
            ["–", "–", "x", "1,200", "∞", "0.0123", "1.5e+07", "123"],
        ),
        ("size", [24_000, 320e6, 1.5e9, 2.5e12], ["24 kB", "320 MB", "1.5 GB", "2,500.0 GB"]),
        ("millions", [4_700_000, 268_098_176, 1_200_000_000], ["4.7 million", "268 million", "1.2 billion"]),
        ("percent_proven", [0.5, 0.99999, 1.0], ["50 %", "99.9 %", "100 %"]),
        ("span", [[0.85, 0.91], [0.5, 0.5]], ["0.85–0.91", "0.50"]),
    ],
)
def test_numbers_in_words(formatter: str, given: list[Any], said: list[str]) -> None:
    assert [getattr(words, formatter)(value) for value in given] == said


def test_numbers_that_need_more_than_one_argument() -> None:
    assert [words.counted(count, "block") for count in (0, 1, 1200)] == [
        "0 blocks",
        "1 block",
        "1,200 blocks",
    ]
    assert [words.in_figures(value, 2, "+") for value in (1.234, 0.00123, 0.0)] == [
        "+1.23",
        "+0.0012",
        "+0.00",
    ]
