"""The rows that a page carries: which ones, how much of their text, and as which JSON columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenly.folder.selection import SelectionFolder
from evenly.folder.view import VIEW_CHARACTERS
from evenly.types import Float64Array, Int64Array

TEXT_BYTES = 16_000_000  # of all excerpts in a page; keeps 52,002 rows under 25 MB with everything else
EXCERPT_CHARACTERS = (VIEW_CHARACTERS, 240, 200, 160, 120, 80, 40, 20)
ITEMS_PER_PIECE = 4096  # of a list, when JSON is made in pieces
COLOUR_VALUES = (
    7  # distinct values that get a colour of their own; as many as stay apart for colour-blind readers
)
WORD_CHARACTERS = 80  # of a field's value
COLOUR_FIELDS = 8  # fields that travel with every point

# Marks that reorder the text around them, or that no font shows. Row text must not rearrange the page.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029]")


def visible(text: str) -> str:
    """Shows controls that would reorder or hide text as their code points, e.g. ⟨U+202E⟩."""
    if text.isprintable():  # most texts of one line; much faster than the search
        return text
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text)


def excerpt(text: str, characters: int) -> str:
    """At most so many characters of a text, made visible; an ellipsis ends it where it was cut."""
    return visible(text if len(text) <= characters else text[: characters - 1] + "…")


def script_json(value: Any) -> str:
    """JSON that may stand inside an HTML script element: no character in it can end or open anything."""
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: _ESCAPES[found.group()], plain)


def script_json_pieces(value: Any) -> Iterator[str]:
    """`script_json` in pieces, so that a page is never in memory as a whole.

    As one string it would take four bytes for each character as soon as one of them is rare.
    """
    if isinstance(value, dict) and value:
        for place, (name, part) in enumerate(value.items()):
            yield f"{',' if place else '{'}{script_json(name)}:"
            yield from script_json_pieces(part)
        yield "}"
    elif isinstance(value, list) and len(value) > ITEMS_PER_PIECE:
        for start in range(0, len(value), ITEMS_PER_PIECE):
            items = script_json(value[start : start + ITEMS_PER_PIECE])
            yield f"{',' if start else '['}{items[1:-1]}"
        yield "]"
    else:
        yield script_json(value)


def rounded(values: Float64Array, digits: int = 5) -> list[float | None]:
    """Numbers cut to so many significant digits, None for what is not finite: JSON has no word for that."""
    short = ((value, float(f"{value:.{digits}g}")) for value in values.tolist())
    return [(cut if isfinite(cut) else value) if isfinite(value) else None for value, cut in short]


def carried_rows(saved: SelectionFolder, mapped: Int64Array, named: Int64Array) -> Int64Array:
    """The mapped rows, then the rows they need: their keepers and the rows that the page's tables name."""
    keepers = saved.keeper[np.concatenate([mapped, named])]
    needed = np.unique(np.concatenate([named, keepers[keepers < len(saved)]]))
    return np.concatenate([mapped, np.setdiff1d(needed, mapped)])


def row_columns(
    saved: SelectionFolder, rows: Int64Array, coordinates: Float64Array, *, text_bytes: int = TEXT_BYTES
) -> dict[str, Any]:
    """One JSON column per thing shown of a row, all of length ``len(rows)``.

    Returns:
        The columns, and under ``excerpt`` how many characters of prompt and of response each row shows: as
        many as fit into ``text_bytes``.
    """
    covered = np.bincount(saved.keeper, minlength=len(saved))
    prompt, response, excerpt = _excerpts(saved, rows, text_bytes)
    return {
        "excerpt": excerpt,
        "row": rows.tolist(),
        "id": [visible(name) for name in saved.ids.take(rows)],
        "rank": saved.rank[rows].tolist(),
        "radius": rounded(saved.radius[rows]),
        "keeper": saved.keeper[rows].tolist(),
        "distance": rounded(saved.keeper_distance[rows]),
        "covers": covered[rows].tolist(),
        "characters": saved.characters[rows].tolist(),
        "x": rounded(coordinates[rows, 0]),
        "y": rounded(coordinates[rows, 1]),
        "prompt": prompt,
        "response": response,
        "fields": [_field(name, column, rows) for name, column in list(saved.fields.items())[:COLOUR_FIELDS]],
    }


def _excerpts(saved: SelectionFolder, rows: Int64Array, most: int) -> tuple[list[str], list[str], int]:
    whole = saved.prompt.take(rows), saved.response.take(rows)
    for characters in EXCERPT_CHARACTERS:
        prompts, responses = ([excerpt(text, characters) for text in texts] for texts in whole)
        pieces = script_json_pieces([*prompts, *responses])
        if sum(len(piece.encode()) for piece in pieces) <= most:
            break
    return prompts, responses, characters


def is_number(column: pa.ChunkedArray) -> bool:
    """Whether a field's values are quantities, to be coloured and counted by size."""
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def field_numbers(column: pa.ChunkedArray) -> Float64Array:
    """A field's values as (n,) float64 to be drawn, NaN where one is missing; whole numbers beyond 2^53 are rounded."""
    numbers: Float64Array = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy()
    return numbers


def field_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first `WORD_CHARACTERS` of a field's values as words; what is missing reads "(none)". Untrusted text."""
    if column.type != pa.string():
        column = pa.chunked_array([[None if value is None else str(value) for value in column.to_pylist()]])
    words = pc.utf8_slice_codeunits(column.cast(pa.string()), 0, WORD_CHARACTERS)
    return words.fill_null("(none)")


def common_words(words: pa.ChunkedArray, at_most: int) -> tuple[pa.Array, int]:
    """The commonest words, the commonest first, ties by name; and how many distinct ones there are."""
    counts = pa.Table.from_struct_array(pc.value_counts(words))
    order = pc.sort_indices(counts, [("counts", "descending"), ("values", "ascending")])
    return counts["values"].take(order[:at_most]).combine_chunks(), len(counts)


def _field(name: str, column: pa.ChunkedArray, rows: Int64Array) -> dict[str, Any]:
    if is_number(column):
        numbers = field_numbers(column.take(pa.array(rows)))
        return {"name": visible(name), "kind": "number", "numbers": rounded(numbers)}
    words = field_words(column)
    values, _ = common_words(words, COLOUR_VALUES)
    codes = pc.index_in(words.take(pa.array(rows)), values).fill_null(len(values))
    return {
        "name": visible(name),
        "kind": "category",
        "values": [visible(value) for value in values.to_pylist()],
        "others": len(values) == COLOUR_VALUES,
        "codes": codes.to_pylist(),
    }
