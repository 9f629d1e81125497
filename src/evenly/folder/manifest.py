"""The record of a selection, and the folder that holds it: what lets someone else check or repeat it.

A selection folder ``kept.evenly/`` holds

* ``manifest.json``: a `Manifest`;
* ``order.parquet``: one line per pool row, in pool order, with the columns of `ORDER_SCHEMA`;
* ``view.parquet``: one line per pool row, what a person sees of it (columns of `VIEW_SCHEMA`, then one column
  ``field:NAME`` for each scalar field of the records worth colouring by);
* ``measures.json``: measures of the pool, the kept rows and random subsets, as `evenly.measures` returns them;
* ``set_aside.parquet``, where a control kept rows from being picked: which, and why;
* ``report.html``: the page made from the files above.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationError

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.records import EncoderRecord, Frozen, OutputRecord, SourceRecord

MANIFEST_FILE = "manifest.json"
ORDER_FILE = "order.parquet"
VIEW_FILE = "view.parquet"
MEASURES_FILE = "measures.json"
SET_ASIDE_FILE = "set_aside.parquet"
REPORT_FILE = "report.html"

ORDER_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # pool row number: 0 … N-1 over all sources in the order given
        ("id", pa.string()),  # the record's own id where it has one, else "NAME:NUMBER" (see Rows.ids)
        ("rank", pa.int64()),  # order of picking, null where not kept
        ("radius", pa.float64()),  # distance to the nearest earlier pick; null for rank 0 and where not kept
        ("keeper", pa.int64()),  # nearest kept row; a kept row's own number; N + i for anchor i
        ("keeper_distance", pa.float64()),  # metric's distance to it
        (
            "part",
            pa.int64(),
        ),  # the certificate's proof: fewer parts than kept rows, none wider than its bound
    ]
)

VIEW_SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),  # excerpt, at most VIEW_CHARACTERS
        ("response", pa.string()),  # excerpt, at most VIEW_CHARACTERS; empty for plain text
        ("characters", pa.int64()),  # length of the whole text
        ("x", pa.float32()),  # first two principal components of the vectors the order was made on
        ("y", pa.float32()),
    ]
)
VIEW_CHARACTERS = 280

SET_ASIDE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("reason", pa.string()),  # the control that kept it from being picked: guard, avoid, floor, dedup
        ("detail", pa.string()),  # what it found, e.g. "0.24 from row 293 of test.jsonl"
    ]
)


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
    start_rule: str  # nearest-mean | row | random
    seed: int
    allow_copies: bool = False
    exhausted: bool = False
    h_min: float | None  # None for a single kept row
    fill: float
    order_sha256: str  # of order.parquet
    vectors_sha256: str  # of the float32 rows the order was made on (after normalising), little-endian by row
    seconds: dict[str, float]  # per stage
    versions: dict[str, str]  # python and the libraries that matter
    options: dict[str, Any] = Field(default={})  # controls beyond the above, by name
    files: dict[str, str] = Field(default={})  # SHA-256 of the other files of the folder, by name
    digest: str = ""  # SHA-256 of this record with an empty digest; write_manifest fills it

    def own_digest(self) -> str:
        """What ``digest`` should be: another value means that the record was changed since."""
        content = self.model_copy(update={"digest": ""}).model_dump_json()
        return hashlib.sha256(content.encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Writes ``folder/manifest.json`` with its own digest in it."""
    sealed = manifest.model_copy(update={"digest": manifest.own_digest()})
    write_atomically(folder / MANIFEST_FILE, sealed.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Reads ``folder/manifest.json``.

    Raises:
        InputError: no selection folder there, or a manifest this version cannot read.
    """
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no {MANIFEST_FILE}; name the folder that select wrote, e.g. kept.evenly/"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error}); it was changed since select wrote it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} does not hold a manifest: {where}: {first['msg']}") from None
