"""Scores of rows in a file beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from evenly.errors import InputError
from evenly.rows.columns import Scalar
from evenly.rows.rows import Rows
from evenly.rows.sources import read_records, read_rows

HASH = "hash"
"""The column of a file of scores that says which text each is of."""


def row_hashes(rows: Rows) -> list[str]:
    """Of every row the first 16 digits of the SHA-256 of its texts: prompt, answer, other answer."""
    parts = ((text.prompt, text.response, text.rejected) for text in rows.all_texts())
    return [hashlib.sha256("\0".join(part).encode()).hexdigest()[:16] for part in parts]


def scores_of_file(rows: Rows, file: str, field: str) -> Sequence[Scalar]:
    """A score of every row from a file.

    Scores belong to the rows of the same text, where the file says which: by the hashes that `evenly score`
    writes, or by the texts that it holds itself. Else they are taken in order, and there must be as many.

    Raises:
        InputError: no such field, or scores of other rows.
    """
    hashes, scores = _hashed(file, field)
    if hashes is None:
        if len(scores) != len(rows):
            raise InputError(
                f"{file} holds {len(scores):,} scores and the pool {len(rows):,} rows; without a column {HASH}, or the "
                "texts beside them, scores are taken in order, one for each row"
            )
        return scores
    known = dict(zip(hashes, scores, strict=True))
    own = row_hashes(rows)
    missing = [row for row, one in enumerate(own) if one not in known]
    if missing:
        raise InputError(
            f"{file} holds scores of other rows: {len(missing):,} of {len(rows):,} rows have none, the first is "
            f"{rows.ids[missing[0]]}; score these rows, and read them with the same `text` both times"
        )
    return [known[one] for one in own]


def _hashed(file: str, field: str) -> tuple[list[str] | None, list[Scalar]]:
    """Hashes of the rows that a file has scores of, None where it does not say, and the scores."""
    records = read_records(file)
    if records and HASH in records[0]:
        hashes: list[str] | None = [str(record.get(HASH)) for record in records]
    else:
        hashes = _hashes_of_texts(file)
    if not any(field in record for record in records):
        known = ", ".join(records[0]) if records else "nothing"
        raise InputError(f"{file} has no field {field!r}; it holds {known}")
    return hashes, [record.get(field) for record in records]


def _hashes_of_texts(file: str) -> list[str] | None:
    try:
        return row_hashes(read_rows([file]))
    except InputError:  # it holds scores alone
        return None
