"""A selection handed over to training tools, read back by what those tools read with."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from evenly.errors import InputError
from evenly.folder.manifest import Manifest, write_manifest
from evenly.folder.order import ORDER_FILE, ORDER_SCHEMA
from evenly.records import EncoderRecord
from evenly.rows.sources import read_rows
from evenly.train.export import TARGETS, export

RECORDS = [{"instruction": f"add {n} and 1", "input": "", "output": f"{n + 1} – done"} for n in range(6)]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A selection folder of rows 4 and 1 of six."""
    return write_selection(tmp_path, RECORDS)


def write_selection(folder: Path, records: list) -> Path:
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    place = folder / "kept.evenly"
    place.mkdir()
    ranks = {4: 0, 1: 1}
    rank = [ranks.get(row) for row in range(6)]
    order = [{"row": row, "id": str(row), "rank": rank[row], "keeper": 4} for row in range(6)]
    pq.write_table(pa.Table.from_pylist(order, ORDER_SCHEMA), place / ORDER_FILE)
    manifest = Manifest(
        evenly="0",
        created="2026-01-01T00:00:00Z",
        sources=read_rows([str(source)]).sources,
        outputs=[],
        encoder=EncoderRecord(name="minilm", identity="x", dimension=384),
        text=None,
        part="all",
        metric="cosine",
        keep="2",
        asked=2,
        kept=2,
        pool_rows=6,
        start=4,
        start_rule="nearest-mean",
        seed=0,
        h_min=0.1,
        fill=0.1,
        order_sha256="x",
        vectors_sha256="x",
        seconds={},
        versions={},
    )
    write_manifest(manifest, place)
    return place


@pytest.mark.parametrize("target", TARGETS)
def test_rows_load_as_conversations(target: str, kept: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = export(kept, target, tmp_path / "out")
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("json", data_files=str(files[0]), split="train", cache_dir=cache)
    assert [row["messages"][1]["content"] for row in loaded] == ["2 – done", "5 – done"]
    assert [turn["role"] for turn in loaded[0]["messages"]] == ["user", "assistant"]
    for path in files[1:]:
        text = path.read_text(encoding="utf-8")
        {".yaml": yaml.safe_load, ".json": json.loads, ".py": ast.parse}[path.suffix](text)


@pytest.mark.slow
def test_trl_reads_its_configuration(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trl = pytest.importorskip("trl")
    configuration = export(kept, "trl", tmp_path / "out")[1]
    monkeypatch.chdir(tmp_path / "out")
    parser = trl.TrlParser((trl.ScriptArguments, trl.SFTConfig, trl.ModelConfig, trl.DatasetMixtureConfig))
    given = ["--config", str(configuration), "--bf16", "false", "--use_cpu", "true"]
    _, settings, model, mixture = parser.parse_args_and_config(given)
    assert model.model_name_or_path == "MODEL"
    assert (settings.max_length, settings.assistant_only_loss) == (512, True)
    assert mixture.datasets[0].data_files == {"train": "kept.jsonl"}


def test_axolotl_reads_its_configuration(kept: Path, tmp_path: Path) -> None:
    schemas = pytest.importorskip("axolotl.utils.schemas.config", reason="axolotl is not installed")
    settings = yaml.safe_load(export(kept, "axolotl", tmp_path / "out")[1].read_text())
    schemas.AxolotlInputConfig(**settings)


def test_llama_factory_names_the_columns(kept: Path, tmp_path: Path) -> None:
    _, info, settings = export(kept, "llama-factory", tmp_path / "out")
    entry = json.loads(info.read_text())["kept"]
    assert (entry["file_name"], entry["formatting"], entry["columns"]) == (
        "kept.jsonl",
        "sharegpt",
        {"messages": "messages"},
    )
    assert yaml.safe_load(settings.read_text())["dataset"] == "kept"


def test_plain_text_goes_as_text(tmp_path: Path) -> None:
    kept = write_selection(tmp_path, [{"text": f"text {n}"} for n in range(6)])
    lines = export(kept, "axolotl", tmp_path / "out")[0].read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "text 1"}, {"text": "text 4"}]


def test_what_cannot_be_exported_is_one_line(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use one of trl, axolotl"):
        export(kept, "keras", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="holds files"):
        export(kept, "trl", tmp_path / "full")
    (kept.parent / "rows.jsonl").write_text(json.dumps(RECORDS[0]) + "\n")
    with pytest.raises(InputError, match=r"rows\.jsonl was changed since"):
        export(kept, "trl", tmp_path / "out")
