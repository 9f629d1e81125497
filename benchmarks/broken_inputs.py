"""Random and broken inputs over all readers: a right result, or one clear line; no traceback, nothing half-written.

    python benchmarks/broken_inputs.py --count 100000

Every input is made from its number, so that one that failed can be made again: ``--first NUMBER --count 1``. The
structure is aware of rows: fields are dropped, renamed and swapped in type, values nested, files cut, spliced, glued
together and given the wrong name. What reads must be read back equal, row for row, from what is written.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import random
import tarfile
import tempfile
import traceback
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows, rows_of
from evenly.rows.writing import write_rows

WORDS = [
    "pear",
    "soup",
    "",
    " ",
    "naïve",
    "漢字",
    "\ud83d",
    "\u0000",
    "a\nb",
    "[]",
    "{",
    "null",
    "NaN",
    "1e999",
    "x" * 5000,
]
FIELDS = [
    *(
        "messages",
        "conversations",
        "conversation",
        "contents",
        "prompt",
        "completion",
        "instruction",
        "input",
    ),
    *(
        "output",
        "question",
        "answer",
        "problem",
        "solution",
        "text",
        "chosen",
        "rejected",
        "label",
        "labels",
        "system",
    ),
    *(
        "completions",
        "history",
        "tools",
        "id",
        "meta",
        "preferred_output",
        "non_preferred_output",
        "kto_tag",
        "a.b",
    ),
]
KEYS = [
    "role",
    "content",
    "from",
    "value",
    "tool_calls",
    "weight",
    "parts",
    "text",
    "type",
    "function",
    "thinking",
]
ROLES = ["user", "assistant", "system", "tool", "human", "gpt", "bot", "Anna", "function_call", 3, None]
SCALARS = [0, -1, 1.5, True, False, None, 2**53 + 1, 10**30, float("nan"), float("inf"), -0.0, 1e308]


def value(rng: random.Random, depth: int = 0) -> Any:
    """Anything that JSON may hold, and some that only Python writes."""
    kind = rng.random()
    if depth > 3 or kind < 0.35:
        return rng.choice(WORDS)
    if kind < 0.55:
        return rng.choice(SCALARS)
    if kind < 0.75:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 0.95:
        return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return json.dumps(value(rng, depth + 1))


def turn(rng: random.Random) -> Any:
    """A turn, whole in most cases."""
    names = ("role", "content") if rng.random() < 0.6 else ("from", "value")
    found: dict[str, Any] = {names[0]: rng.choice(ROLES[:9]), names[1]: rng.choice(WORDS[:6])}
    if rng.random() < 0.2:
        call = {"id": "c", "function": {"name": "f", "arguments": value(rng, 2)}}
        found |= {"tool_calls": [call], names[1]: None}
    if rng.random() < 0.15:
        found[rng.choice(KEYS)] = value(rng, 1)
    if rng.random() < 0.1:
        found.pop(rng.choice(list(found)))
    return found


def row(rng: random.Random) -> Any:
    """A row of some form, or of none."""
    turns = [turn(rng) for _ in range(rng.randrange(4))]
    side = lambda: rng.choice(["pear", [turn(rng)], turn(rng)])  # noqa: E731
    found: dict[str, Any] = rng.choice(
        [
            {"messages": turns},
            {"conversations": turns, "tools": value(rng, 2)},
            {"instruction": "pear", "input": rng.choice(WORDS), "output": "soup"},
            {"prompt": side(), "completion": side(), "label": rng.choice(SCALARS)},
            {"prompt": side(), "chosen": side(), "rejected": side()},
            {"prompt": "p", "completions": ["a", "b"], "labels": [True, False]},
            {"text": rng.choice(WORDS)},
            {rng.choice(FIELDS): value(rng) for _ in range(rng.randrange(4))},
        ]
    )
    if rng.random() < 0.25:
        found[rng.choice(FIELDS)] = value(rng)
    if found and rng.random() < 0.1:
        found[rng.choice(list(found))] = value(rng)
    if found and rng.random() < 0.1:
        found.pop(rng.choice(list(found)))
    return found if rng.random() < 0.97 else value(rng)


def broken(rng: random.Random, data: bytes) -> bytes:
    """The bytes with something done to them."""
    if not data or rng.random() < 0.6:
        return data
    at = rng.randrange(len(data))
    done = rng.randrange(6)
    if done == 0:
        return data[:at]
    if done == 1:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if done == 2:
        return data[:at] + rng.choice([b"\n", b"\r\n", b"\0", b"\xef\xbb\xbf", b'"', b"}", b"]"]) + data[at:]
    if done == 3:
        return data + data[:at]
    if done == 4:
        return b"\xef\xbb\xbf" + data
    return data[at:] + data[:at]


def source(rng: random.Random, folder: Path) -> Path:
    """A file of one of the formats, under the name of one of them."""
    rows = [row(rng) for _ in range(rng.choice([0, 1, 1, 2, 3, 5]))]
    if rng.random() < 0.05:
        rows = session(rng)
    kind = rng.choice(["jsonl", "jsonl", "jsonl", "json", "json", "csv", "parquet", "arrow"])
    escaped = rng.random() < 0.8
    lines = [json.dumps(one, ensure_ascii=escaped) for one in rows]
    if kind == "jsonl":
        data = rng.choice(["\n", "\n", "\r\n", "\n\n"]).join(lines).encode("utf-8", "surrogatepass")
    elif kind == "json":
        inside = ",".join(lines)
        data = rng.choice(
            [f"[{inside}]", f"[{inside}]", f'{{"data": [{inside}]}}', f"[\n {inside}\n]\n"]
        ).encode("utf-8", "surrogatepass")
    elif kind == "csv":
        mark = rng.choice([",", ",", ";", "\t"])
        heads = rng.sample(FIELDS, 3)
        table = [heads, *([rng.choice(WORDS).replace('"', "") for _ in heads] for _ in rows)]
        data = "\n".join(mark.join(f'"{cell}"' for cell in line) for line in table).encode("utf-8", "replace")
    else:
        data = _columns(rng, [one for one in rows if isinstance(one, dict)], kind)
    data = broken(rng, data)
    name = (
        kind if rng.random() < 0.9 else rng.choice(["jsonl", "json", "csv", "tsv", "parquet", "arrow", "txt"])
    )
    if rng.random() < 0.1:
        ending, pack = rng.choice(
            [("gz", gzip.compress), ("bz2", bz2.compress), ("tar", tarred), ("zip", zipped)]
        )
        name, data = f"{name}.{ending}", broken(rng, pack(data))
    path = folder / f"pool.{name}"
    path.write_bytes(data)
    return path


def tarred(data: bytes) -> bytes:
    """The bytes as a file of lines in an archive, twice."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("a.jsonl", "b.jsonl"):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    """The bytes as the one file of an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.json", data)
    return buffer.getvalue()


def session(rng: random.Random) -> list[Any]:
    """The events of an agent, some of them something else."""
    events: list[Any] = [{"type": "session", "id": "s"}]
    for _ in range(rng.randrange(5)):
        said = {"type": "message", "message": turn(rng)}
        item = {
            "type": "response_item",
            "payload": {"type": rng.choice(["message", "reasoning", "function_call"])},
        }
        item["payload"][rng.choice(["content", "summary", "arguments"])] = value(rng, 1)
        events.append(rng.choice([said, item, {"type": "user", "message": value(rng, 1)}, value(rng, 2)]))
    return events


def _columns(rng: random.Random, rows: list[dict[str, Any]], kind: str) -> bytes:
    try:
        table = pa.Table.from_pylist(rows)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError):
        texts = pa.array(
            ["pear"] * rng.randrange(3), rng.choice([pa.string(), pa.large_string(), pa.string_view()])
        )
        table = pa.table({rng.choice(FIELDS): texts})
    sink = pa.BufferOutputStream()
    try:
        if kind == "parquet":
            pq.write_table(table, sink)
        else:
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
    except pa.ArrowException:
        return b"PAR1"
    return bytes(sink.getvalue())


def same(one: Any, other: Any) -> bool:
    """Equal value for value, NaN to NaN."""
    return repr(one) == repr(other)


def check(rows: Rows, folder: Path, rng: random.Random) -> None:
    """Reads rows in every way there is, writes some, and holds what is read back against them."""
    count = len(rows)
    texts = list(rows.texts())
    if len(texts) != count or len(list(rows.ids)) != count or not all(text.strip() for text in texts):
        raise AssertionError("rows, texts and ids do not go together")
    for number in range(count):
        rows.whole(number)
    for name in rows.scalar_fields():
        if len(rows.field(name)) != count:
            raise AssertionError(f"field {name} has another length")
    if not rows.same_text.copies + len(rows.same_text.rows) < count:
        raise AssertionError("more copies than rows")
    opened = rows.opened[0]
    if opened.path is None:
        return
    kept = sorted(rng.sample(range(count), rng.randint(1, count)))
    out = folder / f"kept{''.join(opened.path.suffixes)}"
    own = opened.records.format
    if opened.path.suffix in (".zip", ".tar") or own in ("jsonl", "session"):
        out = folder / f"kept.{'jsonl' if own == 'session' else own}"
    write_rows(rows, kept, out)
    again = read_rows([str(out)])
    wanted = [rows.record(number) for number in kept]
    if not same([again.record(number) for number in range(len(again))], wanted):
        raise AssertionError("what was written is not what was read")


def run(number: int) -> str:
    """One input: "read", or the line that refused it.

    Raises:
        Exception: anything but `InputError`, which is a fault.
    """
    rng = random.Random(number)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            if rng.random() < 0.1:
                rows = rows_of([row(rng) for _ in range(rng.randrange(4))])
            else:
                rows = read_rows([str(source(rng, folder))], skip_empty=rng.random() < 0.5)
            check(rows, folder, rng)
        except InputError as error:
            line = str(error)
            if "\n" in line.strip() or not line.strip() or (folder / "kept").exists():
                raise AssertionError(f"not one clear line: {line!r}") from error
            return line
    return "read"


def main() -> None:
    """Runs inputs and counts what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    found = Counter(map(_outcome, range(given.first, given.first + given.count)))
    print(
        f"{given.count:,} inputs: {found['read']:,} read, {found['refused']:,} refused, {found['fault']} faults"
    )
    raise SystemExit(1 if found["fault"] else 0)


def _outcome(number: int) -> str:
    try:
        return "read" if run(number) == "read" else "refused"
    except Exception:
        print(f"input {number}\n{traceback.format_exc()}")
        return "fault"


if __name__ == "__main__":
    main()
