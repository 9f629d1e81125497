"""Writing what was read gives it back: byte for byte where the format is lines, value for value elsewhere."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.rows import columns, contents, tables, vector_field
from evenly.rows.sources import read_rows
from evenly.rows.writing import write_rows

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
said = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    str.strip
)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | text
extra = st.dictionaries(
    text.filter(
        lambda name: (
            name not in ("text", "messages", "conversations", "prompt", "question", "problem", "instruction")
        )
    ),
    scalars | st.lists(scalars, max_size=2),
    max_size=3,
)
records = st.lists(st.builds(lambda rest, body: {**rest, "text": body}, extra, said), min_size=1, max_size=6)
line_ends = st.sampled_from(["\n", "\r\n"])
blanks = st.sampled_from(["", " ", "\n  ", "\r\n\t"])
few = settings(max_examples=40)


@pytest.fixture(autouse=True, scope="module", params=["held", "mapped"])
def _contents(request: pytest.FixtureRequest) -> Iterator[None]:
    """Contents in memory, and mapped and gone through in steps of a few bytes and rows."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "mapped":
            for module, name, value in (
                (contents, "MAPPED_BYTES", 1),
                (contents, "BLOCK_BYTES", 5),
                (contents, "AT_ONCE_BYTES", 7),
                (tables, "BLOCKS_AT_ONCE", 1),
                (tables, "BLOCK_ROWS", 2),
                (vector_field, "ROWS_AT_ONCE", 2),
                (columns, "ROWS_AT_ONCE", 2),
                (columns, "MEMORY_BYTES", 1),
            ):
                patch.setattr(module, name, value)
        yield


def opened(folder: str, name: str, data: bytes, **options: Any) -> Any:
    path = Path(folder, name)
    path.write_bytes(data)
    return read_rows([str(path)], **options)


def written(rows: Any, folder: str, name: str, kept: Any = None) -> bytes:
    path = Path(folder, name)
    write_rows(rows, range(len(rows)) if kept is None else kept, path)
    return path.read_bytes()


@few
@given(records, line_ends, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2), st.data())
def test_json_lines_come_back_byte_for_byte(
    values: list[dict[str, Any]],
    end: str,
    ascii_only: bool,
    mark: bool,
    last: bool,
    blank: int,
    data: st.DataObject,
) -> None:
    lines = [json.dumps(value, ensure_ascii=ascii_only) + end for value in values]
    if not last:
        lines[-1] = lines[-1].removesuffix(end)
    source = b"\xef\xbb\xbf" * mark + ("".join(lines) + end * blank * last).encode()
    kept = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    with TemporaryDirectory() as folder:
        rows = opened(folder, "a.jsonl", source)
        assert written(rows, folder, "b.jsonl") == source.rstrip() + (end * last).encode()
        some = b"\xef\xbb\xbf" * mark + "".join(lines[row] for row in kept).encode()
        assert written(rows, folder, "c.jsonl", kept) == some
        assert json.loads(written(rows, folder, "d.json", kept)) == [values[row] for row in kept]
        assert [rows.record(row) for row in range(len(rows))] == values
        assert list(rows.texts()) == [value["text"] for value in values]


@few
@given(records, st.sampled_from([None, 0, 1, 4]), blanks, blanks, blanks, st.booleans(), st.data())
def test_json_arrays_come_back_byte_for_byte(
    values: list[dict[str, Any]],
    indent: int | None,
    before: str,
    between: str,
    after: str,
    ascii_only: bool,
    data: st.DataObject,
) -> None:
    objects = [json.dumps(value, indent=indent, ensure_ascii=ascii_only) for value in values]
    source = f"{before}[{between}{f',{between}'.join(objects)}{after}]{after}".encode()
    kept = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    with TemporaryDirectory() as folder:
        rows = opened(folder, "a.json", source)
        assert written(rows, folder, "b.json") == source
        assert json.loads(written(rows, folder, "c.json", kept)) == [values[row] for row in kept]
        lines = written(rows, folder, "d.jsonl", kept).decode().split("\n")
        assert lines.pop() == ""
        assert [json.loads(line) for line in lines] == [values[row] for row in kept]
        assert [list(json.loads(line)) for line in lines] == [list(values[row]) for row in kept]


def test_json_literals_survive_a_change_of_form(tmp_path: Path) -> None:
    array = b'[{"text": "a\\u00e9, \\n",\n   "n": 1.10e+400, "m": 12345678901234567890,\r\n"o":\n "x,  y"}]'
    rows = opened(str(tmp_path), "a.json", array)
    assert written(rows, str(tmp_path), "b.jsonl") == (
        b'{"text": "a\\u00e9, \\n", "n": 1.10e+400, "m": 12345678901234567890, "o":"x,  y"}\n'
    )


@few
@given(
    st.lists(st.tuples(said, text, text), min_size=1, max_size=6),
    line_ends,
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_csv_comes_back_byte_for_byte(
    values: list[tuple[str, str, str]], end: str, quoting: Any, mark: bool, last: bool, data: st.DataObject
) -> None:
    if any("\r" in value for row in values for value in row):
        quoting = csv.QUOTE_ALL  # Python 3.11 leaves a lone carriage return without quotes, which is no CSV.
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end, quoting=quoting).writerows([("text", "b", "c,d"), *values])
    source = buffer.getvalue()
    source = b"\xef\xbb\xbf" * mark + (source if last else source.removesuffix(end)).encode()
    kept = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    with TemporaryDirectory() as folder:
        rows = opened(folder, "a.csv", source)
        assert [tuple(rows.record(row).values()) for row in range(len(rows))] == values
        assert written(rows, folder, "b.csv") == source
        again = csv.reader(io.StringIO(written(rows, folder, "c.csv", kept).decode("utf-8-sig"), newline=""))
        assert [tuple(line) for line in again][1:] == [values[row] for row in kept]


def typed_table() -> pa.Table:
    table = pa.table(
        {
            "text": pa.chunked_array([["a", "b"], ["c"]]),
            "n": pa.array([1, None, 3], pa.uint8()),
            "when": pa.array([0, 1, 2], pa.timestamp("us", tz="UTC")),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "turns": pa.array([[{"role": "user", "content": "q"}], [], None]),
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
        }
    )
    return table.replace_schema_metadata({"huggingface": "{}", "mine": "1"})


def arrow_table(path: Path) -> pa.Table:
    data = path.read_bytes()
    return (pa.ipc.open_file if data.startswith(b"ARROW1") else pa.ipc.open_stream)(data).read_all()


@pytest.mark.parametrize("kept", [[0, 1, 2], [0, 2], [1], []])
@pytest.mark.parametrize("form", ["parquet", "arrow file", "arrow stream"])
def test_tables_keep_columns_types_order_and_metadata(tmp_path: Path, form: str, kept: list[int]) -> None:
    table = typed_table()
    ending = form.split()[0]
    source, out = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    if ending == "parquet":
        pq.write_table(table, source, compression="zstd", row_group_size=2)
    else:
        make = pa.ipc.new_file if form == "arrow file" else pa.ipc.new_stream
        with make(source, table.schema) as writer:
            writer.write_table(table)
    write_rows(read_rows([str(source)]), kept, out)
    found = pq.read_table(out) if ending == "parquet" else arrow_table(out)
    expected = pq.read_table(source) if ending == "parquet" else table
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.to_pylist() == [expected.to_pylist()[row] for row in kept]
    if ending == "parquet" and kept:
        assert pq.ParquetFile(out).metadata.row_group(0).column(0).compression == "ZSTD"
    if ending == "arrow":
        assert out.read_bytes().startswith(b"ARROW1") == (form == "arrow file")


COMPRESSORS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
DECOMPRESSORS = {
    "": bytes,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": zstandard.decompress,
}


@pytest.mark.parametrize("out", COMPRESSORS)
@pytest.mark.parametrize("source", COMPRESSORS)
def test_every_compression_into_every_other(tmp_path: Path, source: str, out: str) -> None:
    lines = b'{"text": "a"}\n{"text": "b"}\n'
    # Two members or frames one after the other are one file.
    packed = COMPRESSORS[source](lines) * (2 if source else 1)
    rows = opened(str(tmp_path), f"a.jsonl{source}", packed)
    kept = written(rows, str(tmp_path), f"b.jsonl{out}", [0])
    assert len(rows) == (4 if source else 2)
    # The zstandard stream carries no size, so it is read as a stream.
    plain = (
        zstandard.ZstdDecompressor().decompressobj().decompress(kept)
        if out == ".zst"
        else DECOMPRESSORS[out](kept)
    )
    assert plain == b'{"text": "a"}\n'
    assert kept == written(rows, str(tmp_path), f"c.jsonl{out}", [0])


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "json"])
def test_compressed_files_of_every_format(tmp_path: Path, ending: str) -> None:
    buffer = io.BytesIO()
    table = pa.table({"text": ["a", "b"]})
    if ending == "parquet":
        pq.write_table(table, buffer)
    elif ending == "arrow":
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table)
    else:
        buffer.write(b"text\na\nb\n" if ending == "csv" else b'[{"text": "a"}, {"text": "b"}]')
    rows = opened(str(tmp_path), f"a.{ending}.zst", zstandard.compress(buffer.getvalue()))
    written(rows, str(tmp_path), f"b.{ending}.xz", [1])
    assert list(read_rows([str(tmp_path / f"b.{ending}.xz")]).texts()) == ["b"]


def test_several_sources_go_into_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\r\n{"text": "b"}')
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "c"}\n')
    (tmp_path / "c.json").write_bytes(b'[\n  {"text": "d"},\n  {"text":\n "e"}]')
    rows = read_rows([str(tmp_path / "*.jsonl"), str(tmp_path / "c.json")])
    assert written(rows, str(tmp_path), "k.jsonl") == (
        b'{"text": "a"}\r\n{"text": "b"}\r\n{"text": "c"}\n{"text": "d"}\n{"text":"e"}\n'
    )
    assert json.loads(written(rows, str(tmp_path), "k.json", [1, 2, 4])) == [
        {"text": "b"},
        {"text": "c"},
        {"text": "e"},
    ]


def typed_rows(start: int, count: int) -> pa.Table:
    """Rows with a number of their own, in two pieces, with dictionaries that differ from table to table."""
    numbers = list(range(start, start + count))
    table = pa.table(
        {
            "text": pa.array([f"row {number}" for number in numbers], pa.string()),
            "kind": pa.array([f"k{number % (2 + start)}" for number in numbers]).dictionary_encode(),
            "turns": pa.array(
                [[{"role": "user", "no": None}] * (number % 3) for number in numbers],
                pa.list_(pa.struct([("role", pa.string()), ("no", pa.null())])),
            ),
            "vector": pa.array([[float(number), 0.5] for number in numbers], pa.list_(pa.float32(), 2)),
        }
    )
    return pa.concat_tables([table[: count // 2], table[count // 2 :]])


def save_table(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=3)
        return
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def save_rows(values: list[dict[str, Any]], path: Path) -> None:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(values[0]), lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(values)
    elif path.suffix == ".json":
        path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    else:  # without a line break at its end
        path.write_text("\n".join(map(json.dumps, values)), encoding="utf-8")


@few
@given(
    st.sampled_from(["jsonl", "json", "csv", "parquet", "arrow"]),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.data(),
)
def test_rows_in_an_order_of_their_own(ending: str, sizes: list[int], data: st.DataObject) -> None:
    starts = np.cumsum([0, *sizes])
    order = data.draw(st.lists(st.integers(0, int(starts[-1]) - 1), unique=True, min_size=1))
    with TemporaryDirectory() as folder:
        expected: list[Any] = []
        for number, (start, size) in enumerate(zip(starts.tolist(), sizes, strict=False)):
            path = Path(folder, f"{number}.{ending}")
            if ending in ("parquet", "arrow"):
                table = typed_rows(start, size)
                save_table(table, path)
                expected += table.to_pylist()
            else:
                values = [{"text": f"row {start + row}", "n": "é\n," * row} for row in range(size)]
                save_rows(values, path)
                expected += values
        rows = read_rows([f"{folder}/*.{ending}"])
        out = Path(folder, f"kept.{ending}")
        assert write_rows(rows, order, out)[0].rows == len(order)
        again = read_rows([str(out)])
        assert [again.record(row) for row in range(len(again))] == [expected[row] for row in order]
        write_rows(rows, order, f"{folder}/kept/")
        for number, source in enumerate(rows.opened):
            own = [row for row in order if starts[number] <= row < starts[number + 1]]
            if own:
                part = read_rows([f"{folder}/kept/{Path(source.name).name}"])
                assert [part.record(row) for row in range(len(part))] == [expected[row] for row in own]


def test_many_rows_of_views_in_an_order_of_their_own(tmp_path: Path) -> None:
    table = pa.table({"text": [f"row {number}" for number in range(5000)]})
    views = table.cast(pa.schema([("text", pa.string_view())]))
    save_table(views, tmp_path / "a.arrow")
    order = np.random.default_rng(0).permutation(5000)
    write_rows(read_rows([str(tmp_path / "a.arrow")]), order, tmp_path / "b.arrow")
    assert arrow_table(tmp_path / "b.arrow").schema == views.schema
    assert arrow_table(tmp_path / "b.arrow").to_pylist() == table.take(order).to_pylist()


def test_one_file_per_source_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n')
    (tmp_path / "b.csv").write_bytes(b"prompt,completion\nx,y\n")
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b'[{"question": "q", "answer": 1}]'))
    rows = read_rows([str(tmp_path / name) for name in ("a.jsonl", "b.csv", "c.json.gz")])
    found = write_rows(rows, np.array([0, 2]), f"{tmp_path}/kept/")
    assert [(record.name, record.rows) for record in found] == [
        ("kept/a.jsonl", 1),
        ("kept/b.csv", 0),
        ("kept/c.json.gz", 1),
    ]
    assert (tmp_path / "kept/b.csv").read_bytes() == b"prompt,completion\n"
    assert gzip.decompress((tmp_path / "kept/c.json.gz").read_bytes()) == b'[{"question": "q", "answer": 1}]'
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["a.jsonl", "b.csv", "c.json.gz"]


@pytest.mark.parametrize("kept", [[0, 0], [1, 0, 1], [0, 9], [-1], [[0]], [0.0]])
def test_kept_rows_are_of_the_pool_and_named_once(tmp_path: Path, kept: Any) -> None:
    rows = opened(str(tmp_path), "a.jsonl", b'{"text": "a"}\n{"text": "b"}\n')
    with pytest.raises(InputError, match="kept must be"):
        write_rows(rows, kept, tmp_path / "b.jsonl")


def test_vectors_of_every_format_go_where_there_is_room(tmp_path: Path) -> None:
    given = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    records = [{"text": f"row {row}", "v": vector.tolist()} for row, vector in enumerate(given)]
    table = pa.Table.from_pylist(records)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    with pa.ipc.new_file(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (tmp_path / "c.json").write_text(json.dumps(records))
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    target = np.zeros((28, 3), dtype=np.float32)
    rows = read_rows([f"{tmp_path}/*"], scratch=tmp_path / "scratch")
    assert rows.vectors("v", lambda dimension: target[:, :dimension]).base is target
    assert np.array_equal(target, np.tile(given, (4, 1)))
    assert np.array_equal(read_rows([f"{tmp_path}/d.jsonl"]).vectors("v"), given)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1, 2], [1, 2], [1, 2], [3]], "row 4 of .*a.jsonl has 1 numbers in 'v' where row 1 has 2"),
        ([[1, 2], [1, 2], [1, 2], None], "row 4 of .*a.jsonl has no vector in 'v' where row 1 has 2"),
        ([None, [1]], "row 1 of .*a.jsonl has no vector in 'v' where row 1 has 0"),
        ([1, None, "x"], "holds no lists of numbers"),
        ([None, None], "no record has a field 'v'"),
        ([[1], [1], [1], ["x"]], "lists that are not of real numbers alone; mend them, or"),
        ([["1"], ["2"]], "lists that are not of real numbers alone"),
        ([[]], "row 1 of .*a.jsonl has 0 numbers"),
    ],
)
def test_vectors_that_are_none(tmp_path: Path, values: list[Any], said: str) -> None:
    lines = (json.dumps({"text": "t"} | ({} if value is None else {"v": value})) for value in values)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match=said):
        read_rows([str(tmp_path / "a.jsonl")]).vectors("v")


def test_vectors_of_two_widths_are_of_two_encoders(tmp_path: Path) -> None:
    for name, value in (("a", [1, 2]), ("b", [1])):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": "t", "v": value}))
    with pytest.raises(InputError, match="vectors in 'v' are 1 or 2 long; use one encoder"):
        read_rows([f"{tmp_path}/*.jsonl"]).vectors("v")


def test_a_scratch_folder_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAPPED_BYTES", 1)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "t"}'))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"scratch files in .* cannot be written") as error:
        read_rows([str(tmp_path / "a.jsonl.gz")], scratch=tmp_path / "file" / "below")
    assert "\n" not in str(error.value)
