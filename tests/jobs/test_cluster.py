"""`--engine ray` end to end: one cluster for embedding and selecting, and the vectors and picks of one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.vectors.cluster import TEXTS_PER_TASK, on_cluster
from evenly.vectors.embedding import embed_texts
from evenly.vectors.registry import embedding_named
from tests.vectors.models import WORDS, save_tiny_model, write_sentence_settings

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ROWS = TEXTS_PER_TASK + 300  # two tasks


def texts() -> list[str]:
    words = [word.removeprefix("##") for word in WORDS]
    draws = np.random.default_rng(0).integers(0, len(words), (ROWS, 9))
    return [" ".join(words[word] for word in drawn[: 3 + row % 7]) for row, drawn in enumerate(draws)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and rows to embed."""
    folder = tmp_path_factory.mktemp("cluster")
    save_tiny_model(folder)
    write_sentence_settings(folder)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts()))
    return folder


def test_embedding_and_selecting_share_one_cluster_and_change_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENLY_CACHE", str(tmp_path / "cache"))
    started: list[Any] = []
    init = ray.init
    monkeypatch.setattr(ray, "init", lambda *args, **named: started.append(named) or init(*args, **named))
    found = {}
    for engine in ("local", "ray"):
        request = SelectRequest(
            PoolRequest(
                [str(folder / "rows.jsonl")],
                encoder=str(folder),
                device="cpu",
                use_cache=False,
                engine=engine,  # type: ignore[arg-type]
            ),
            Choice.of(keep="10%"),
            str(tmp_path / f"{engine}.jsonl"),
        )
        outcome = select_sources(request)
        found[engine] = (
            outcome.manifest.vectors_sha256,
            pq.read_table(outcome.folder / "order.parquet").to_pydict(),
            (tmp_path / f"{engine}.jsonl").read_bytes(),
        )
    assert len(started) == 1
    assert not ray.is_initialized()
    assert found["ray"] == found["local"]


def test_tasks_give_the_vectors_of_one_machine(folder: Path) -> None:
    from evenly.engine.ray_pool import cluster

    kind = embedding_named(str(folder))
    asked = texts()
    for long in ("cut", "mean"):
        request = PoolRequest((), encoder=str(folder), device="cpu", long=long, use_cache=False)  # type: ignore[arg-type]
        encoder = kind.load(request)
        local = embed_texts(asked, encoder, cache=None)
        with cluster():
            spread = embed_texts(asked, on_cluster(encoder, kind, request), cache=None)
        assert np.array_equal(local.vectors.view(np.uint32), spread.vectors.view(np.uint32))
        assert (local.long_rows, local.distinct) == (spread.long_rows, spread.distinct)
