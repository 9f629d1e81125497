"""Whole runs over rows that are odd in one way: what was read is written, and its record with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly import select_rows
from evenly.cli.summary import summary
from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.jobs.select import select_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.rows.sources import read_rows, rows_of
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.jobs.files import read_lines, write_lines
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]

WORDS = ["one", "two", "half", "pick", "near", "far", "zebra", "dog"]

VECTORS = np.random.default_rng(3).standard_normal((8, 3)).round(3).tolist()


def run(place: Path, rows: list[dict[str, Any]], keep: str = "50%", **options: Any) -> Recorded:
    source = write_lines(place / "pool.jsonl", rows)
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False)
    return select_sources(
        SelectRequest(pool, Choice.of(keep=keep, **options), str(place / "kept.jsonl"), random_draws=2)
    )


def with_vectors(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"instruction": f"i{n}", "output": f"o{n}", **more, "vec": VECTORS[n]}
        for n, more in enumerate(fields)
    ]


@pytest.mark.parametrize(
    "values",
    [
        [1234567890123456789 + n for n in range(8)],
        [10**17] * 8,
        [1e300] * 8,
        [-1.7976931348623157e308, 1.7976931348623157e308] * 4,
        [10**400 + n for n in range(8)],
        [float("inf"), 1.0] * 4,
        [2**63, "x", None, True] * 2,
        ["\ud83d", 0.5] * 4,
    ],
    ids=["beyond 2^53", "constant", "large constant", "range", "many digits", "infinite", "mixed", "half"],
)
def test_side_fields_of_any_size_are_written_digit_for_digit(tmp_path: Path, values: list[Any]) -> None:
    rows = with_vectors([{"side": value} for value in values])
    done = run(tmp_path, rows)
    assert done.manifest.kept == 4
    kept = read_lines(tmp_path / "kept.jsonl")
    assert kept == [row for row in rows if row in kept]
    assert (tmp_path / "kept.evenly" / "report.html").is_file()


EMPTY = [
    {"messages": []},
    {"messages": None},
    {"instruction": " ", "output": ""},
    {"messages": [{"role": "user", "content": None}]},
    {},
]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_rows_without_text_are_left_out_where_asked(tmp_path: Path, empty: dict[str, Any], kind: str) -> None:
    rows = with_vectors([{}] * 8)
    rows[2:2] = [empty]
    source = tmp_path / f"pool.{kind}"
    lines = [json.dumps(row) for row in rows]
    source.write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]")
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False)
    out = str(tmp_path / f"kept.{kind}")
    with pytest.raises(InputError, match=r"row 3 of .* has no text .* leave such rows out with `skip_empty`"):
        select_sources(SelectRequest(pool, Choice.of(keep="7"), out))
    done = select_sources(SelectRequest(replace(pool, skip_empty=True), Choice.of(keep="7"), out))
    assert f"{source}: left out 1 row without text: 3" in done.notes()
    assert done.to_dict()["left_out"] == {str(source): [3]}
    kept = read_lines(Path(out)) if kind == "jsonl" else json.loads(Path(out).read_text())
    assert len(kept) == 7
    assert empty not in kept
    assert f"pool.{kind}:3" not in list(done.prepared.pool.rows.ids)
    assert f"pool.{kind}:9" in list(done.prepared.pool.rows.ids)
    assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed


def test_blank_lines_are_left_out_where_asked(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in with_vectors([{}] * 8)]
    source = tmp_path / "pool.jsonl"
    source.write_text("\n".join([*lines[:3], "", *lines[3:5], " \t", *lines[5:]]) + "\n\n")
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False)
    request = SelectRequest(pool, Choice.of(keep="100%"), str(tmp_path / "kept.jsonl"))
    with pytest.raises(InputError, match=r"line 4 of .* is blank; remove it, or leave such lines out"):
        select_sources(request)
    done = select_sources(replace(request, pool=replace(pool, skip_empty=True)))
    assert f"{source}: left out 2 rows without text: 4, 7" in done.notes()
    assert (tmp_path / "kept.jsonl").read_text().splitlines() == lines
    assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed
    table = tmp_path / "a.csv"
    table.write_text("text,n\na,1\n\nb,2\n")
    rows = read_rows([str(table)], skip_empty=True)
    assert (list(rows.texts()), rows.left_out) == (["a", "b"], {str(table): [3]})


NESTED = [
    {"meta": {"lang": "en" if n % 2 else "de", "by": {"who": n}}, "ok": n in (2, 5), "meta.x": n}
    for n in range(8)
]


def test_fields_within_fields_and_truth_values(tmp_path: Path) -> None:
    done = run(tmp_path, with_vectors(NESTED), "4", must=("ok=true",), by="meta.lang", at_least=1)
    kept = read_lines(tmp_path / "kept.jsonl")
    assert {row["instruction"] for row in kept} >= {"i2", "i5"}
    assert done.measures["controls"]["groups"].keys() == {"de", "en"}
    rows = done.prepared.pool.rows
    assert rows.field("meta.by.who") == list(range(8))
    assert rows.field("meta.x") == list(range(8))
    with pytest.raises(InputError, match=r"no record has a field 'meta.none'; .*found: instruction"):
        rows.field("meta.none")
    with pytest.raises(InputError, match=r"no record has a field 'meta.none'"):
        run(tmp_path, with_vectors(NESTED), "4", by="meta.none", at_least=1)
    assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed
    (tmp_path / "q.json").write_text('{"true": 1, "false": 2}')
    again = run(tmp_path, with_vectors(NESTED), "3", by="ok", quota=str(tmp_path / "q.json"))
    assert sum(row["ok"] for row in read_lines(tmp_path / "kept.jsonl")) == 1
    assert verify_folder(SavedPoolRequest(again.folder, use_cache=False)).passed


def test_fields_within_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "meta": [{"n": 1}, None]}), tmp_path / "a.parquet")
    for asked in ((), ("meta.n",)):
        assert read_rows([str(tmp_path / "a.parquet")], fields=asked).field("meta.n") == [1, None]


def test_rows_from_python_have_fields_of_their_own() -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "Turn it round.", "output": "Done.", "vec": VECTORS[0]},
        *(
            {"instruction": "Turn it round.", "input": f"{n}", "output": "Done.", "vec": VECTORS[n]}
            for n in range(1, 5)
        ),
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}
            ]
        }
        | {"vec": VECTORS[5]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": "1"}}}]}
            ]
        }
        | {"vec": np.array(VECTORS[6])},
    ]
    options: dict[str, Any] = {"encoder": "column:vec", "use_cache": False}
    for order in (rows, rows[::-1]):
        assert len(select_rows(order, 7, **options)) == 7
    assert len(rows_of(rows).texts()[6]) > 0


def test_what_is_no_list_of_rows_is_said_in_a_line() -> None:
    import datasets

    one = datasets.Dataset.from_list([{"text": "a"}])
    wrong = {
        "the splits train; give one of them, as in rows\\['train'\\]": datasets.DatasetDict(train=one),
        "an IterableDataset streams them; give list": one.to_iterable_dataset(),
        "got one dictionary": {"text": "a"},
        "got str": "text",
        "row 2 is int": [{"text": "a"}, 2],
        "there are no rows": [],
    }
    for said, given in wrong.items():
        with pytest.raises(InputError, match=said):
            select_rows(given, 1)


def test_texts_that_begin_alike_for_a_whole_window_stay_apart(tmp_path: Path, tiny_folder: Path) -> None:
    """A shared opening longer than the window of 24 tokens; the questions behind it differ."""
    opening = "even row far " * 30
    rows = [{"system": opening, "prompt": f"{word} {word}", "completion": "even"} for word in WORDS]
    rows += [{"system": "", "prompt": "row " * 60, "completion": "even"}, dict(rows[0])]
    source = write_lines(tmp_path / "pool.jsonl", rows)
    others = write_lines(tmp_path / "others.jsonl", [{"text": f"{opening}\n{WORDS[2]} {WORDS[2]}\neven"}])
    pool = PoolRequest([str(source)], encoder=str(tiny_folder))
    done = select_sources(SelectRequest(pool, Choice.of(keep="9"), str(tmp_path / "kept.jsonl")))
    assert done.manifest.kept == 9
    assert (done.manifest.encoder.long, done.manifest.encoder.averaged) == ("cut", 9)
    assert any(
        "but 9 of them that begin alike and differ later, which were averaged" in note
        for note in done.notes()
    )
    verified = verify_folder(SavedPoolRequest(done.folder))
    assert verified.passed
    assert verified.same_vectors
    away = Choice.of(keep="7", avoid=str(others), distance=1e-6)
    select_sources(SelectRequest(pool, away, str(tmp_path / "kept.jsonl"), overwrite=True))
    assert not any(WORDS[2] in row["prompt"] for row in read_lines(tmp_path / "kept.jsonl"))
    mean = select_sources(
        SelectRequest(replace(pool, long="mean"), Choice.of(keep="9"), str(tmp_path / "mean.jsonl"))
    )
    assert "averaged" not in mean.manifest.encoder.model_dump()


def test_rows_to_avoid_may_have_another_form(tmp_path: Path, tiny_folder: Path) -> None:
    source = write_lines(tmp_path / "pool.jsonl", [{"body": f"{word} even", "n": 1} for word in WORDS])
    chat = [{"messages": [{"role": "user", "content": f"{WORDS[3]} even"}]}]
    others = write_lines(tmp_path / "others.jsonl", chat)
    pool = PoolRequest([str(source)], encoder=str(tiny_folder), text="body")
    away = Choice.of(keep="7", avoid=str(others), distance=1e-6)
    select_sources(SelectRequest(pool, away, str(tmp_path / "kept.jsonl")))
    assert WORDS[3] not in {row["body"].split()[0] for row in read_lines(tmp_path / "kept.jsonl")}


def test_rows_of_one_text_that_differ_elsewhere_are_no_copies(tmp_path: Path, tiny_folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": word, "image": "a.png", "id": n} for n, word in enumerate(WORDS[:4])
    ]
    rows += [{"text": "one", "image": f"{name}.png", "id": name} for name in "bcd"]
    rows += [{"image": "b.png", "text": "one", "id": "e"}, {"text": "one", "image": "a.png", "seen": None}]
    source = write_lines(tmp_path / "pool.jsonl", rows)
    pool = PoolRequest([str(source)], encoder=str(tiny_folder))
    few = select_sources(SelectRequest(pool, Choice.of(keep="3"), str(tmp_path / "few.jsonl")))
    assert (
        "3 rows have the text of an earlier row and differ in image: 5, 6, 7; 2 more are exact copies; such rows are "
        "kept last" in few.notes()
    )
    assert few.manifest.h_min is not None
    assert few.manifest.h_min > 0
    for asked, kept, said in (
        ("6", 6, "of the 6 kept rows 2 have the text of another"),
        ("100%", 7, "of the 7 kept rows 3 have the text of another"),
    ):
        done = select_sources(
            SelectRequest(pool, Choice.of(keep=asked), str(tmp_path / "kept.jsonl"), overwrite=True)
        )
        assert done.selection.rows[4:].tolist() == [4, 5, 6][: kept - 4]
        assert any(said in note for note in done.notes())
        assert read_lines(tmp_path / "kept.jsonl") == rows[:kept]
        assert verify_folder(SavedPoolRequest(done.folder)).passed
    apart = select_sources(
        SelectRequest(pool, Choice.of(keep="100%", dedup=1e-6), str(tmp_path / "apart.jsonl"))
    )
    assert apart.manifest.kept == 4
    whole = select_sources(
        SelectRequest(pool, Choice.of(keep="9", allow_copies=True), str(tmp_path / "all.jsonl"))
    )
    assert whole.manifest.kept == 9


def test_texts_that_the_encoder_cannot_tell_apart_are_no_copies(tmp_path: Path, tiny_folder: Path) -> None:
    """Words that its vocabulary has not are all the same to it."""
    rows: list[dict[str, Any]] = [{"text": word} for word in (*WORDS[:4], "Ω", "Ж", "字")]
    rows += [{"text": "one", "image": "a.png"}, {"text": "one"}, {"text": "Ω"}]
    source = write_lines(tmp_path / "pool.jsonl", rows)
    pool = PoolRequest([str(source)], encoder=str(tiny_folder))
    few = select_sources(SelectRequest(pool, Choice.of(keep="5"), str(tmp_path / "few.jsonl")))
    assert any(
        "2 rows have another text but the vector of an earlier row, for the encoder cannot tell them apart: 6, 7"
        in note
        for note in few.notes()
    )
    shown = " ".join(summary(few, details=False))
    assert (
        "left out 5: 2 exact copies, 1 with the text of a kept row and other fields, 2 that the encoder cannot tell "
        "from a kept row" in shown
    )
    done = select_sources(SelectRequest(pool, Choice.of(keep="100%"), str(tmp_path / "kept.jsonl")))
    assert read_lines(tmp_path / "kept.jsonl") == rows[:8]
    assert any(
        "distinct vectors ran out; of the 8 kept rows 1 have the text of another and differ in other fields and 2 have "
        "another text but the vector of another" in note
        for note in done.notes()
    )
    assert verify_folder(SavedPoolRequest(done.folder)).passed
    assert len(select_rows(rows, 8, encoder=str(tiny_folder), use_cache=False)) == 8


def test_calls_that_differ_in_their_ids_alone_are_copies(tmp_path: Path, tiny_folder: Path) -> None:
    def row(number: int, hour: str) -> dict[str, Any]:
        call = {
            "id": f"c{number}",
            "type": "function",
            "function": {"name": "even", "arguments": {"row": hour}},
        }
        turns = [
            {"role": "user", "content": "half"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
        return {"messages": [*turns, {"role": "tool", "tool_call_id": f"c{number}", "content": "far"}]}

    source = write_lines(tmp_path / "pool.jsonl", [row(1, "one"), row(2, "zebra"), row(3, "one")])
    pool = PoolRequest([str(source)], encoder=str(tiny_folder))
    done = select_sources(SelectRequest(pool, Choice.of(keep="100%"), str(tmp_path / "kept.jsonl")))
    assert done.manifest.kept == 2


def test_a_folder_of_json_lines_is_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = with_vectors([{"made": "2024-01-01T00:00:00", "n": n if n % 2 else n + 0.5} for n in range(8)])
    del rows[3]["made"]
    write_lines(folder / "p1.jsonl", rows[:4])
    write_lines(folder / "p2.jsonl", rows[4:])
    (folder / "README.md").write_text("# rows\n")
    (folder / "_SUCCESS").write_text("")
    kept = []
    for name, split in (("data", "train"), ("data", None), ("data/*.jsonl", None)):
        pool = PoolRequest([str(tmp_path / name)], encoder="column:vec", use_cache=False, split=split)
        out = str(tmp_path / "kept.jsonl")
        done = select_sources(SelectRequest(pool, Choice.of(keep="4"), out, overwrite=True))
        assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed
        kept.append(Path(out).read_bytes())
    assert kept[0] == kept[1] == kept[2]
    (folder / "p2.jsonl").rename(folder / "test-0.jsonl")
    (folder / "p1.jsonl").rename(folder / "train.jsonl")
    assert len(read_rows([str(folder)], split="test")) == 4
    with pytest.raises(InputError, match="has the splits test, train; name one as `split`"):
        read_rows([str(folder)])
    with pytest.raises(InputError, match="has no split dev; it has test, train"):
        read_rows([str(folder)], split="dev")
