"""JSON Lines: one object per line. The last may lack its line break; blank lines may follow it, and no other line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from evenly.errors import InputError
from evenly.rows.contents import Contents, line_ends, text_end
from evenly.rows.fileformat import Record
from evenly.rows.textfile import BOM, TextFile, an_object


class JsonLines(TextFile):
    """The records of a file of JSON Lines. Finding the lines needs no parsing."""

    format = "jsonl"

    def __init__(self, name: str, data: Contents) -> None:
        super().__init__(name, data)
        first = len(BOM) if data[: len(BOM)] == BOM else 0
        after_breaks = line_ends(data)
        end = text_end(data)
        # Line breaks behind the last record belong to it (the first) and to the closing (the rest).
        inner = after_breaks[after_breaks <= end]
        ending = after_breaks[len(inner) : len(inner) + 1]
        self.ends = np.concatenate([inner, ending if len(ending) else [len(data)]]).astype(np.int64)
        self.starts = np.concatenate([[first], self.ends[:-1]]).astype(np.int64)
        if end <= first:
            raise InputError(f"{name} is empty; expected one JSON object per line")
        self.opening, self.closing = data[:first], data[self.ends[-1] :]

    def _found(self) -> Iterator[Record]:
        if self.skip_blank and (blank := self._blank_lines()):
            self.blank = [row + 1 for row in blank]
            self.leave_out(blank)
        return self.records()

    def _blank_lines(self) -> list[int]:
        first = np.frombuffer(self.data, dtype=np.uint8)[self.starts]
        spaces = np.isin(first, np.frombuffer(b" \t\r\n\v\f", dtype=np.uint8))
        return [row for row in np.flatnonzero(spaces).tolist() if not self.raw(row).strip()]

    def record(self, row: int, fields: Sequence[str] | None = None) -> Record:
        try:
            value = json.loads(self.raw(row).decode())
        except json.JSONDecodeError as error:
            if not self.raw(row).strip():
                raise InputError(
                    f"line {self.number(row)} of {self.name} is blank; remove it, or leave such lines out with "
                    "`skip_empty`"
                ) from None
            raise InputError(f"line {self.number(row)} of {self.name} {_not_json(error)}") from None
        except UnicodeDecodeError:
            raise InputError(
                f"line {self.number(row)} of {self.name} is not UTF-8; save the file as UTF-8"
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"line {self.number(row)} of {self.name} cannot be read: {error}; remove the line"
            ) from None
        return an_object(value, f"line {self.number(row)} of {self.name}")


def _not_json(error: json.JSONDecodeError) -> str:
    """Why a line is no JSON, and what to do: by what the line looks like."""
    line = error.doc.strip()
    rest = error.doc[error.pos :].strip()
    if line.startswith("<"):
        return "is HTML or XML, a page and not the data; fetch the file again"
    if line.startswith("{") and error.msg == "Extra data":
        if rest == ",":
            return "ends in a comma, as in an array; put [ before and ] behind all lines, and name the file .json"
        if rest.startswith("{"):
            return "holds more than one object; write one a line, for example: jq -c . FILE > rows.jsonl"
    if line.startswith("{") and line.endswith(("{", "[", ",")) and not rest:
        return "ends within an object; write every object on one line, for example: jq -c . FILE > rows.jsonl"
    column = min(error.pos, len(error.doc.rstrip())) + 1
    return f"is not JSON: {error.msg}, column {column}; mend it"
