"""The options of `evenly compare` and `evenly train`, made from the records that they fill.

Each is None where the user named nothing, so that the values of a recipe hold; the records check them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from typing import Any, Literal

import typer

from evenly.cli.options import FLAGS, as_named
from evenly.records import Frozen
from evenly.request import PoolRequest, option
from evenly.train.settings import Request, Training

SEVERAL = ("batch", "schedule", "epochs")
"""Options of a comparison that take several values with commas between them: an axis of it."""


def options_of(record: type[Frozen], group: str, *, leave_out: tuple[str, ...] = ()) -> type:
    """A dataclass of the fields of a record that have a description, for `evenly.cli.options.takes`."""
    shown = {
        name: field
        for name, field in record.model_fields.items()
        if field.description is not None and name not in leave_out
    }
    return make_dataclass(
        f"{record.__name__}Options",
        [
            (
                name,
                _kind(record, name),
                option(None, _help(name, field), group=group, flag=FLAGS.get(name, "")),
            )
            for name, field in shown.items()
        ],
        frozen=True,
    )


def _kind(record: type[Frozen], name: str) -> type:
    if record is Training and name in SEVERAL:
        return str
    if name == "lora":
        return int  # the rank
    if name == "until":
        return str  # 5%
    given: Any = record.model_fields[name].annotation
    return {bool: bool, int: int, float: float, int | None: int, float | None: float}.get(given, str)


def _help(name: str, field: Any) -> str:
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    several = " Several with commas are an axis of a comparison." if name in SEVERAL else ""
    return f"{field.description}{several}" + ("" if default in (None, False, "") else f" [{default}]")


_SHARED = {
    name: one.metadata["option"]
    for name, one in PoolRequest.__dataclass_fields__.items()
    if "option" in one.metadata
}


@dataclass(frozen=True)
class RecipePoolRequest(PoolRequest):
    """The same where a recipe may name the sources, and where models are trained, in a precision of their own."""

    sources: Sequence[str] = option((), f"{_SHARED['sources'].help} May come from the recipe.", argument=True)
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", _SHARED["precision"].help, group=_SHARED["precision"].group, flag="--encoder-precision"
    )


COMPARE_OPTIONS = options_of(Request, "The comparison")
COMPARED_TRAINING = options_of(Training, "Training")
TRAINING = options_of(Training, "Training", leave_out=("rate", "batch_by"))


def as_read(reading: RecipePoolRequest, context: typer.Context) -> dict[str, Any]:
    """What a user named of the options of reading rows, as `evenly.train.recipes.make_request` takes it."""
    typed = as_named(reading, context)
    if "precision" in typed:
        typed["encoder_precision"] = typed.pop("precision")
    return typed


def named(options: Any) -> dict[str, Any]:
    """What a user named of such options, as `evenly.train.recipes.make_request` takes it."""
    values = dict(vars(options))
    for name in ("arms", "report_to"):
        if name in values:
            values[name] = names(values[name])
    for name, axis in (("batch", "batches"), ("schedule", "schedules"), ("epochs", "passes")):
        several = names(values.get(name)) or ()
        if len(several) > 1:
            values[name], values[axis] = None, several
    if values.get("lora"):
        values["lora"] = {"rank": values["lora"]}
    return values


def names(text: str | None) -> tuple[str, ...] | None:
    """Splits a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None
