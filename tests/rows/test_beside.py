"""What lies beside rows: media that no text encoder sees, files without rows, configurations of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.rows.sources import read_rows
from evenly.selecting.request import SelectRequest
from tests.jobs.files import write_lines
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]

PART: dict[str, Any] = {"type": "image_url", "image_url": {"url": "u"}}
MEDIA = [
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "one"}, PART]}]},
    {"prompt": "two", "image": "a.png"},
    {"prompt": "half", "images": ["a.png"]},
    {"prompt": "near", "images": []},
    {"prompt": "far", "audio": None},
]


def test_rows_with_media_are_counted(tmp_path: Path, tiny_folder: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", MEDIA)
    pool = PoolRequest([str(source)], encoder=str(tiny_folder), use_cache=False)
    done = select_sources(SelectRequest(pool, Choice.of(keep="2"), str(tmp_path / "kept.jsonl")))
    said = [note for note in done.notes() if "images" in note]
    assert said == [
        "warning: the vectors do not see the images, sounds or films of 3 rows; vectors that do can be given as "
        "`encoder=vectors:FILE.npy`"
    ]


def test_media_of_tables_are_counted_unread(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": None}, None, {"bytes": b"y", "path": None}]
    table = pa.table({"text": ["a", "b", "c"], "image": images, "videos": [[], ["v"], []]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_rows([str(tmp_path / "a.parquet")]).media == 3
    pq.write_table(table.drop_columns("videos"), tmp_path / "b.parquet")
    assert read_rows([str(tmp_path / "b.parquet")]).media == 2
    assert read_rows([str(write_lines(tmp_path / "c.jsonl", [{"text": "a"}]))]).media == 0


def test_files_beside_data_are_passed_over_and_named(tmp_path: Path, tiny_folder: Path) -> None:
    for name in ("_SUCCESS", "README.md", "part.jsonl.crc", "dataset_info.json", "_started_1"):
        (tmp_path / name).write_text("{}")
    write_lines(tmp_path / "part-0.jsonl", [{"text": "one"}, {"text": "two"}])
    write_lines(tmp_path / "_part-1.jsonl", [{"text": "half"}])
    rows = read_rows([f"{tmp_path}/*"])
    assert len(rows) == 3
    assert len(rows.passed_over) == 5
    assert [Path(source.name).name for source in read_rows([str(tmp_path)]).opened] == ["part-0.jsonl"]
    pool = PoolRequest([f"{tmp_path}/*"], encoder=str(tiny_folder), use_cache=False)
    done = select_sources(SelectRequest(pool, Choice.of(keep="2"), f"{tmp_path}/kept.jsonl"))
    assert any("passed over 5 files that hold no rows: README.md, _SUCCESS" in note for note in done.notes())
    (tmp_path / "a.bin").write_text("x")
    with pytest.raises(InputError, match=r"the ending of .*a.bin names no known format"):
        read_rows([f"{tmp_path}/a*"])


def test_a_configuration_stands_behind_a_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("en", "de"):
        (folder / name).mkdir(parents=True)
        (folder / name / "train.csv").write_text(f"prompt,completion\n{name},b\n")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/train.csv\n" for name in ("en", "de"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert read_rows([f"{folder}:de"], split="train").texts()[0] == "de\nb"
    for name in (str(folder), f"{folder}:fr"):
        with pytest.raises(InputError, match=r"has the configurations en, de; name one behind it: .*set:en"):
            read_rows([name], split="train")


def test_chats_that_datasets_takes_for_logs_of_agents_are_read(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    row = {"id": "i", "source": "s", "model": "m", "system_prompt": "p", "messages": turns}
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.json").write_text(json.dumps([row]))
    assert read_rows([str(tmp_path / "set")], split="train").texts()[0] == "p\nq\na"
