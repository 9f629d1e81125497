"""Numbers as people type them, and vectors as they hand them over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evenly.checks import check_keep, check_vectors, whole_number
from evenly.engine.budgets import read_budget
from evenly.errors import InputError, first_line


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5000", 5000),
        ("5,000", 5000),
        ("1,234,567", 1234567),
        ("5k", 5000),
        ("0.5k", 500),
        ("1.5M", 1_500_000),
        ("2B", 2 * 10**9),
        ("+7", 7),
        ("-7", -7),
        ("0.5", None),
        ("5.0", None),
        ("1.2345k", None),
        ("5,00", None),
        ("5kk", None),
        ("k", None),
        ("", None),
        ("1e3", None),
        ("٣", 3),
    ],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_counts_and_budgets_take_them() -> None:
    assert check_keep("1k", 2000) == check_keep("1,000", 2000) == 1000
    assert check_keep("0.5", 2000) == 1000
    assert read_budget("tokens:1,500").amount == read_budget("tokens:1.5k").amount == 1500
    for wrong in ("1.2345k", "0k", "-1k", "5k"):
        with pytest.raises(InputError):
            check_keep(wrong, 2000)


@pytest.mark.parametrize(
    "given", [np.array([[1j, 2]]), [[1j, 2.0]], np.array([["1", "2"]]), np.array([[1, 2]], "m8[s]")]
)
def test_what_numpy_would_make_numbers_of_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="vectors must be real numbers; got "):
        check_vectors(given)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such file.\nSee the manual"), "no such file"),
        (OSError(""), "OSError"),
        (RuntimeError("\n  late words\n"), "late words"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_another_library_says_fits_a_line(error: Exception, said: str) -> None:
    assert first_line(error) == said
