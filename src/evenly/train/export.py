"""Handing a selection over to training tools: the kept rows whole, and the configuration that makes them read.

What a trainer cannot take goes to a file of its own and is counted with its reason; what it will cut or change is
said beforehand.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evenly.checks import not_known
from evenly.errors import InputError
from evenly.files import new_files
from evenly.folder.selection import SelectionFolder
from evenly.outputs import refuse_inputs, superseded
from evenly.request import PICKED
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.rows.turns import as_json
from evenly.rows.whole import Kind, WholeRow
from evenly.train.export_lengths import Lengths, estimated, measured
from evenly.train.handed import DATA_FILE, TRAINERS, Line, Refused, Trainer, has_media
from evenly.train.whole_rows import MEDIA

LEFT_OUT_FILE = "left_out.jsonl"
RECORD_FILE = "export.json"
SHOWN_ROWS = 10
_TRAINERS_OWN = {
    *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "text", "tools", "system"),
    *("instruction", "input", "output", "history", "system_prompt", "completions", "labels", *MEDIA),
    *("input_ids", "attention_mask", "position_ids", "seq_lengths", "completion_mask", "assistant_masks"),
}
"""Columns that some trainer reads where it finds them: a field of such a name does not merely come along."""
_INT64 = range(-(2**63), 2**63)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T].*)?")
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
        removed: files of an older export that lay in the folder and have no place in this one.
        rows: kept rows that went into them.
        lines: lines of the data file; more than rows where every answer is one.
        lengths: how long these rows are.
        notes: one sentence each on what was left out or is read otherwise than one would think.
    """

    files: list[Path]
    removed: list[Path]
    rows: int
    lines: int
    lengths: Lengths
    notes: list[str]


def export(
    kept: Path,
    target: str,
    out: Path,
    *,
    model: str | None = None,
    sources: Sequence[str] = (),
    overwrite: bool = False,
) -> Exported:
    """Writes the rows of a selection and the few lines of configuration that a training tool wants.

    Rows stand in the order of the file of kept rows, which is that of picking after ``--order picked``.

    Args:
        kept: the folder that select wrote, or the file of kept rows beside it.
        target: one of `TRAINERS`.
        out: a new or empty folder.
        model: what will be trained, a folder or a name on the hub: the configuration names it, and rows are measured
            by its tokenizer. None estimates, and leaves a place for the name.
        sources: where the sources are now, should the kept rows be gone; none looks for them.
        overwrite: whether the folder may hold files. Those of the same names are replaced, those of an older
            export removed.

    Raises:
        InputError: no selection there, its rows are nowhere to be found, a target that is not known, no row that
            it can train on, or files in the way.
    """
    trainer = TRAINERS.get(target)
    if trainer is None:
        raise not_known("`to`", target, TRAINERS)
    _check_out(out, overwrite)
    rows, numbers = kept_rows(kept, sources)
    whole = {number: rows.whole(row) for number, row in enumerate(numbers, start=1)}
    kind = _kind_taken(target, whole)
    made, left_out = _lines(trainer, kind, whole)
    if not made:
        raise InputError(f"{target} can take none of the kept rows: {'; '.join(left_out)}")
    taken = {number: whole[number] for number in made}
    own = {name for lines in made.values() for line in lines for name in line}
    columns = own | {name for row in taken.values() for turn in row.every_turn() for name in turn}
    lengths = measured(taken, model) if model else estimated(taken)
    beside, fields = _beside(taken, own)
    texts = {
        DATA_FILE: _json_lines({**line, **beside[number]} for number in made for line in made[number]),
        **trainer.files(kind, lengths.window, columns, _named(model)),
    }
    if gone := sorted(whole.keys() - made.keys()):
        texts[LEFT_OUT_FILE] = _json_lines(rows.record(numbers[number - 1]) for number in gone)
    lines = sum(map(len, made.values()))
    notes = [
        *_left_out_notes(left_out),
        *_notes(target, kind, taken, lines),
        *_length_notes(target, model, lengths),
    ]
    notes += [*_unread_notes(target, taken), *fields, *_date_notes(target, made)]
    about = {"kept": str(kept), "to": target, "rows": len(taken), "lines": lines, "notes": notes}
    removed = _write(texts, about, kept, out)
    return Exported([out / name for name in texts], removed, len(taken), lines, lengths, notes)


def _named(model: str | None) -> str:
    """The model as the configuration names it: trainers start from the new folder, where a path from here fails."""
    return str(Path(model).resolve()) if model and Path(model).is_dir() else model or "MODEL"


def _write(texts: Mapping[str, str], about: dict[str, Any], kept: Path, out: Path) -> list[Path]:
    """Writes the files and, before them, the record that names them; gives what went of an older export."""
    place = out / RECORD_FILE
    inputs = SelectionFolder.open(kept).inputs()
    for name in (*texts, LEFT_OUT_FILE, RECORD_FILE):
        refuse_inputs(out / name, inputs)
    # Asked for with `overwrite`, or else the folder was empty.
    older = superseded(place, [out / name for name in texts], out, overwrite=True)
    for path in older:
        refuse_inputs(path, inputs)
    data = {name: text.encode() for name, text in texts.items()}
    outputs = [{"name": name, "sha256": hashlib.sha256(each).hexdigest()} for name, each in data.items()]
    record = {"evenly": version("evenly"), **about, "outputs": outputs}
    with new_files(make_folders=True) as files:
        files.instead_of(older)
        for name, each in {RECORD_FILE: f"{json.dumps(record, indent=1)}\n".encode(), **data}.items():
            with files.open(out / name) as stream:
                stream.write(each)
    return older


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
) -> tuple[dict[int, list[Line]], dict[str, list[int]]]:
    """What a trainer is handed of each row, and by reason the numbers of the rows that it cannot take."""
    made: dict[int, list[Line]] = {}
    left_out: dict[str, list[int]] = {}
    for number, row in whole.items():
        reason = _NOT_TRAINED[row.kind] if row.kind != kind else None
        lines: list[Line] = []
        try:
            lines = [] if reason else list(trainer.lines(row))
        except Refused as error:
            reason = str(error)
        if lines:
            made[number] = lines
        else:
            left_out.setdefault(reason or "no answer to train on", []).append(number)
    return made, left_out


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise InputError(f"{out} holds files; name a new folder with `out`, or add `overwrite`")


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


def _beside(rows: Mapping[int, WholeRow], own: set[str]) -> tuple[dict[int, Line], list[str]]:
    """By row the fields that merely come along, and a note on those that do not.

    One comes along where it holds one type of plain value throughout, for loaders stumble over others, and where
    neither a line nor the trainer has its name for something else.
    """
    types: dict[str, set[type]] = {}
    named: set[str] = set()
    for row in rows.values():
        for name, value in row.more.items():
            if name not in own:
                types.setdefault(name, set()).add(_plain_type(value))
        # Media, labels and steps are in the lines; whatever else has the name of a column is not.
        named |= row.more.keys() & (own - {*MEDIA, "label", "completions", "labels"})
    named |= types.keys() & _TRAINERS_OWN
    mixed = [
        name for name, found in types.items() if name not in named and (len(found) > 1 or object in found)
    ]
    beside = {
        number: {
            name: value
            for name, value in row.more.items()
            if name in types and name not in named and name not in mixed
        }
        for number, row in rows.items()
    }
    notes = []
    if mixed:
        notes.append(
            f"fields that stay in the kept file alone, for their values are of no one plain type: {', '.join(mixed)}"
        )
    if named:
        notes.append(
            "fields that stay in the kept file alone, for trainers read something else under their names: "
            f"{', '.join(sorted(named))}"
        )
    return beside, notes


def _plain_type(value: Any) -> type:
    """The type of a value that any loader takes; object for others."""
    odd = isinstance(value, float) and not math.isfinite(value)
    odd = odd or (isinstance(value, int) and value not in _INT64)
    return object if odd or type(value) not in (str, int, float, bool) else type(value)


def _left_out_notes(left_out: dict[str, list[int]]) -> list[str]:
    return [
        f"left out, and written to {LEFT_OUT_FILE}: {_counted(numbers)}: {reason}"
        for reason, numbers in left_out.items()
    ]


def _notes(target: str, kind: Kind, rows: Mapping[int, WholeRow], lines: int) -> list[str]:
    """What the trainer will do otherwise than one would think; docs/trainers.md has all of it."""
    notes = []
    if lines > len(rows):
        notes.append(f"every answer of a row has a line of its own: {lines:,} lines")
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
    judged = {number: row.more["label"] for number, row in rows.items() if "label" in row.more}
    if kind == "answers" and judged and all(label in (0, 1) for label in judged.values()):
        notes.append(
            f"a label of 0 or 1 in {_counted(list(judged))}: {target} trains on the answer all the same; "
            "write it as true or false for training by labels (KTO)"
        )
    return notes


def _length_notes(target: str, model: str | None, lengths: Lengths) -> list[str]:
    does = {"axolotl": "drops", "llama-factory": "shortens prompt and answer of"}.get(
        target, "cuts the end of"
    )
    over = f"longer than the {lengths.window:,} tokens that {model} takes: {_counted(lengths.over)}"
    return [
        *([f"{over}, and {target} {does} such rows"] if lengths.over else []),
        *(
            f"the chat template of {model} refuses {_counted(numbers)}: {why}"
            for why, numbers in lengths.refused.items()
        ),
    ]


def _unread_notes(target: str, rows: Mapping[int, WholeRow]) -> list[str]:
    unread = {number: TRAINERS[target].unread(row) for number, row in rows.items()}
    numbers = [number for number, names in unread.items() if names]
    names = ", ".join(sorted({name for found in unread.values() for name in found}))
    return (
        [f"fields of turns that {target} does not read, in {_counted(numbers)}: {names}"] if numbers else []
    )


def _date_notes(target: str, made: Mapping[int, list[Line]]) -> list[str]:
    """Columns whose every text is a date: ``load_dataset("json")`` makes times of them; templates lose these."""
    if target == "unsloth":  # its script reads the lines themselves
        return []
    lines = [line for each in made.values() for line in each]
    dates = [name for name in lines[0] if all(_is_date(line.get(name)) for line in lines)]
    return [
        f'every text of {name} is a date: {target} loads them as times, and templates write "<datetime>" for each; '
        "keep a row among them whose text is none"
        for name in dates
    ]


def _is_date(value: Any) -> bool:
    turns = value if isinstance(value, list) else [value]
    texts = [turn.get("content") if isinstance(turn, dict) else turn for turn in turns]
    return bool(texts) and all(isinstance(text, str) and _DATE.fullmatch(text) for text in texts)


def _counted(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_ROWS]))
    more = f" and {len(numbers) - SHOWN_ROWS:,} more" if len(numbers) > SHOWN_ROWS else ""
    return f"{len(numbers):,} row{'s' if len(numbers) > 1 else ''} ({shown}{more})"


def _json_lines(lines: Iterable[Any]) -> str:
    return "".join(f"{_as_line(line)}\n" for line in lines)


def _as_line(line: Any) -> str:
    text = as_json(line)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate has no place in UTF-8; as an escape it has
        return json.dumps(line, default=str)
    return text
