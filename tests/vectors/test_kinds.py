"""Kinds of encoder: what one brings is enough for every command, and each command asks the kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evenly import select, select_rows
from evenly.cli.reference import reference
from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.vectors import registry
from evenly.vectors.cache import Cache
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.kind import Encoder
from tests.conftest import Run
from tests.vectors.models import HashEncoder


class Toy(EmbeddingKind):
    """Hashes of texts: ``toy:IDENTITY``."""

    prefix = "toy:"
    usage = "toy:IDENTITY"

    def check(self) -> None:
        if self.rest == "none":
            raise InputError("there is no such toy")

    def load(self, request: PoolRequest) -> Encoder:
        return HashEncoder(name=self.name, identity=self.rest, long=request.long)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    reference()  # all commands have declared their options, so that none does under the changed list
    monkeypatch.setattr(registry, "KINDS", (Toy, *registry.KINDS))
    return "toy:a"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "pool.jsonl", range(30))


def write(path: Path, numbers: range) -> Path:
    rows = ({"text": f"row {number}", "v": [number, 1.0, 0.5 * number**2]} for number in numbers)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def kept(toy: str, pool: Path, run: Run) -> Path:
    """A selection made with the toy kind."""
    assert run("select", str(pool), "--keep", "10", "--encoder", toy, "--out", "kept.jsonl").status == 0
    return pool.with_name("kept.evenly")


def test_a_kind_is_added_by_its_registration_alone(kept: Path, run: Run) -> None:
    texts = [f"row {number}" for number in range(30)]
    expected = select(np.array([HashEncoder().vector(text) for text in texts]), 10)
    rows = [json.loads(line)["text"] for line in kept.with_name("kept.jsonl").read_text().splitlines()]
    assert rows == [texts[row] for row in expected.sorted_rows()]
    assert "all checks passed" in run("verify", str(kept)).out
    assert "toy:IDENTITY" in registry.encoder_usage()


def test_its_vectors_are_cached_and_planned_for(kept: Path, pool: Path, run: Run) -> None:
    assert Cache.open().size().vectors == 30
    assert (
        "0 distinct texts to embed, 30 in the cache"
        in run("plan", str(pool), "--keep", "9", "--encoder", "toy:a").out
    )


def test_it_embeds_rows_from_outside_the_pool(kept: Path, tmp_path: Path, run: Run) -> None:
    new = write(tmp_path / "new.jsonl", range(30, 40))
    assert run("extend", "kept.evenly", str(new), "--keep", "15", "--out", "more.jsonl").status == 0
    anchored = ("select", str(new), "--keep", "3", "--anchors", "kept.evenly", "--out", "third.jsonl")
    assert run(*anchored, "--encoder", "toy:a").status == 0
    refused = run(*anchored, "--encoder", "toy:b")
    assert refused.status == 2
    assert "was selected with the encoder toy:a, the pool is embedded with toy:b" in refused.errors


def test_what_it_lacks_is_said(toy: str, pool: Path, run: Run) -> None:
    tokens = run("select", str(pool), "--encoder", toy, "--keep", "tokens:9", "--out", "kept.jsonl")
    assert tokens.status == 2
    assert "needs a tokenizer, and toy:a has none; give --tokenizer" in tokens.errors
    missing = run("select", str(pool), "--encoder", "toy:none", "--keep", "9", "--out", "kept.jsonl")
    assert (missing.status, "there is no such toy" in missing.errors) == (2, True)


def test_a_rows_own_vectors_are_asked_for_by_their_field(pool: Path, tmp_path: Path, run: Run) -> None:
    first = ("select", str(pool), "--keep", "10", "--encoder", "column:v", "--out", "kept.jsonl")
    assert run(*first)[0] == 0
    new = write(tmp_path / "new.jsonl", range(30, 40))
    assert run("extend", "kept.evenly", str(new), "--keep", "12", "--out", "more.jsonl")[0] == 0
    other = write(tmp_path / "other.jsonl", range(40, 50))
    anchored = ("select", str(other), "--keep", "3", "--encoder", "column:v", "--anchors", "kept.evenly")
    assert run(*anchored, "--out", "third.jsonl")[0] == 0
    status, _, error = run("select", str(pool), "--keep", "3", "--encoder", "column:", "--out", "x.jsonl")
    assert status == 2
    assert "column: names no field; use column:NAME" in error


def test_vectors_of_a_file_are_those_of_their_pool_alone(pool: Path, tmp_path: Path, run: Run) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((30, 4)))
    first = ("select", str(pool), "--keep", "10", "--encoder", "vectors:v.npy", "--out", "kept.jsonl")
    assert run(*first)[0] == 0
    status, _, error = run("extend", "kept.evenly", str(pool), "--keep", "12", "--out", "more.jsonl")
    assert status == 2
    assert "vectors:v.npy gave vectors of the saved rows alone" in error
    for others in (str(pool), "kept.evenly"):
        status, _, error = run(*first[:-1], "again.jsonl", "--anchors", others)
        assert status == 2
        assert f"gives vectors of the pool alone; give those of {others} as a .npy file instead" in error
    np.save(tmp_path / "others.npy", np.random.default_rng(1).standard_normal((3, 4)))
    assert run(*first[:-1], "again.jsonl", "--anchors", "others.npy")[0] == 0


@pytest.mark.parametrize("name", ["column:v", "vectors:v.npy"])
def test_given_vectors_embed_no_text(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} gives vectors of its rows and embeds no text; use minilm"):
        registry.load_encoder(name)


RECORDS = [{"text": f"row {number}", "v": [number, 1.0, 2.0]} for number in range(30)]


def test_select_rows_takes_every_option_of_reading(toy: str) -> None:
    vectors = np.array([HashEncoder(long="mean").vector(record["text"]) for record in RECORDS])
    options = {"text": "text", "part": "prompt", "encoder": toy, "long": "mean", "metric": "euclidean"}
    found = select_rows(RECORDS, "50%", **options, memory="1GB", device="cpu", use_cache=False)
    expected = select(vectors, 15, metric="euclidean")
    assert np.array_equal(found.rows, expected.rows)
    assert np.array_equal(found.radii, expected.radii)
    assert Cache.open().size().vectors == 0


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "unknown": (
        lambda: select_rows(RECORDS, 3, encoding="minilm"),
        "select_rows takes no encoding; did you mean encoder?",
    ),
    "sources": (lambda: select_rows(RECORDS, 3, sources=["x"]), "select_rows takes no sources"),
    "metric": (lambda: select_rows(RECORDS, 3, encoder="column:v", metric="far"), "metric"),
    "keep": (lambda: select_rows(RECORDS, 31, encoder="column:v"), "31"),
    "file": (lambda: select_rows(RECORDS, 3, encoder="vectors:none.npy"), "none.npy is not there"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_select_rows_cannot_use_is_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
