"""What a comparison is asked for and how its arms are trained: two records, the same for every arm.

A field with a description is an option of the commands that take the record; the description is its help.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from pydantic import Field, create_model, model_validator

from evenly.errors import MissingExtraError
from evenly.records import Frozen
from evenly.request import PoolRequest

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
    window: int = Field(default=512, ge=2, description="Most tokens of a row.")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto", description="auto, bf16, fp16, fp32."
    )
    gradient_checkpointing: bool = Field(default=False, description="Trade time for memory.")
    schedule: Schedule = Field(default="shuffled", description="shuffled, order, growing.")
    plain_template: bool = Field(default=False, description="Ignore the model's chat template.")
    lora: Lora | None = Field(default=None, description="Train adapters of this rank.")
    report_to: tuple[str, ...] = Field(
        default=(), description="wandb, tensorboard … as the trainer knows them."
    )

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError("momentum is for sgd; adamw has betas")
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
    keep: str = Field(default="50%", description="Size of the arms: a share or a count.")
    arms: tuple[str, ...] = Field(
        default=("full", "random", "uniform"),
        description="Of full, random, uniform, clumped, matched, dedup, and strategies by name; or all of these.",
    )
    seeds: int = Field(default=3, ge=1, description="Seeds per arm, paired between arms.")
    pool: int | None = Field(default=None, description="Draw this many rows first. Default: all.")
    test: int = Field(default=200, ge=2, description="Rows of the random and of the even test.")
    near_copy: float = Field(
        default=0.05, ge=0.0, description="Leave out of all arms rows this near (1 - cos) to a test row."
    )
    match_length: bool = Field(default=False, description="Give every arm the response lengths of the pool.")
    batches: tuple[int, ...] = ()  # the batch axis; empty takes the training's own
    schedules: tuple[Schedule, ...] = ()  # the schedule axis; empty takes the training's own
    select: tuple[str, ...] = ()  # NAME=OPTIONS of `evenly select`: selections made as further arms
    saved: tuple[str, ...] = ()  # NAME=FOLDER: saved selections as further arms
    save_models: bool = False

    def pool_request(self) -> PoolRequest:
        """Its rows and how they are embedded."""
        return PoolRequest(**{own: getattr(self, name) for own, name in _READING.items()})

    @property
    def reference(self) -> str:
        """The arm that the others are held against."""
        return "random" if "random" in self.arms else self.arms[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arms, the saved ones last."""
        return (*self.arms, *(named.partition("=")[0] for named in (*self.select, *self.saved)))

    def variants(self) -> list[Training]:
        """The training of each point of the batch and schedule axes."""
        return [
            self.training.model_copy(update={"batch": batch, "schedule": schedule})
            for batch in self.batches or (self.training.batch,)
            for schedule in self.schedules or (self.training.schedule,)
        ]
