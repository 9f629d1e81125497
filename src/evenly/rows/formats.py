"""The formats there are, and what the ending of a file name says of them.

Adding one is a module with a `FileFormat` and a line in `FORMATS`. A name ends in that of a format, and may have
that of a compression behind it.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import NamedTuple

from evenly.errors import InputError
from evenly.rows.arrow import ARROW
from evenly.rows.comma_separated import CSV, TSV
from evenly.rows.compression import COMPRESSIONS, Compression
from evenly.rows.fileformat import FileFormat
from evenly.rows.hub import DATASET
from evenly.rows.json_files import JSON_ARRAY, JSON_LINES, SESSION
from evenly.rows.parquet import PARQUET

FORMATS: tuple[FileFormat, ...] = (JSON_ARRAY, JSON_LINES, CSV, TSV, PARQUET, ARROW, SESSION, DATASET)


class Kind(NamedTuple):
    """How a file is to be read or written."""

    format: FileFormat
    compression: Compression | None


def known_endings() -> str:
    """The endings there are, in words."""
    formats = ", ".join(dict.fromkeys(ending for each in FORMATS for ending in each.endings))
    packed = ", ".join(each.ending for each in COMPRESSIONS)
    return f"{formats}, each plain or with {packed}; .zip and .tar of JSON Lines or of one file"


def format_named(name: str) -> FileFormat:
    """The format of that name; it must be there."""
    return next(each for each in FORMATS if each.name == name)


def kind_of(name: str) -> Kind | None:
    """The kind that the ending of ``name`` stands for, in any case; None where it stands for none."""
    plain = PurePath(name.lower())
    compression = next((each for each in COMPRESSIONS if each.ending == plain.suffix), None)
    ending = (plain.with_suffix("") if compression else plain).suffix
    known = next((each for each in FORMATS if ending in each.endings), None)
    return Kind(known, compression) if known else None


def check_kind(name: str) -> Kind:
    """As `kind_of`, with an error that lists the endings there are."""
    kind = kind_of(name)
    if kind is None:
        vectors = (
            "; vectors go beside their rows, as `encoder=vectors:FILE.npy`" if name.endswith(".npy") else ""
        )
        raise InputError(f"the ending of {name} names no known format; known: {known_endings()}{vectors}")
    return kind


def ending_of(name: str) -> str:
    """The ending that stands for a kind, as it is written: ".jsonl.gz"; empty where there is none."""
    kind = kind_of(name)
    return "".join(PurePath(name).suffixes[-2 if kind.compression else -1 :]) if kind else ""


def stem_of(name: str) -> str:
    """A file's name without the ending that stands for its kind; other dots belong to the name."""
    file = PurePath(name).name
    return file.removesuffix(ending_of(file))
