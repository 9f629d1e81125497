"""How the arms of a comparison are trained: one record, the same for every arm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from evenly.records import Frozen
from evenly.train.losses import LossName
from evenly.train.order import Schedule


class Lora(Frozen):
    """Low-rank adapters in place of full fine-tuning."""

    rank: int = Field(default=16, ge=1)
    alpha: float = 32.0
    targets: str = "all-linear"


class Training(Frozen):
    """The values of one training run. The defaults are those of the default proxy, not of the paper
    (the recipes paper/…)."""

    loss: LossName = "cross-entropy"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    rate: float | Literal["auto"] = "auto"
    betas: tuple[float, float] = (0.9, 0.999)  # AdamW only
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)  # SGD only
    weight_decay: float = Field(default=0.0, ge=0.0)
    warmup_steps: int = Field(default=2, ge=0)  # linear; the rate is constant afterwards
    clip: float = Field(default=1.0, ge=0.0)  # largest gradient norm; 0 does not clip
    epochs: float = Field(
        default=1.0, gt=0.0
    )  # of the largest arm; every arm runs as many steps as that takes
    batch: int = Field(default=32, ge=1)  # rows of mean length per step, over all devices
    batch_by: Literal["tokens", "rows"] = "tokens"  # tokens: arms with longer rows take fewer rows a step
    micro_batch: int = Field(default=8, ge=1)  # rows per forward pass and device
    window: int = Field(default=512, ge=2)  # tokens
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    gradient_checkpointing: bool = False
    schedule: Schedule = "shuffled"
    plain_template: bool = False  # ignore the model's chat template
    lora: Lora | None = None
    report_to: tuple[str, ...] = ()  # the trainer's own reporters: wandb, tensorboard …

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError("momentum is for sgd; adamw has betas")
        if self.rate != "auto" and not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        return self
