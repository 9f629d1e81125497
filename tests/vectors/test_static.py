"""Static encoders: vectors are means of token vectors, held to a loop over single tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.types import Float32Array
from evenly.vectors.cache import Cache
from evenly.vectors.kind import Encoder
from evenly.vectors.registry import encoder_named, load_encoder
from tests.conftest import Run
from tests.vectors.models import Oracle

TEXTS = ["the even half of the farthest row", "two", "far! near? z", "Pick ONE nearest row.", "é the", "é"]


def vectors_of(encoder: Encoder, texts: list[str]) -> Float32Array:
    found = np.full((len(texts), encoder.dimension), np.nan, dtype=np.float32)
    for part in encoder.encode(texts, np.arange(len(texts))):
        found[part.rows] = part.vectors
    return found


class PlainStatic:
    """The table by one token at a time, and a text as the weighted mean of its tokens, in float64."""

    def __init__(self, folder: Path) -> None:
        self.base = Oracle(folder)
        size = len(self.base.tokenizer)
        raw = np.array([self.base._pooled([token]) for token in range(size)], dtype=np.float64)
        share = [1 / (place + 2) for place in range(size)]
        weight = [1e-4 / (1e-4 + one / sum(share)) for one in share]
        self.table = (raw - raw.mean(axis=0)) * np.array(weight)[:, None]

    def embed(self, text: str) -> Float32Array:
        unknown = self.base.tokenizer.unk_token_id
        tokens = self.base.tokens(text)
        known = [token for token in tokens if token != unknown] or tokens
        mean = sum(self.table[token] for token in known) / len(known)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


@pytest.fixture(scope="module")
def static(tiny_folder: Path) -> Encoder:
    return load_encoder(f"static:{tiny_folder}", device="cpu", precision="float32")


def test_distilled_vectors_are_those_of_single_tokens(static: Encoder, tiny_folder: Path) -> None:
    plain = PlainStatic(tiny_folder)
    assert vectors_of(static, TEXTS) == pytest.approx(
        np.array([plain.embed(text) for text in TEXTS]), abs=1e-5
    )


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9))
def test_other_texts_change_no_bit(static: Encoder, texts: list[str]) -> None:
    alone = {text: vectors_of(static, [text])[0] for text in texts}
    assert (vectors_of(static, texts) == [alone[text] for text in texts]).all()


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_no_bit(static: Encoder, threads: int) -> None:
    texts = [f"{one} {other} far" for one in TEXTS for other in TEXTS] * 40
    before, expected = torch.get_num_threads(), vectors_of(static, texts)
    try:
        torch.set_num_threads(threads)
        assert (vectors_of(static, texts) == expected).all()
    finally:
        torch.set_num_threads(before)


def test_whole_texts_are_seen_and_no_word_order(static: Encoder) -> None:
    long = "the even half " * 400
    assert vectors_of(static, [long + "zzz"]) != pytest.approx(vectors_of(static, [long]), abs=1e-7)
    assert vectors_of(static, ["far row"]) == pytest.approx(vectors_of(static, ["row far"]), abs=1e-6)


def test_the_table_is_kept_and_made_again_where_it_was_damaged(tiny_folder: Path) -> None:
    def embedded() -> Float32Array:
        return vectors_of(load_encoder(f"static:{tiny_folder}", device="cpu", use_cache=True), TEXTS)

    first = embedded()
    (kept,) = Cache.open().encoders.glob("*.safetensors")
    made = kept.stat().st_mtime_ns
    assert (embedded() == first).all()
    assert kept.stat().st_mtime_ns == made
    for damage in (b"", kept.read_bytes()[:-4] + b"1234"):
        kept.write_bytes(damage)
        assert (embedded() == first).all()
    assert Cache.open().size().bytes > 0
    Cache.open().clear()
    assert not kept.exists()


def test_identity_is_that_of_the_encoder_distilled(
    static: Encoder, tiny: Encoder, tiny_folder: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(tiny_folder, tmp_path / "moved"))
    assert load_encoder(f"static:{moved}", device="cpu", precision="float32").identity == static.identity
    assert static.identity != tiny.identity
    assert encoder_named("static").tokenizer() == encoder_named("minilm").tokenizer()


def save_model2vec(
    folder: Path, tokenizer: Path, *, parts: dict[str, Any] | None = None, **config: Any
) -> Float32Array:
    """A Model2Vec folder with random vectors for the tokens of another; returns them."""
    from safetensors.numpy import save_file

    folder.mkdir()
    shutil.copy(tokenizer / "tokenizer.json", folder)
    size = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    vectors = np.random.default_rng(0).standard_normal((size, 6)).astype(np.float32)
    save_file(parts or {"embeddings": vectors}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True, **config}))
    return vectors


def plain_model2vec(vectors: Float32Array, folder: Path, text: str, *, length: int | None) -> Float32Array:
    """What model2vec's own class gives: cut by characters, then by tokens, then without unknown ones, then the mean."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    lengths = sorted(len(token) for token in tokenizer.get_vocab())
    middle = (lengths[(len(lengths) - 1) // 2] + lengths[len(lengths) // 2]) / 2
    text = text if length is None else text[: length * int(middle)]
    tokens = tokenizer.encode(text, add_special_tokens=False).ids[:length]
    mean = np.mean([vectors[token] for token in tokens if token != tokenizer.token_to_id("[UNK]")], axis=0)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


@pytest.mark.parametrize("length", [4, 512, None])
def test_a_model2vec_folder_gives_the_vectors_of_its_own_class(
    tiny_folder: Path, tmp_path: Path, length: int | None
) -> None:
    folder = tmp_path / "m2v"
    vectors = save_model2vec(folder, tiny_folder, max_length=length)
    encoder = load_encoder(f"static:{folder}")
    texts = TEXTS[:-1]
    expected = [plain_model2vec(vectors, folder, text, length=length) for text in texts]
    assert vectors_of(encoder, texts) == pytest.approx(np.array(expected), abs=1e-5)
    whole = [plain_model2vec(vectors, folder, text, length=None) for text in texts]
    assert vectors_of(load_encoder(f"static:{folder}", long="mean"), texts) == pytest.approx(
        np.array(whole), abs=1e-5
    )


def test_weights_and_mapping_of_a_model2vec_folder_count(tiny_folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    size = len(json.loads((tiny_folder / "tokenizer.json").read_text())["model"]["vocab"])
    embeddings = random.standard_normal((9, 6)).astype(np.float16)
    mapping, weights = random.integers(0, 9, size), random.random(size)
    save_model2vec(
        tmp_path / "m2v",
        tiny_folder,
        parts={"embeddings": embeddings, "mapping": mapping, "weights": weights},
    )
    vectors = embeddings[mapping].astype(np.float32) * weights.astype(np.float32)[:, None]
    found = vectors_of(load_encoder(f"static:{tmp_path / 'm2v'}"), TEXTS[:2])
    expected = [plain_model2vec(vectors, tmp_path / "m2v", text, length=512) for text in TEXTS[:2]]
    assert found == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "lacks tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "is no table of Model2Vec"),
    ],
)
def test_a_spoilt_folder_is_one_clear_line(tiny_folder: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    save_model2vec(tmp_path / "m2v", tiny_folder)
    spoil(tmp_path / "m2v")
    with pytest.raises(InputError, match=said):
        load_encoder(f"static:{tmp_path / 'm2v'}")


def test_too_few_vectors_and_texts_without_tokens_are_named(
    static: Encoder, tiny_folder: Path, tmp_path: Path
) -> None:
    save_model2vec(tmp_path / "m2v", tiny_folder, parts={"embeddings": np.ones((3, 6), dtype=np.float32)})
    with pytest.raises(InputError, match="3 vectors for"):
        load_encoder(f"static:{tmp_path / 'm2v'}")
    with pytest.raises(InputError, match="text 1 has no tokens"):
        vectors_of(static, ["far", " "])


def test_a_selection_by_it_verifies(
    tiny_folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ({"text": f"{one} {other} row"} for one in ("far", "near", "even", "half") for other in "abcdefgh")
    Path("pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(tiny_folder, "model")
    made = run("select", "pool.jsonl", "--keep", "8", "--encoder", "static:model", "--out", "kept.jsonl")
    assert "token vectors distilled from model" in " ".join(made.out.split())
    Path("elsewhere").mkdir()
    assert "all checks passed" in run("verify", "kept.evenly").out


@pytest.mark.parametrize("name", ["static:", "hidden:", "gradients:"])
def test_a_kind_without_its_model_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} names no model; use"):
        encoder_named(name).check()
