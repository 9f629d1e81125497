"""What the ending of a file name says: the format and the compression. Content never decides the format."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal, NamedTuple

from evenly.errors import InputError

Format = Literal["json", "jsonl", "csv", "parquet", "arrow"]
Compression = Literal["", "gz", "xz", "zst"]

FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".xz": "xz", ".zst": "zst"}
KNOWN = f"{', '.join(FORMATS)}, each plain or with {', '.join(COMPRESSIONS)}"


class Kind(NamedTuple):
    """How a file is to be read or written."""

    format: Format
    compression: Compression


def kind_of(name: str) -> Kind | None:
    """The kind that the ending of ``name`` stands for, in any case; None where it stands for none."""
    plain = PurePath(name.lower())
    compression = COMPRESSIONS.get(plain.suffix, "")
    known = FORMATS.get((plain.with_suffix("") if compression else plain).suffix)
    return Kind(known, compression) if known else None


def check_kind(name: str) -> Kind:
    """As `kind_of`, with an error that lists the endings there are."""
    kind = kind_of(name)
    if kind is None:
        raise InputError(f"the ending of {name} names no known format; known: {KNOWN}")
    return kind
