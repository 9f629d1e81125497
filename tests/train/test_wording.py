"""What the verdict says of answers that are given: which reason it names, and which it does not."""

from __future__ import annotations

import pytest

from evenly.train.result import COMMON, RARE, SPEED, Answer, ArmPair, ArmSummary, Called, VariantResult
from evenly.train.verdict import MAIN_QUESTIONS
from evenly.train.wording import left_out_paragraph, verdict_paragraphs

RATIOS: dict[Called, float] = {"lower": 0.5, "higher": 2.0, "no difference": 1.1, "cannot be told": 1.1}


def answer(question: str, called: Called) -> Answer:
    ratio = ("steps" in question and "test" not in question) or "cost" in question
    value = RATIOS[called] if ratio else RATIOS[called] - 1.05
    return Answer(
        question=question,
        main=question in MAIN_QUESTIONS,
        scale="ratio" if ratio else "difference",
        first=1.0,
        second=1.0,
        value=value,
        standard_error=0.1,
        low=value - 0.2,
        high=value + 0.2,
        p=0.5,
        seeds=3,
        called=called,
        detectable=1.4,
    )


def pair(first: str, second: str, speed: Called, common: Called, rare: Called, cost: float = 0.5) -> ArmPair:
    total = answer("total cost to equal own loss", "lower").model_copy(update={"value": cost})
    return ArmPair(
        first=first,
        second=second,
        answers=[answer(SPEED, speed), answer(COMMON, common), answer(RARE, rare), total],
    )


def told(*pairs: ArmPair) -> str:
    """The paragraph about the first pair."""
    return paragraphs(*pairs, accuracy=0.2)[0]


def paragraphs(*pairs: ArmPair, accuracy: float) -> list[str]:
    """The verdict where 15 % of the test's tokens were predicted right before training."""
    arm = ArmSummary.model_construct(
        arm="uniform", seeds=[0, 1, 2], start_accuracy=0.15, random_test_accuracy=[accuracy] * 3
    )
    variant = VariantResult.model_construct(
        variant="batch 8", arms=[arm], thresholds=[], pairs=[*pairs], failed=[]
    )
    return verdict_paragraphs([variant], proxy=True, parameters=1_400_000, model="")


SAME: Called = "no difference"


@pytest.mark.parametrize(
    ("pairs", "said", "unsaid"),
    [
        ([("full", "lower"), ("random", SAME)], "faster only because it has fewer rows", "easier"),
        ([("full", "lower"), ("random", "lower")], "uniform against full: faster", "only because"),
        ([("random", "lower"), ("matched", SAME)], "faster only because its rows are easier", "fewer"),
        ([("random", "lower"), ("matched", "lower")], "uniform against random: faster", "only because"),
        ([("random", "higher"), ("matched", SAME)], "slower only because its rows are harder", "faster"),
        ([("random", SAME), ("matched", "higher")], "3 seeds could tell a factor of 1.40", "only because"),
        ([("random", "cannot be told")], "from one seed: cannot be told from noise", "no difference"),
    ],
)
def test_reason_for_speed(pairs: list[tuple[str, Called]], said: str, unsaid: str) -> None:
    made = [pair("uniform", second, called, *(["cannot be told"] * 2)) for second, called in pairs]  # type: ignore[arg-type]
    paragraph = told(*made)
    assert said in paragraph
    assert unsaid not in paragraph


def test_what_was_gained_on_rare_regions_and_lost_on_common_ones() -> None:
    assert "gained on rare regions (even test) what it lost on common ones" in told(
        pair("uniform", "random", SAME, "higher", "lower")
    )
    assert "gained on common regions" in told(pair("clumped", "random", SAME, "lower", "higher"))
    assert "gained" not in told(pair("uniform", "random", SAME, "lower", "lower"))


def test_choosing_that_costs_more_than_it_saves_is_said() -> None:
    assert "the steps saved did not pay" in told(pair("uniform", "random", "lower", SAME, SAME, cost=1.3))
    assert "did not pay" not in told(pair("uniform", "random", "lower", SAME, SAME, cost=0.7))


def test_a_loss_that_falls_without_better_predictions_is_named() -> None:
    faster = pair("uniform", "random", "lower", SAME, SAME)
    assert "before training (15.0 %; after it uniform 0.4 %)" in paragraphs(faster, accuracy=0.004)[1]
    assert "speed of learning" not in " ".join(paragraphs(faster, accuracy=0.2))


def test_rows_that_are_not_trained_on_are_counted() -> None:
    assert left_out_paragraph(1200, 0, 0, 192) == ""
    words = left_out_paragraph(1200, 22, 407, 192)
    assert "1,200 rows of the pool, 22 lie too near a test row" in words
    assert "407 have no response within the first 192 tokens" in words
