"""Folders that name a field, as Hive and Spark write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.rows.sources import read_rows
from evenly.selecting.request import SelectRequest


@pytest.mark.parametrize("pattern", ["", "/*/*.parquet"])
def test_folders_that_name_a_field_give_it(tmp_path: Path, pattern: str) -> None:
    for number, lang in enumerate(("en", "d%20e")):
        part = tmp_path / "data" / f"lang={lang}"
        part.mkdir(parents=True)
        vectors = [[float(number == axis), float(row == 0), 1.0] for axis, row in ((0, 0), (1, 1))]
        pq.write_table(pa.table({"text": ["a", "b"], "vec": vectors}), part / "part-0.parquet")
        (part / "_SUCCESS").write_text("")
    name = f"{tmp_path}/data{pattern}"
    rows = read_rows([name])
    assert rows.field("lang") == ["d e", "d e", "en", "en"]
    pool = PoolRequest([name], encoder="column:vec", use_cache=False)
    choice = Choice.of(keep="2", by="lang", at_least=1)
    done = select_sources(SelectRequest(pool, choice, f"{tmp_path}/kept/"))
    assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed
    assert read_rows([f"{tmp_path}/kept/*/*.parquet"]).field("lang") == ["d e", "en"]
