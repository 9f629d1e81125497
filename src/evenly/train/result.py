"""The result of a comparison as data: ``comparison.json``. Tables, verdicts and pages are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.records import Frozen
from evenly.train.settings import Request

RESULT_FILE = "comparison.json"
SPEED = "steps to equal own loss"
COMMON = "random test at equal steps"
RARE = "even test at equal steps"
COST = "total cost to equal own loss"

Called = Literal["lower", "higher", "no difference", "cannot be told"]
"""What may be said of the first arm's value against the second's."""


class Answer(Frozen):
    """One question about two arms, answered over paired seeds."""

    question: str  # the name of one of the QUESTIONS in verdict.py
    main: bool  # judged together with the other main questions (Holm); others count only if a main one stands
    scale: Literal["ratio", "difference"]  # ratio: first / second
    first: float | None  # mean over seeds (geometric for ratios)
    second: float | None
    value: float | None  # ratio or difference
    standard_error: float | None  # of the difference, or of the logarithm of the ratio; None where infinite
    low: float | None  # 95 % interval of this question alone
    high: float | None
    p: float
    seeds: int
    called: Called
    detectable: (
        float | None
    )  # the smallest difference, or ratio above 1, that these seeds could have told apart


class ArmPair(Frozen):
    """Two arms compared: the first against the second."""

    first: str
    second: str
    answers: list[Answer]

    def answer(self, question: str) -> Answer | None:
        """The answer to a question, where it could be asked."""
        return next((answer for answer in self.answers if answer.question == question), None)

    def called(self, question: str) -> Called:
        """What is said of the first arm there."""
        answer = self.answer(question)
        return answer.called if answer else "cannot be told"


class Threshold(Frozen):
    """When each run of an arm came down to a level; None where it never did."""

    arm: str
    kind: Literal["loss", "drop"]
    level: float
    steps: list[float | None]  # by seed
    tokens: list[float | None]
    seconds: list[float | None]
    total: list[float | None]


class ArmSummary(Frozen):
    """An arm over its finished runs; lists go by seed."""

    arm: str
    seeds: list[int]
    rows: list[int]
    tokens_per_row: float
    response_tokens_per_row: float
    truncated: float
    dropped: int
    initial_loss: list[float]
    own_loss: list[float]  # all own rows at the end
    random_test: list[float]  # at equal steps: the end
    even_test: list[float]
    start_accuracy: float  # on the random test before training: share of response tokens predicted right
    random_test_accuracy: list[float]
    even_test_accuracy: list[float]
    batch: list[int]
    steps: int
    tokens: list[int]
    seconds: list[float]  # of training
    cost_seconds: list[float]  # of embedding and selecting
    random_test_epochs: list[float] = Field(
        default=[]
    )  # at equal epochs: arms of one size have passed equal rows then
    even_test_epochs: list[float] = Field(default=[])
    random_test_answers: list[float] = Field(
        default=[]
    )  # at equal answer tokens: those that every arm has by its end
    even_test_answers: list[float] = Field(default=[])
    answers: list[int] = Field(default=[])  # answer tokens trained on by the end
    by_source: dict[str, list[float]] = Field(
        default={}
    )  # of the random test's rows of each source, at equal steps


class ZeroShot(Frozen):
    """The model before any training, on the same test rows."""

    random_test: float
    even_test: float
    random_test_accuracy: float
    by_source: dict[str, float] = Field(default={})


class VariantResult(Frozen):
    """One point of the batch and schedule axes."""

    variant: str
    arms: list[ArmSummary]
    thresholds: list[Threshold]
    pairs: list[ArmPair]
    failed: list[str]  # runs that did not finish, one line each
    zero_shot: ZeroShot | None = None

    def pair(self, first: str, second: str) -> ArmPair | None:
        """The two arms compared, where they were."""
        return next((each for each in self.pairs if (each.first, each.second) == (first, second)), None)


class FewestRows(Frozen):
    """The rows with which an arm has the full set's loss on the random test.

    The loss is read along the sizes of the arm, on straight lines over the logarithm of rows, seed by seed. Within
    noise means: not above the full set's loss by more than one standard deviation of it over seeds.
    """

    arm: str
    rows: float  # geometric mean over seeds
    low: float | None  # 95 % interval; None with one seed
    high: float | None
    full_rows: float
    noise: float  # the standard deviation above
    seeds: int
    at_most: bool  # the smallest size was enough for some seed, so fewer rows may do


class Evidence(Frozen):
    """What the forecast looks at, of the rows that arms may take; see `evenly.jobs.evidence`."""

    rows: int  # measured on
    roughness: float  # of answers over prompts: 0 smooth, 1 independent
    trapped: float  # share of the variance of answers between near-copies of prompts
    redundancy: float  # share of prompts within near_copy of another


class ComparisonResult(Frozen):
    """Everything a verdict rests on."""

    format: int = 1
    evenly: str
    created: str
    request: Request
    model: str
    model_identity: str
    parameters: int
    proxy: bool
    rate: float
    pool_rows: int
    test_rows: dict[str, int]
    left_out: int  # pool rows in no arm because they are, or nearly are, a test row
    beyond_window: int = (
        0  # pool rows in no arm and no test because their response lies wholly beyond the window
    )
    variants: list[VariantResult]
    reaches: list[FewestRows] = Field(default=[])  # with several sizes: how few rows do
    evidence: Evidence | None = None
    verdict: list[str]  # paragraphs
    versions: dict[str, str]


def write_result(result: ComparisonResult, folder: Path) -> None:
    """Writes ``folder/comparison.json``."""
    write_atomically(folder / RESULT_FILE, result.model_dump_json(indent=2) + "\n")


def read_result(folder: Path) -> ComparisonResult:
    """Reads ``folder/comparison.json``.

    Raises:
        InputError: none there, or one that this version cannot read.
    """
    path = folder / RESULT_FILE
    try:
        return ComparisonResult.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no {RESULT_FILE}; name the folder that compare wrote") from None
    except ValidationError as error:
        raise InputError(f"{path} does not hold a comparison: {error.errors()[0]['msg']}") from None
