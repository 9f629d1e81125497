"""What JSON records of several rooms hold: sources, outputs, encoders."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Frozen(BaseModel):
    """A model that refuses unknown fields and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(Frozen):
    """One source of the pool."""

    name: str  # as the user gave it
    sha256: str  # of its bytes (of the decompressed stream for standard input); of all its files for a folder
    rows: int
    form: str  # the record form, e.g. "alpaca (instruction, input, output)"


class OutputRecord(Frozen):
    """One written file of kept rows."""

    name: str  # path relative to the folder that holds the selection folder
    sha256: str
    rows: int


class EncoderRecord(Frozen):
    """What turned texts into vectors."""

    name: str  # minilm, a path or hub id, vectors:FILE, column:NAME
    identity: str  # hash of weights and settings; of the bytes for vectors given by the user
    dimension: int
    long_rows: int = 0  # rows longer than the encoder's window
    long: str = "cut"  # cut | mean
    precision: str = "auto"  # float32 or bfloat16 as used; auto where vectors were given
    averaged: int = (
        0  # of the long rows, under cut, those that begin alike: they were averaged over their windows
    )
    options: dict[str, Any] = Field(default={})  # of its kind, as asked
    notes: str = ""  # what was found of the encoder and the pool: layer, template, whitening …

    @model_serializer(mode="wrap")
    def _used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is none, as version 0.1.0 wrote it: the digest of a manifest is over its JSON."""
        later = ("averaged", "options", "notes")
        return {name: value for name, value in handler(self).items() if name not in later or value}
