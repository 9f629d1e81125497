"""Handing a selection over to training tools: the kept rows whole, and the configuration that makes them read.

What a trainer cannot take goes to a file of its own and is counted with its reason; what it will cut or change is
said beforehand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenly.checks import not_known
from evenly.errors import InputError
from evenly.files import new_files
from evenly.folder.selection import SelectionFolder
from evenly.outputs import refuse_inputs
from evenly.request import PICKED
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.rows.whole import Kind, WholeRow
from evenly.train.handed import DATA_FILE, TRAINERS, Line, Refused, Trainer, has_media
from evenly.train.whole_rows import MEDIA, bytes_of_text

LEFT_OUT_FILE = "left_out.jsonl"
BYTES_PER_TOKEN = 3
"""UTF-8 bytes of a token, at the least: English takes four to five, code and most scripts three or more."""
TOKENS_PER_TURN = 16
"""What a chat template adds to a turn: role, marks, line breaks."""
ROUNDED_TO = 256
SHOWN_ROWS = 10
_KEPT_ALWAYS = {*MEDIA, "label", "completions", "labels"}
_TRAINERS_OWN = {
    "input_ids",
    "attention_mask",
    "position_ids",
    "seq_lengths",
    "completion_mask",
    "assistant_masks",
}
_NOT_TRAINED: dict[Kind, str] = {
    "prompts": "no answer",
    "pairs": "a chosen and a rejected answer",
    "judged answers": "an answer with a label",
    "steps": "labelled steps",
    "texts": "plain text",
    "answers": "answers",
}


@dataclass(frozen=True)
class Exported:
    """What was written, and what the trainer will make of it.

    Attributes:
        files: paths, the rows first.
        rows: kept rows that went into them.
        lines: lines of the data file; more than rows where every answer is one.
        tokens: the longest row, by estimate, rounded up.
        notes: one sentence each on what was left out or is read otherwise than one would think.
    """

    files: list[Path]
    rows: int
    lines: int
    tokens: int
    notes: list[str]


def export(
    kept: Path, target: str, out: Path, *, sources: Sequence[str] = (), overwrite: bool = False
) -> Exported:
    """Writes the rows of a selection and the few lines of configuration that a training tool wants.

    Args:
        kept: the folder that select wrote, or the file of kept rows beside it.
        target: one of `TRAINERS`.
        out: a new or empty folder.
        sources: where the sources are now, should the kept rows be gone; none looks for them.
        overwrite: whether the folder may hold files, of which those of the same names are replaced.

    Raises:
        InputError: no selection there, its rows are nowhere to be found, a target that is not known, no row that
            it can train on, or files in the way.
    """
    trainer = TRAINERS.get(target)
    if trainer is None:
        raise not_known("`to`", target, TRAINERS)
    _check_out(kept, out, overwrite)
    rows, numbers = kept_rows(kept, sources)
    whole = {number: rows.whole(row) for number, row in enumerate(numbers, start=1)}
    kind = _kind_taken(target, whole)
    lines, left_out = _lines(trainer, kind, whole)
    if not lines:
        raise InputError(f"{target} can take none of the kept rows: {'; '.join(left_out)}")
    gone = sorted(number for numbers in left_out.values() for number in numbers)
    taken = {number: whole[number] for number in sorted(whole.keys() - set(gone))}
    lines, dropped = _plain_fields(lines)
    tokens = longest(taken.values())
    columns = {name for line in lines for name in line} | {
        name for row in taken.values() for turn in row.every_turn() for name in turn
    }
    texts = {DATA_FILE: _json_lines(lines), **trainer.files(kind, tokens, columns)}
    if gone:
        texts[LEFT_OUT_FILE] = _json_lines(rows.record(numbers[number - 1]) for number in gone)
    with new_files(make_folders=True) as files:
        for name, text in texts.items():
            with files.open(out / name) as stream:
                stream.write(text.encode())
    notes = [*_left_out_notes(left_out), *_notes(target, kind, taken, len(lines), dropped)]
    return Exported([out / name for name in texts], len(taken), len(lines), tokens, notes)


def _kind_taken(target: str, whole: Mapping[int, WholeRow]) -> Kind:
    """The commonest kind of row among those that a trainer takes: one file holds one kind."""
    found = Counter(row.kind for row in whole.values())
    kinds = [kind for kind, _ in found.most_common() if kind in TRAINERS[target].kinds]
    if not kinds:
        held = ", ".join(_NOT_TRAINED[kind] for kind in found)
        wanted = ", ".join(_NOT_TRAINED[kind] for kind in TRAINERS[target].kinds)
        raise InputError(
            f"{target} trains on {wanted}; the kept rows hold {held}: name another trainer as `to`"
        )
    return kinds[0]


def _lines(
    trainer: Trainer, kind: Kind, whole: Mapping[int, WholeRow]
) -> tuple[list[Line], dict[str, list[int]]]:
    """What a trainer is handed, and by reason the numbers of the rows that it cannot take."""
    lines: list[Line] = []
    left_out: dict[str, list[int]] = {}
    for number, row in whole.items():
        reason = _NOT_TRAINED[row.kind] if row.kind != kind else None
        made: list[Line] = []
        try:
            made = [] if reason else list(trainer.lines(row))
        except Refused as error:
            reason = str(error)
        if not made:
            left_out.setdefault(reason or "no answer to train on", []).append(number)
        lines += made
    return lines, left_out


def _check_out(kept: Path, out: Path, overwrite: bool) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise InputError(f"{out} holds files; name a new folder with `out`, or add `overwrite`")
    for name in (DATA_FILE, LEFT_OUT_FILE):
        refuse_inputs(out / name, SelectionFolder.open(kept).inputs())


def kept_rows(kept: Path, sources: Sequence[str] = ()) -> tuple[Rows, list[int]]:
    """The rows of a selection, and which of them were kept, in the order of the file of kept rows.

    They are read from the files of kept rows beside the folder, where these are what select wrote; else from the
    sources.

    Args:
        kept: the selection folder, or the file of kept rows beside it.
        sources: where its sources are now; none looks for them.

    Raises:
        InputError: no selection there, or neither its kept rows nor its sources are there unchanged.
    """
    folder = SelectionFolder.open(kept)
    missing = "the selection names no file of kept rows"
    try:
        if files := folder.kept_files():
            rows = read_rows([str(path) for path in files], text=folder.manifest.text)
            return rows, list(range(len(rows)))
    except InputError as error:
        missing = str(error)
    try:
        picked = folder.manifest.options.order == PICKED
        return folder.rows(sources), (folder.picks if picked else np.sort(folder.picks)).tolist()
    except InputError as error:
        raise InputError(f"neither kept rows nor sources can be read: {missing}; {error}") from None


def longest(rows: Iterable[WholeRow]) -> int:
    """Tokens of the longest row, by estimate: its bytes by `BYTES_PER_TOKEN`, and the marks of every turn."""
    most = max(
        bytes_of_text(row) // BYTES_PER_TOKEN + TOKENS_PER_TURN * len(row.every_turn()) for row in rows
    )
    return -(-(most + 1) // ROUNDED_TO) * ROUNDED_TO


def _plain_fields(lines: list[Line]) -> tuple[list[Line], list[str]]:
    """The lines without fields that a loader might stumble over, and the names of these.

    A field beside those that are trained on comes along where it holds one type of plain value throughout.
    """
    own = {"messages", "prompt", "completion", "chosen", "rejected", "text", "tools", *_KEPT_ALWAYS}
    types: dict[str, set[type]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in own:
                types.setdefault(name, set()).add(type(value))
    dropped = [
        name
        for name, found in types.items()
        if len(found) > 1 or name in _TRAINERS_OWN or not found <= {str, int, float, bool}
    ]
    return [{name: value for name, value in line.items() if name not in dropped} for line in lines], dropped


def _left_out_notes(left_out: dict[str, list[int]]) -> list[str]:
    return [
        f"left out, and written to {LEFT_OUT_FILE}: {_counted(numbers)}: {reason}"
        for reason, numbers in left_out.items()
    ]


def _notes(target: str, kind: Kind, rows: dict[int, WholeRow], lines: int, dropped: list[str]) -> list[str]:
    """What the trainer will do otherwise than one would think; docs/trainers.md has all of it."""
    notes = []
    if lines > len(rows):
        notes.append(f"rows with several answers have one line for each: {len(rows):,} rows, {lines:,} lines")
    empty = [
        number
        for number, row in rows.items()
        if any(
            turn["role"] == "assistant" and not turn["content"] and not turn.get("tool_calls")
            for turn in (row.turns if kind == "answers" else [*row.chosen, *row.rejected])
        )
    ]
    if empty:
        labels = {"axolotl": "nothing", "llama-factory": "the end of the turn alone"}.get(
            target, "its end alone"
        )
        notes.append(f"an empty answer in {_counted(empty)}: {target} trains on {labels} there")
    media = [number for number, row in rows.items() if has_media(row)]
    if media:
        notes.append(f"images or sounds in {_counted(media)}: their files are named, not copied")
    if dropped:
        notes.append(
            f"fields that stay in the kept file alone, for their values are of no one plain type: {', '.join(dropped)}"
        )
    return notes


def _counted(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_ROWS]))
    more = f" and {len(numbers) - SHOWN_ROWS:,} more" if len(numbers) > SHOWN_ROWS else ""
    return f"{len(numbers):,} row{'s' if len(numbers) > 1 else ''} ({shown}{more})"


def _json_lines(lines: Iterable[Any]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
