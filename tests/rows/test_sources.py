"""Where rows come from, where they may go, and one clear line for everything that is wrong."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from evenly.errors import InputError
from evenly.rows.sources import read_rows
from evenly.rows.writing import check_output, write_rows

GOOD = b'{"text": "a"}\n{"text": "b"}\n'
PACKED = {
    ".gz": gzip.compress(GOOD, mtime=0),
    ".bz2": bz2.compress(GOOD),
    ".xz": lzma.compress(GOOD),
    ".zst": zstandard.compress(GOOD),
}

BAD_FILES = [
    ("a.jsonl", b"", "a.jsonl is empty"),
    ("a.jsonl", b" \n\n", "a.jsonl is empty"),
    ("a.jsonl", b"\xef\xbb\xbf", "a.jsonl is empty"),
    ("a.jsonl", GOOD + b'{"text": \n', "line 3 of .*a.jsonl is not JSON: Expecting value, column 9"),
    ("a.jsonl", GOOD + b"[1]\n", "line 3 of .*a.jsonl is an array; expected an object"),
    ("a.jsonl", GOOD + b"3\n", "line 3 of .*a.jsonl is a number"),
    ("a.jsonl", GOOD + b"\n" + GOOD, "line 3 of .*a.jsonl is blank; remove it"),
    ("a.jsonl", GOOD + b'{"text": "\xff"}\n', "line 3 of .*a.jsonl is not UTF-8"),
    ("a.jsonl", GOOD + b'{"text": "\0"}\n', "line 3 of .*a.jsonl holds a NUL byte"),
    ("a.jsonl", '{"text": "a"}\n'.encode("utf-16"), "a.jsonl is UTF-16; save it as UTF-8"),
    ("a.jsonl", b"[" * 100_000, "row 1 of .*a.jsonl cannot be read"),
    ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}\n", "line 1 of .*a.jsonl cannot be read"),
    ("a.json", b"", "a.json is empty"),
    ("a.json", b"[ ]", "a.json is an empty array"),
    ("a.json", b'{"text": "a"}', r"a.json holds an object at the top level \(with text\); expected an array"),
    ("a.json", b'[{"text": "a"},\n 7]', "row 2 of .*a.json is a number; expected an object"),
    (
        "a.json",
        b'[{"text": "a"},\n {"text" "b"}]',
        "a.json is not JSON: Expecting ':' delimiter, line 2, column 10",
    ),
    ("a.json", b'[{"text": "a"}\n {"text": "b"}]', "Expecting ',' or ']', line 2, column 2"),
    ("a.json", b'[{"text": "a"}', "Expecting ',' or ']'"),
    ("a.json", b'[{"text": "a"},]', "a.json is not JSON"),
    ("a.json", b'[{"text": "a"}] x', "Extra data behind the array, line 1, column 17"),
    ("a.json", b'[{"text": "a"},\n{"text": "\xff"}]', "line 2 of .*a.json is not UTF-8"),
    ("a.csv", b"text,n\n", "a.csv holds a header and no rows"),
    ("a.csv", b"text,n,n\na,1,2\n", "the header of .*a.csv names the column 'n' twice"),
    ("a.csv", b'text,n\n"a\nb",1\nc\n', "line 4 of .*a.csv has 1 fields where the header has 2"),
    ("a.csv", b"text,n\na,1\n\nb,2\n", "line 3 of .*a.csv is blank"),
    ("a.csv", b"\ntext,n\na,1\n", "line 1 of .*a.csv is blank; expected a header"),
    ("a.csv", b'text,n\na,1\n"b,2\nc,3\n', "line 3 of .*a.csv starts a record that is not CSV"),
    ("a.csv", b"text\na\n\xff\n", "line 3 of .*a.csv is not UTF-8"),
    ("a.csv", b"text\na\0\n", "line 2 of .*a.csv holds a NUL byte"),
    ("a.csv", b"x;y\na;b\n", "no form that is known; found: x, y"),
    ("a.parquet", b"PAR1 and no more", "a.parquet is not a whole Parquet file"),
    ("a.arrow", b"ARROW1\0\0 and no more", "a.arrow is not a whole Arrow file"),
    ("a.arrow", b"what", "a.arrow is not a whole Arrow file"),
    *((f"a.jsonl{end}", data[:-4], "is cut short or damaged") for end, data in PACKED.items()),
    *((f"a.jsonl{end}", GOOD, "is cut short or damaged") for end in PACKED),
    *((f"a.jsonl{end}", data + b"rubbish", "is cut short or damaged") for end, data in PACKED.items()),
    ("a.txt", GOOD, "the ending of .*a.txt names no known format; known: .json, .jsonl, .ndjson, .csv"),
    ("jsonl", GOOD, "names no known format"),
]


@pytest.mark.parametrize(
    ("name", "data", "message"), BAD_FILES, ids=[f"{name}: {message}" for name, _, message in BAD_FILES]
)
def test_bad_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_rows([str(tmp_path / name)])
    assert "\n" not in str(caught.value)


def test_tables_without_rows_or_with_twins(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet holds no rows"):
        read_rows([str(tmp_path / "a.parquet")])
    twins = pa.table([["a"], ["b"]], names=["text", "text"])
    with pa.ipc.new_file(tmp_path / "a.arrow", twins.schema) as writer:
        writer.write_table(twins)
    with pytest.raises(InputError, match=r"two columns named 'text'"):
        read_rows([str(tmp_path / "a.arrow")])


def test_errors_name_all_columns_of_a_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["x"], "n": [1], "v": [[1, 2]], "w": [["x"]]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": ["y"], "v": [[1, 2, 3]]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"row 1 of .*a.parquet has no field text; found: a, n, v, w"):
        read_rows([str(tmp_path / "a.parquet")], text="text")
    rows = read_rows([f"{tmp_path}/?.parquet"], text="a")
    assert rows.field("n") == [1, None]
    with pytest.raises(InputError, match=r"vectors in 'v' are 2 or 3 long"):
        rows.vectors("v")
    with pytest.raises(
        InputError, match=r"the column 'w' of .*a.parquet holds list<.*>; expected lists of numbers"
    ):
        rows.vectors("w")
    assert read_rows([str(tmp_path / "b.parquet")], text="a").vectors("v").tolist() == [[1, 2, 3]]


def test_globs_and_several_files_are_one_pool(tmp_path: Path) -> None:
    for name, body in [("b.jsonl", "b"), ("a.jsonl", "a"), ("c.ndjson", "c")]:
        (tmp_path / name).write_text(json.dumps({"text": body}))
    rows = read_rows([str(tmp_path / "c.ndjson"), f"{tmp_path}/*.jsonl"])
    assert list(rows.texts()) == ["c", "a", "b"]
    assert list(rows.ids) == ["c.ndjson:1", "a.jsonl:1", "b.jsonl:1"]
    assert [source.rows for source in rows.sources] == [1, 1, 1]
    expected = hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    assert rows.sources[1].sha256 == expected
    (tmp_path / "odd[1].jsonl").write_bytes(GOOD)
    assert len(read_rows([f"{tmp_path}/odd[1].jsonl"])) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["{0}/none*.jsonl"], "no file matches"),
        (["{0}/none.jsonl"], "none.jsonl does not exist"),
        (["{0}/a.jsonl", "{0}/../{1}/a.jsonl"], "is given twice"),
        (["{0}/*.jsonl", "{0}/a.jsonl"], "is given twice"),
        (["/dev/null"], "neither a file nor a folder; to read JSON Lines from a pipe, name it -"),
        ([], "at least one file"),
        ("a.jsonl", "must be a list"),
    ],
)
def test_bad_names(tmp_path: Path, given: Any, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    names = [name.format(tmp_path, tmp_path.name) for name in given] if isinstance(given, list) else given
    with pytest.raises(InputError, match=message):
        read_rows(names)


def test_standard_input_and_progress() -> None:
    seen: list[tuple[str, int, int]] = []
    rows = read_rows(["-"], stdin=io.BytesIO(GOOD), progress=lambda *step: seen.append(step))
    assert (rows.sources[0].name, rows.sources[0].sha256) == ("-", hashlib.sha256(GOOD).hexdigest())
    assert seen == [("read", 2, 2)]
    with pytest.raises(InputError, match=r"standard input is empty"):
        read_rows(["-"], stdin=io.BytesIO())
    with pytest.raises(InputError, match=r"a split \(train\) was named, but no source is a dataset"):
        read_rows(["-"], stdin=io.BytesIO(GOOD), split="train")


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.json", "sub/kept.jsonl.gz"])
def test_outputs_that_fit(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    check_output(read_rows(["-"], stdin=io.BytesIO(GOOD)), tmp_path / name)


def test_outputs_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_bytes(GOOD)
    Path("b.csv").write_bytes(b"text,n\na,1\n")
    Path("c.csv").write_bytes(b"text,m\na,1\n")
    Path("d.jsonl").write_bytes(b'{"prompt": "p", "completion": "c"}\n')
    Path("sub").mkdir()
    Path("sub/a.jsonl").write_bytes(GOOD)
    Path("link.jsonl").symlink_to("a.jsonl")
    os.link("a.jsonl", "hard.jsonl")
    cases = [
        (
            ["a.jsonl"],
            "kept.csv",
            r"rows of a.jsonl cannot be written unchanged to kept.csv; .* .jsonl or .json",
        ),
        (["b.csv"], "kept.parquet", "give the output the ending .csv"),
        (["a.jsonl"], "kept", r"the output kept has no ending, .* write `out=kept/` for a folder"),
        *(
            (["a.jsonl", "b.csv"], f"kept.{kind}", "no one file takes the rows of all sources: name a folder")
            for kind in ("jsonl", "csv", "parquet")
        ),
        (["b.csv", "c.csv"], "kept.csv", "the same columns and types: those of c.csv differ from b.csv"),
        (["a.jsonl", "d.jsonl"], "kept.jsonl", "one file takes rows of one form: a.jsonl has plain text"),
        (["a.jsonl"], "a.jsonl", "the output a.jsonl is the input a.jsonl"),
        (["a.jsonl"], "sub/../a.jsonl", "is the input"),
        (["a.jsonl"], "link.jsonl", "is the input"),
        (["a.jsonl"], "hard.jsonl", "is the input"),
        (["link.jsonl"], "a.jsonl", "is the input link.jsonl"),
        (["a.jsonl"], ".", "is the input"),
        (["a.jsonl", "sub/a.jsonl"], "kept/", "would both be written as a.jsonl"),
        (["a.jsonl"], "none/kept.jsonl", "the folder none of the output none/kept.jsonl does not exist"),
        (["a.jsonl"], "b.csv/", "is a file, not a folder"),
    ]
    for names, out, message in cases:
        rows = read_rows(names)
        with pytest.raises(InputError, match=message):
            check_output(rows, out)
        with pytest.raises(InputError, match=message):
            write_rows(rows, [0], out)
    assert Path("a.jsonl").read_bytes() == GOOD


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(GOOD)
    rows = read_rows([f"{tmp_path}/*.jsonl"])
    calls = iter([None, OSError(errno.ENOSPC, "No space left on device")])

    def fsync(number: int) -> None:
        if (error := next(calls)) is not None:
            raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match=r"the disk is full: .*kept/b.jsonl was not written"):
        write_rows(rows, [0, 1, 2], f"{tmp_path}/kept/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.jsonl").write_text("old")
    rows = read_rows(["-"], stdin=io.BytesIO(GOOD))

    def interrupted(number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_rows(rows, [0], tmp_path / "kept.jsonl")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with datasets that `datasets` saved, and one of plain files that it can load."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("datasets")
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "answer": datasets.Value("string"),
            "kind": datasets.ClassLabel(names=["x", "y"]),
        }
    )
    part = datasets.Dataset.from_dict(
        {"question": ["p", "q", "r"], "answer": ["1", "2", "3"], "kind": [0, 1, 0]}, features
    )
    part.select([2, 0]).save_to_disk(folder / "single")
    datasets.DatasetDict({"train": part, "test": part.select([1])}).save_to_disk(folder / "double")
    (folder / "plain").mkdir()
    (folder / "plain" / "train.jsonl").write_bytes(GOOD)
    return folder


def test_saved_datasets(saved: Path, tmp_path: Path) -> None:
    rows = read_rows([str(saved / "single")])
    assert list(rows.texts()) == ["r\n3", "p\n1"]
    assert list(rows.ids) == ["single:1", "single:2"]
    write_rows(rows, [1], tmp_path / "kept.parquet")
    kept = pq.read_table(tmp_path / "kept.parquet")
    assert kept.to_pylist() == [{"question": "p", "answer": "1", "kind": 0}]
    assert b"ClassLabel" in kept.schema.metadata[b"huggingface"]
    write_rows(rows, [0], tmp_path / "kept.arrow")
    assert list(read_rows([str(tmp_path / "kept.arrow")]).texts()) == ["r\n3"]
    assert write_rows(rows, [0], f"{tmp_path}/kept/")[0].name == "kept/single.parquet"
    train = read_rows([str(saved / "double")], split="train")
    assert len(train) == 3
    assert train.sources[0].sha256 != read_rows([str(saved / "double")], split="test").sources[0].sha256
    with pytest.raises(InputError, match=r"double has the splits train, test; name one as `split`"):
        read_rows([str(saved / "double")])
    with pytest.raises(InputError, match=r"has no split dev; it has train, test"):
        read_rows([str(saved / "double")], split="dev")
    with pytest.raises(InputError, match=r"inside it"):
        check_output(rows, saved / "single" / "kept.parquet")


def test_datasets_through_load_dataset(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "a.csv").write_text("text\na\nb\n")
    assert list(read_rows([str(tmp_path / "table")], split="train").texts()) == ["a", "b"]
    with pytest.raises(InputError, match=r"has the splits train; name one"):
        read_rows([str(tmp_path / "table")])

    with pytest.raises(
        InputError, match=r"some/name is no file here, and the hub cannot be asked for it"
    ) as caught:
        read_rows(["some/name"])
    assert "\n" not in str(caught.value)
