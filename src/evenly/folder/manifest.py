"""manifest.json, everything needed to repeat a selection and to check it; and measures.json beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from evenly.errors import InputError
from evenly.files import file_sha256, write_atomically
from evenly.folder.reading import read_json
from evenly.records import EncoderRecord, Frozen, OutputRecord, SourceRecord

MANIFEST_FILE = "manifest.json"
MEASURES_FILE = "measures.json"
REPORT_FILE = "report.html"


class Options(Frozen):
    """What a selection was asked for beyond a size; in JSON only those that were used.

    The digest of a manifest is over its JSON, so the order of the fields is part of the format.
    """

    split: str | None = None  # of a dataset
    controls: dict[str, Any] = Field(default={})  # by name, as asked
    given: int = (
        0  # picks at the start that were kept before: must-keep rows, or those of a selection extended
    )
    strategy: str | None = None  # a rival of the max-min order
    refine: bool = False
    keep_left_out: bool = False  # the controls alone said how much to keep
    skip_empty: bool = False  # rows without text and blank lines are no rows of the pool
    order: str | None = None  # picked: the written rows are in the order of picking, not of their source
    appended: dict[str, int] = Field(
        default={}
    )  # rows that were not picked and are written behind those that were: copies, excluded
    strip_shared: bool = False  # texts were embedded without what many rows of a source share

    @model_serializer(mode="wrap")
    def _used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value}


class Manifest(Frozen):
    """Everything needed to repeat a selection and to check it."""

    format: int = 1
    evenly: str  # version
    created: str  # ISO 8601, UTC
    sources: list[SourceRecord]
    outputs: list[OutputRecord]
    encoder: EncoderRecord
    text: str | None  # --text as given
    part: str  # all | prompt | response
    metric: str
    keep: str  # as asked
    asked: int  # picks asked for
    kept: int
    pool_rows: int
    start: int  # row number of the first pick
    start_rule: str  # nearest-mean | row | random | given | sequence | strategy
    seed: int
    allow_copies: bool = False
    exhausted: bool = False
    h_min: float | None  # None for a single kept row
    fill: float
    order_sha256: str  # of order.parquet
    vectors_sha256: str  # of the float32 rows the order was made on (after normalising), little-endian by row
    seconds: dict[str, float]  # per stage
    versions: dict[str, str]  # python and the libraries that matter
    options: Options = Options()  # what was asked for beyond the above
    files: dict[str, str] = Field(default={})  # SHA-256 of the other files of the folder, by name
    digest: str = ""  # SHA-256 of this record with an empty digest; write_manifest fills it

    def own_digest(self) -> str:
        """What ``digest`` should be: another value means that the record was changed since."""
        content = self.model_copy(update={"digest": ""}).model_dump_json()
        return hashlib.sha256(content.encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> Manifest:
    """Writes ``folder/manifest.json`` with its own digest in it, and returns it as written."""
    sealed = manifest.model_copy(update={"digest": manifest.own_digest()})
    write_atomically(folder / MANIFEST_FILE, sealed.model_dump_json(indent=2) + "\n")
    return sealed


def read_manifest(folder: Path) -> Manifest:
    """Reads ``folder/manifest.json``.

    Raises:
        InputError: not there, or a manifest that this version cannot read.
    """
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no {MANIFEST_FILE}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} does not hold a manifest: {where}: {first['msg']}") from None


def write_measures(measures: dict[str, Any], folder: Path) -> str:
    """Writes ``folder/measures.json``: measures of pool, kept rows and random sets, the certificate, and what the
    controls did. Returns the file's SHA-256."""
    path = folder / MEASURES_FILE
    write_atomically(path, json.dumps(measures, indent=1, allow_nan=False) + "\n")
    return file_sha256(path)


def read_measures(folder: Path) -> dict[str, Any]:
    """What ``folder/measures.json`` holds; nothing where it is missing.

    Raises:
        InputError: the file was changed.
    """
    path = folder / MEASURES_FILE
    return read_json(path) if path.exists() else {}
