"""Training one arm with TRL's SFTTrainer, measured as it goes, resumable at any moment."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset
from safetensors import SafetensorError
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from evenly.errors import InputError
from evenly.files import one_line_errors
from evenly.train.curves import CurveWriter
from evenly.train.examples import Examples
from evenly.train.head import predict
from evenly.train.models import choose_precision, load_trainable, processes
from evenly.train.order import micro_batches, sorted_within_steps, step_rows
from evenly.train.plan import Run
from evenly.train.row_losses import RowLosses, pad_batch, row_losses
from evenly.train.settings import Training
from evenly.train.smaller import padding_of, write_as_named
from evenly.types import Int64Array, Progress, silent

CHECKPOINTS = 6
"""A run saves its state this many times; what is lost when it is killed is at most a sixth of it."""


class DivergedError(RuntimeError):
    """The loss of a step is not finite."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step}; lower the `rate` or clip harder")
        self.step = step


def train_run(run: Run, examples: Examples, tokenizer: Any, *, progress: Progress = silent) -> None:
    """Trains one run from where it was left, and writes its curve to ``run.folder``.

    The same run gives the same curve: rows come in a fixed order, adapters and dropout from the seed; a run
    that was interrupted goes on from its last checkpoint with the state of optimiser, schedule and random
    numbers.

    Raises:
        DivergedError: the loss became NaN or infinite; the curve up to there is kept.
        InputError: fewer rows in a step than processes; checkpoints or the model cannot be written.
    """
    if run.batch < processes().num_processes:
        raise InputError(
            f"a step of {run.batch} rows cannot be shared by {processes().num_processes} processes; raise `batch`"
        )
    with one_line_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = last_checkpoint(run.folder)
    # The arguments come first: under ZeRO-3 they tell the loading to shard the weights as they are read.
    parts = _parts_of_steps(run, examples)
    arguments = _arguments(run, len(parts[0]) // processes().num_processes)
    model = load_trainable(run.model, run.training, run.seed)
    trainer = ArmTrainer(run, arguments, (examples, parts), tokenizer, model, progress)
    with _one_line_errors(run.folder):
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            if trainer.is_world_process_zero():
                trainer.writer.write()
        for path in run.folder.glob("checkpoint-*"):
            shutil.rmtree(path, ignore_errors=True)
        if run.save_model:
            trainer.save_model(str(run.folder / "model"))
            if trainer.is_world_process_zero():
                tokenizer.save_pretrained(run.folder / "model")
                write_as_named(run.folder / "model", run.model)


@contextmanager
def _one_line_errors(folder: Path) -> Iterator[None]:
    """What cannot be written of a run, as `evenly.files.one_line_errors`; safetensors has an error of its own."""
    with one_line_errors(folder):
        try:
            yield
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from None


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole: one whose state, the last file written, can be read."""
    for path in sorted(
        folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True
    ):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue
        return path
    return None


class ArmTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with the rows of each step fixed beforehand and the loss computed by the plain formulas.

    TRL computes its own loss from hidden states, past the head, and shows a custom loss function other
    outputs than a plain forward pass; so the loss is computed here, from the logits of the model as it is.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        run: Run,
        arguments: SFTConfig,
        rows: tuple[Examples, list[list[Int64Array]]],
        tokenizer: Any,
        model: Any,
        progress: Progress,
    ) -> None:
        self.run = run
        self.examples, self.parts = rows
        self.pad_id = padding_of(tokenizer, run.model)
        self.precision = choose_precision(run.training.precision)
        self.writer = CurveWriter(run.folder)
        self.step_loss = 0.0
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"input_ids": np.arange(len(self.examples))}),
            data_collator=self._collate,
            processing_class=tokenizer,
            callbacks=[_Clockwork(self, progress)],
        )
        self.model_accepts_loss_kwargs = True  # so that the response tokens of a whole step are counted
        self.remove_callback(transformers.PrinterCallback)
        self.remove_callback(transformers.ProgressCallback)

    def _collate(self, items: list[dict[str, int]]) -> dict[str, torch.Tensor]:
        return pad_batch(self.examples, [item["input_ids"] for item in items], self.pad_id)

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """Hands out this process's micro-batches; Accelerate's own sharding wants batches of one size."""
        parts = [part for step in self.parts for part in step]
        mine = parts[self.accelerator.process_index :: self.accelerator.num_processes]
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=_MicroBatches(mine), collate_fn=self._collate
        )

    def create_optimizer(self, *model: Any) -> torch.optim.Optimizer:
        """Makes the optimiser of the settings; called when the weights have their final place."""
        self.optimizer = _make_optimizer(
            model[0] if model and model[0] is not None else self.model, self.run.training
        )
        return self.optimizer

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        predicted = predict(model, **inputs)
        tokens = len(predicted.labels) if num_items_in_batch is None else num_items_in_batch
        loss = predicted.loss(self.run.training.loss, tokens)
        # Devices average their gradients while the loss is a sum over all of them.
        loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes none: a checkpoint of a comparison is no model to publish."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.step_loss += float(loss)
        return loss

    def measure(self, parts: dict[str, Int64Array]) -> dict[str, RowLosses]:
        """The losses of each part's rows under the model as it is now."""
        share = (self.accelerator.process_index, self.accelerator.num_processes)
        return {
            name: row_losses(
                self.model_wrapped,
                self.examples,
                rows,
                self.run.training.loss,
                self.precision,
                self.pad_id,
                share=share,
            )
            for name, rows in parts.items()
        }


def _parts_of_steps(run: Run, examples: Examples) -> list[list[Int64Array]]:
    """The rows of every step, longest first, in micro-batches: as many for each."""
    lengths, training = examples.lengths(), run.training
    positions = step_rows(len(run.rows), run.batch, run.steps, run.seed, training.schedule)
    steps = run.rows[sorted_within_steps(positions, lengths[run.rows])]
    world = int(processes().num_processes)
    if training.micro_tokens is None:
        count = world * -(-run.batch // (world * training.micro_batch))
        return [np.array_split(rows, count) for rows in steps]
    cuts = micro_batches(lengths[steps], training.micro_tokens, world)
    return [[rows[cut] for cut in parts] for rows, parts in zip(steps, cuts, strict=True)]


def _arguments(run: Run, micro_batches_each: int) -> SFTConfig:
    training = run.training
    precision = choose_precision(training.precision)
    return SFTConfig(
        output_dir=str(run.folder),
        per_device_train_batch_size=training.micro_batch,
        gradient_accumulation_steps=micro_batches_each,
        max_steps=run.steps,
        learning_rate=float(training.rate),
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=training.warmup_steps,
        max_grad_norm=training.clip,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        seed=run.seed,
        data_seed=run.seed,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=max(1, -(-run.steps // CHECKPOINTS)),
        save_total_limit=1,
        logging_steps=10,
        logging_nan_inf_filter=False,
        report_to=list(training.report_to) or "none",
        run_name=run.key,
        dataloader_pin_memory=torch.cuda.is_available(),
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        loss_type="nll",
        packing=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        **{_checkpointing_option(): training.gradient_checkpointing},
    )


class _Clockwork(TrainerCallback):  # type: ignore[misc]
    """Times the steps, watches the loss, and measures at the appointed steps."""

    def __init__(self, trainer: ArmTrainer, progress: Progress) -> None:
        self.trainer = trainer
        self.progress = progress
        self.tokens, self.seconds, self.started = 0, 0.0, 0.0
        lengths = trainer.examples.lengths()
        self.step_tokens = [int(sum(lengths[part].sum() for part in step)) for step in trainer.parts]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step > 0:
            self.tokens, self.seconds = self.trainer.writer.resume(state.global_step)
        else:
            self._measure(0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.step_loss = 0.0
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trainer, step = self.trainer, int(state.global_step)
        self.seconds += time.perf_counter() - self.started
        self.tokens += int(self.step_tokens[step - 1])
        loss = _mean_over_processes(trainer, trainer.step_loss)
        trainer.writer.batch(loss, **self._moment(step))
        if not np.isfinite(loss):
            raise DivergedError(step, loss)
        self._measure(step)
        self.progress(f"train {trainer.run.key}", step, trainer.run.steps)

    def _moment(self, step: int) -> dict[str, float]:
        epoch = step * self.trainer.run.batch / len(self.trainer.run.rows)
        return {"step": step, "epoch": epoch, "tokens": self.tokens, "seconds": self.seconds}

    def _measure(self, step: int) -> None:
        run = self.trainer.run
        parts = dict(run.samples) if step in run.measure_at else {}
        if step in run.arm_at:
            parts["arm"] = run.rows
        if parts:
            known = run.initial if step == 0 else None
            measured = (
                {name: known.of(rows) for name, rows in parts.items()}
                if known
                else self.trainer.measure(parts)
            )
            if self.trainer.is_world_process_zero():
                self.trainer.writer.measured(measured, **self._moment(step))


def _make_optimizer(model: Any, training: Training) -> torch.optim.Optimizer:
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate = float(training.rate)
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            weights, lr=rate, momentum=training.momentum, weight_decay=training.weight_decay
        )
    return torch.optim.AdamW(weights, lr=rate, betas=training.betas, weight_decay=training.weight_decay)


def _mean_over_processes(trainer: ArmTrainer, value: float) -> float:
    if trainer.accelerator.num_processes == 1:
        return value
    parts = trainer.accelerator.gather(torch.tensor([value], device=trainer.accelerator.device))
    return float(parts.mean())


class _MicroBatches(torch.utils.data.Sampler[list[int]]):  # type: ignore[misc]
    """A fixed list of micro-batches of pool row numbers."""

    def __init__(self, batches: list[Int64Array]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)


def _checkpointing_option() -> str:
    """Transformers renamed it; the old name warns and the new one is not everywhere yet."""
    fields = SFTConfig.__dataclass_fields__
    return "activation_checkpointing" if "activation_checkpointing" in fields else "gradient_checkpointing"
