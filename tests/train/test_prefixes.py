"""Tools that take the first rows of a file: of one in the order of picking, each gets the selection of that size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from tests.jobs.files import write_lines


def ordered(folder: Path, name: str, rows: int, seed: int) -> tuple[str, list[str]]:
    """A whole pool in the order of picking, and its texts in that order, by the record."""
    folder.mkdir()
    vectors = np.random.default_rng(seed).standard_normal((rows, 6))
    texts = [f"{name} {number}" for number in range(rows)]
    pool = write_lines(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    np.save(folder / "v.npy", vectors.astype(np.float32))
    request = PoolRequest([str(pool)], encoder=f"vectors:{folder / 'v.npy'}", use_cache=False)
    out = str(folder / "ordered.jsonl")
    done = select_sources(SelectRequest(request, Choice.of(keep="100%"), out, random_draws=0, order="picked"))
    return out, [texts[row] for row in done.selection.rows]


def texts_of(rows: Any) -> list[str]:
    return list(rows["text"])


def test_slices_of_datasets(tmp_path: Path) -> None:
    path, texts = ordered(tmp_path / "a", "a", 60, 0)
    load = {"path": "json", "data_files": path, "cache_dir": str(tmp_path)}
    assert texts_of(datasets.load_dataset(**load, split="train[:10%]")) == texts[:6]
    assert texts_of(datasets.load_dataset(**load, split="train")[:24]) == texts[:24]
    stream = datasets.load_dataset(**load, split="train", streaming=True)
    assert [row["text"] for row in stream.take(7)] == texts[:7]


def test_fractions_of_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl", reason="needs the extra train")
    from trl import DatasetMixtureConfig, get_dataset
    from trl.scripts.utils import DatasetConfig

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    first, texts = ordered(tmp_path / "a", "a", 60, 0)
    second, others = ordered(tmp_path / "b", "b", 20, 1)
    parts = [
        DatasetConfig("json", data_files=first, fraction=0.6),
        DatasetConfig("json", data_files=second, fraction=0.4),
    ]
    mixed = get_dataset(DatasetMixtureConfig(parts))["train"]
    assert texts_of(mixed) == texts[:30] + others
    alone = DatasetMixtureConfig([DatasetConfig("json", data_files=first, fraction=0.1)])
    assert texts_of(get_dataset(alone)["train"]) == texts  # as docs/order.md says


def test_the_head_of_the_file(tmp_path: Path) -> None:
    path, texts = ordered(tmp_path / "a", "a", 30, 2)
    lines = Path(path).read_text().splitlines()[:12]
    assert [json.loads(line)["text"] for line in lines] == texts[:12]
