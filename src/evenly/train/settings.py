"""What a comparison is asked for and how its arms are trained: two records, the same for every arm.

A field with a description is an option of the commands that take the record; the description is its help.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import Field, create_model, field_validator, model_validator

from evenly.errors import MissingExtraError
from evenly.records import Frozen
from evenly.request import PoolRequest
from evenly.train.statistics import Judging

FEWEST_SEEDS, MOST_SEEDS = 3, 12
"""What ``seeds=auto`` begins and ends with. Two seeds say next to nothing of noise; if twelve do not settle it, the
difference is below a seed's own spread, and more rows are the better use of the time."""

LossName = Literal["cross-entropy", "l2", "l2-probabilities"]
Precision = Literal["bf16", "fp16", "fp32"]
Schedule = Literal["shuffled", "order", "growing"]


def require_training(feature: str) -> None:
    """Raises MissingExtraError, which says what to install, without trl, accelerate or peft."""
    if any(find_spec(name) is None for name in ("trl", "accelerate", "peft")):
        raise MissingExtraError(feature, "train")


class Lora(Frozen):
    """Low-rank adapters in place of full fine-tuning."""

    rank: int = Field(default=16, ge=1)
    alpha: float = 32.0
    targets: str = "all-linear"


class Training(Frozen):
    """The values of one training run. The defaults are those of the default proxy, not of the paper
    (the recipes paper/…)."""

    loss: LossName = Field(default="cross-entropy", description="cross-entropy, l2, l2-probabilities.")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="adamw or sgd.")
    rate: float | Literal["auto"] = Field(
        default="auto", description="Learning rate, constant after the warm-up; auto finds one for all arms."
    )
    betas: tuple[float, float] = (0.9, 0.999)  # AdamW only
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0, description="Of sgd.")
    weight_decay: float = Field(default=0.0, ge=0.0, description="Of the optimizer.")
    warmup_steps: int = Field(default=2, ge=0, description="Steps over which the rate rises to its value.")
    clip: float = Field(default=1.0, ge=0.0, description="Largest gradient norm; 0 does not clip.")
    epochs: float = Field(
        default=1.0, gt=0.0, description="Of the largest arm; every arm runs as many steps as that takes."
    )
    batch: int = Field(default=32, ge=1, description="Rows of mean length per step, over all devices.")
    batch_by: Literal["tokens", "rows"] = Field(
        default="tokens", description="tokens: arms with longer rows take fewer rows a step; or rows."
    )
    micro_batch: int = Field(default=8, ge=1, description="Rows per forward pass and device.")
    micro_tokens: int | None = Field(
        default=None, ge=1, description="Padded tokens per forward pass and device, in place of rows."
    )
    window: int = Field(default=512, ge=2, description="Most tokens of a row.")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto", description="auto, bf16, fp16, fp32."
    )
    gradient_checkpointing: bool = Field(default=False, description="Trade time for memory.")
    schedule: Schedule = Field(default="shuffled", description="shuffled, order, growing.")
    plain_template: bool = Field(default=False, description="Ignore the model's chat template.")
    lora: Lora | None = Field(default=None, description="Train adapters of this rank.")
    last_blocks: int | None = Field(
        default=None, ge=1, description="Train this many of the last blocks alone."
    )
    report_to: tuple[str, ...] = Field(
        default=(), description="wandb, tensorboard … as the trainer knows them."
    )

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError("momentum is for sgd; adamw has betas")
        if self.lora and self.last_blocks:
            raise ValueError("adapters (lora) and last_blocks are two ways to train a part; name one")
        if self.rate != "auto" and not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        return self


_READING = {name: name for name in PoolRequest.__dataclass_fields__} | {"precision": "encoder_precision"}
"""What the options of `PoolRequest` are called here, where another precision is that of training."""
_HINTS = get_type_hints(PoolRequest)
_FIELDS: dict[str, Any] = {
    name: (_HINTS[own], PoolRequest.__dataclass_fields__[own].default)
    for own, name in _READING.items()
    if own != "sources"
}
if TYPE_CHECKING:
    Reading = Frozen
else:
    Reading = create_model("Reading", __base__=Frozen, **_FIELDS)


class Request(Reading):
    """What a user asked a comparison to do; ``request.json``. The same request goes on where it was left.

    Beside the fields here it has the options of reading and embedding rows, as `PoolRequest` declares them.
    """

    format: int = 1
    sources: tuple[str, ...] = ()
    sources_sha256: tuple[str, ...] = ()  # filled in when they are read
    model: str | None = Field(
        default=None,
        description="Causal language model, a folder or hub id. Default: a small one made from the pool.",
    )
    training: Training = Training()
    keep: str = Field(
        default="50%",
        description="Size of the arms: a share or a count. Several (5%,10%,25%,100%) are a learning curve.",
    )
    arms: tuple[str, ...] = Field(
        default=("full", "random", "uniform"),
        description="Of full, random, uniform, clumped, matched, dedup, and strategies by name; or all of these.",
    )
    seeds: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=3,
        description="Seeds per arm, paired between arms; auto adds them until the verdict is called.",
    )
    until: float = Field(
        default=0.05,
        gt=0.0,
        lt=1.0,
        description="How often two equal arms may be called different, as a share (5%).",
    )
    pool: int | None = Field(default=None, description="Draw this many rows first. Default: all.")
    test: int = Field(default=200, ge=2, description="Rows of the random and of the even test.")
    near_copy: float = Field(
        default=0.05, ge=0.0, description="Leave out of all arms rows this near (1 - cos) to a test row."
    )
    to_loss: float | None = Field(
        default=None,
        gt=0.0,
        description="Count the steps to this loss on an arm's own rows too, as the paper does.",
    )
    measures: int = Field(default=8, ge=1, description="How often a run is measured along its way.")
    trim_vocabulary: bool = Field(
        default=False,
        description="Train without the tokens that no row of the pool holds: less memory and time.",
    )
    cache_frozen: bool = Field(
        default=False,
        description="With last blocks: run the blocks below once for each row, and keep what they give on disk.",
    )
    match_length: bool = Field(default=False, description="Give every arm the response lengths of the pool.")
    batches: tuple[int, ...] = ()  # the batch axis; empty takes the training's own
    schedules: tuple[Schedule, ...] = ()  # the schedule axis; empty takes the training's own
    passes: tuple[
        Annotated[float, Field(ge=1.0)], ...
    ] = ()  # the axis of epochs at equal steps, on fewer rows each
    select: tuple[str, ...] = ()  # NAME=OPTIONS of `evenly select`: selections made as further arms
    saved: tuple[str, ...] = ()  # NAME=FOLDER: saved selections as further arms
    save_models: bool = False

    def pool_request(self) -> PoolRequest:
        """Its rows and how they are embedded."""
        return PoolRequest(**{own: getattr(self, name) for own, name in _READING.items()})

    @model_validator(mode="after")
    def _axes_fit(self) -> Request:
        if not self.sizes:
            raise ValueError("keep names no size; give a share or a count")
        if len(self.sizes) > 1 and self.passes:
            raise ValueError("several sizes and several epochs are two axes of rows; name one of them")
        if len(self.sizes) > 1 and "100%" in self.sizes and "full" not in self.arms:
            raise ValueError("keep 100% among several sizes is the full set; add full to the arms")
        if len(self.sizes) > 1 and self.saved:
            raise ValueError("saved selections have one size; compare them with one keep")
        return self

    @field_validator("until", mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        return float(value[:-1]) / 100.0 if isinstance(value, str) and value.endswith("%") else value

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes of the arms; the full set, where it is an arm, is the last of several."""
        named = tuple(part.strip() for part in self.keep.split(",") if part.strip())
        if len(named) < 2 or "full" not in self.arms:
            return named
        return (*(size for size in named if size != "100%"), "100%")

    @property
    def most_seeds(self) -> int:
        """How many seeds every arm has at most."""
        return MOST_SEEDS if self.seeds == "auto" else self.seeds

    @property
    def rule(self) -> Judging:
        """How differences are judged."""
        return Judging(self.until, anytime=self.seeds == "auto", to_loss=self.to_loss)

    @property
    def reference(self) -> str:
        """The arm that the others are held against."""
        return "random" if "random" in self.arms else self.arms[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arms, the saved ones last."""
        return (*self.arms, *(named.partition("=")[0] for named in (*self.select, *self.saved)))
