"""Signs of noise: each reason where it belongs, and silence on ordinary text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.rows.noise import noise_reasons

ORDINARY = [
    "Give three tips for staying healthy. Eat a balanced diet, sleep enough and move every day.",
    "What is 2 + 2? 4",
    "Fix the code: def f(x): return x + 1\nThe function is right; add a docstring.",
    "Übersetze den Satz ins Deutsche: Guten Morgen, wie geht es dir?",
    "请用三句话介绍北京的历史,并说明它为什么重要。",
    "Résumé: café, naïve, São Paulo. These words keep their accents.",
    "See https://example.org/a/page/with/a/fairly/long/address for the tables.",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_gets_no_reason(text: str) -> None:
    assert noise_reasons([text]) == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("Caf\ufffd and th\ufffd", "2 replacement characters"),
        ("one \x00 byte of binary", "control characters"),
        ("The cafÃ© doesnâ€™t open", "UTF-8 read as Latin-1"),
        ("?!", "hardly any letters"),
        ("ab@@@@####$$$$%%%% 1", "mostly symbols"),
        ("ha " * 60, "over and over"),
        ("a" * 1_000_000, "1,000,000 characters without a space"),
        ("Input: <noinput> Output: none given here", "boilerplate"),
        ("Lorem ipsum dolor sit amet", "boilerplate"),
    ],
)
def test_noise_gets_its_reason(text: str, reason: str) -> None:
    [found] = noise_reasons([text])
    assert found is not None
    assert reason in found


def test_an_empty_answer_is_a_reason_only_where_rows_have_answers() -> None:
    assert noise_reasons(["Name a colour."], answers=[" "]) == ["no answer"]
    assert noise_reasons(["Name a colour."]) == [None]


def test_a_script_or_language_rare_in_the_pool_is_a_reason() -> None:
    pool = [
        f"Explain to the reader how the machine number {n} works and why it is of use in the house."
        for n in range(200)
    ]
    russian = "Объясните, пожалуйста, как работает эта машина."
    german = "Erkläre bitte kurz warum diese Maschine nachts lauter läuft als tagsüber, obwohl niemand stört."
    reasons = noise_reasons([russian, german, pool[0]], usual=pool)
    assert reasons[0] == "written in Cyrillic script, rare in this pool"
    assert reasons[1] is not None
    assert "another language" in reasons[1]
    assert reasons[2] is None


def test_a_pool_in_two_languages_finds_neither_foreign() -> None:
    english = "Explain to the reader how the machine works and why it is of use in the house at night."
    russian = (
        "Объясните читателю, как работает машина и зачем она нужна в доме, когда наступает ночь и все спят."
    )
    assert noise_reasons([english, russian], usual=[english, russian] * 100) == [None, None]


@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text_is_judged_without_error_and_alone(texts: list[str]) -> None:
    assert noise_reasons(texts) == [noise_reasons([text])[0] for text in texts]
