"""Vectors against the definition: right, in order, and the same bits whatever else is embedded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.request import Long
from evenly.vectors.embedding import embed_texts
from evenly.vectors.kind import Encoder
from evenly.vectors.registry import load_encoder
from evenly.vectors.tokens import Shapes, cut_windows, plan_batches
from tests.vectors.models import POSITIONS, WINDOW, WORDS, Oracle, save_tiny_model, write_sentence_settings

words = st.sampled_from([word.removeprefix("##") for word in WORDS] + ["zebra", "q", "Éclair", "漢"])
texts_of = st.lists(words, min_size=1, max_size=3 * WINDOW).map(" ".join)
TEXTS = [" ".join(["even", "row", "zebra", "far"][: 1 + i % 4] * (1 + i % 23)) for i in range(60)]
POOLINGS = {
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "cls": "pooling_mode_cls_token",
    "lasttoken": "pooling_mode_lasttoken",
}
bounded = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def vectors_of(texts: list[str], encoder: Encoder, long: Long = "cut") -> np.ndarray:
    return embed_texts(texts, replace(encoder, long=long), cache=None).vectors


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("long", ["cut", "mean"])
def test_vectors_are_those_of_one_text_at_a_time(
    tiny_folder: Path, tmp_path: Path, pooling: str, long: Long
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    normalise = pooling != "cls"
    write_sentence_settings(folder, pooling=POOLINGS[pooling], normalise=normalise)
    oracle = Oracle(folder, pooling=pooling, normalise=normalise)
    encoder = load_encoder(str(folder), device="cpu", precision="float32", long=long)
    done = embed_texts(TEXTS, encoder, cache=None)
    assert np.allclose(done.vectors, [oracle.embed(text, long) for text in TEXTS], atol=2e-5)
    assert done.long_rows == sum(len(oracle.tokens(text)) + 2 > WINDOW for text in TEXTS) > 0
    assert done.embedded == done.distinct == len(set(TEXTS))


@bounded
@given(
    texts=st.lists(texts_of, min_size=1, max_size=12), data=st.data(), long=st.sampled_from(["cut", "mean"])
)
def test_other_texts_change_no_bit(tiny: Encoder, texts: list[str], data: st.DataObject, long: Long) -> None:
    together = vectors_of(texts, tiny, long)
    order = data.draw(st.permutations(range(len(texts))))[: data.draw(st.integers(1, len(texts)))]
    apart = vectors_of([texts[row] for row in order], tiny, long)
    assert np.array_equal(apart.view(np.uint32), together[list(order)].view(np.uint32))


def test_other_texts_change_no_bit_where_the_window_is_all_the_model_has(tmp_path: Path) -> None:
    save_tiny_model(tmp_path, positions=WINDOW)
    write_sentence_settings(tmp_path)
    encoder = load_encoder(str(tmp_path), device="cpu", precision="float32")
    together = vectors_of(TEXTS, encoder)
    assert np.allclose(together, [Oracle(tmp_path).embed(text) for text in TEXTS], atol=2e-5)
    for row in range(0, len(TEXTS), 7):
        assert np.array_equal(vectors_of([TEXTS[row]], encoder)[0], together[row])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit_and_are_left_as_they_were(tiny: Encoder, threads: int) -> None:
    import torch

    before = torch.get_num_threads()
    once = vectors_of(TEXTS, tiny)
    try:
        torch.set_num_threads(threads)
        again = vectors_of(TEXTS, tiny)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(again, once)


def test_copies_are_embedded_once(tiny: Encoder) -> None:
    done = embed_texts(["far", "near", "far", "far"], tiny, cache=None)
    assert (done.distinct, done.embedded, done.cached) == (2, 2, 0)
    assert np.array_equal(done.vectors[[2, 3]], done.vectors[[0, 0]])


def test_long_copies_count_as_rows(tiny: Encoder) -> None:
    assert embed_texts(["zebra " * 40] * 3 + ["far"], tiny, cache=None).long_rows == 3


def test_progress_counts_up_to_the_distinct_texts(tiny: Encoder) -> None:
    seen: list[tuple[str, int, int]] = []
    embed_texts([*TEXTS, TEXTS[0]], tiny, cache=None, progress=lambda *at: seen.append(at))
    distinct = len(set(TEXTS))
    assert seen[0] == ("embed", 0, distinct)
    assert seen[-1] == ("embed", distinct, distinct)
    assert seen == sorted(seen)


def test_vectors_stream_into_a_given_file(tiny: Encoder, tmp_path: Path) -> None:
    out = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, (len(TEXTS), tiny.dimension))
    done = embed_texts(TEXTS, tiny, cache=None, out=out)
    assert done.vectors is out
    assert np.array_equal(out, vectors_of(TEXTS, tiny))


def test_no_texts_give_no_vectors(tiny: Encoder) -> None:
    assert embed_texts([], tiny, cache=None).vectors.shape == (0, tiny.dimension)


def test_an_empty_text_is_its_special_tokens(tiny: Encoder, tiny_folder: Path) -> None:
    assert np.allclose(vectors_of([""], tiny)[0], Oracle(tiny_folder).embed(""), atol=2e-5)


BAD_TEXTS = {
    "number": (["far", 7], "text 1 must be a string; got int"),
    "nothing": ([None], "text 0 must be a string; got NoneType"),
    "half a character": (
        ["far", "near", "x\ud800"],
        r"text 2 holds half a character \(U\+D800 at character 1\)",
    ),
}


@pytest.mark.parametrize(("texts", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_texts_are_named(tiny: Encoder, texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        embed_texts(texts, tiny, cache=None)


def test_bad_options_are_named(tiny: Encoder) -> None:
    with pytest.raises(InputError, match=r"out must be float32 of shape \(1, 32\)"):
        embed_texts(["far"], tiny, cache=None, out=np.empty((2, 32), np.float32))


def test_a_vector_that_is_not_finite_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][-1] = float("nan")  # the last token is ##z
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    encoder = load_encoder(str(folder), device="cpu", precision="float32")
    with pytest.raises(InputError, match=r"the vector of text 1 .* is not finite"):
        embed_texts(["far", "qz"], encoder, cache=None)


@given(
    lengths=st.lists(st.integers(2, POSITIONS), min_size=1, max_size=50),
    places=st.sampled_from([1, 64, 2048]),
    longest=st.sampled_from([POSITIONS, POSITIONS + 1, 512]),
)
def test_shapes_depend_on_the_length_alone_and_always_hold_padding(
    lengths: list[int], places: int, longest: int
) -> None:
    shapes = Shapes(places, longest)
    seen = []
    for length, members in plan_batches(np.array(lengths), shapes):
        rows, usable = shapes.rows(length)
        assert len(members) <= usable <= rows
        tokens = np.array(lengths)[members]
        assert (tokens <= length).all()
        assert (tokens < length).all() or rows > usable
        assert (np.array([shapes.length(one) for one in tokens]) == length).all()
        seen += members.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@given(tokens=st.lists(st.integers(0, 50), min_size=1, max_size=20), room=st.integers(1, 20))
def test_windows_cover_every_token_once(tokens: list[int], room: int) -> None:
    windows = cut_windows(np.array(tokens), room, every=True)
    for text, count in enumerate(tokens):
        mine = np.flatnonzero(windows.text == text)
        covered = [place for one in mine for place in range(windows.start[one], windows.stop[one])]
        assert covered == list(range(count))
        assert len(mine) == max(1, -(-count // room))
    first = cut_windows(np.array(tokens), room, every=False)
    assert first.stop.tolist() == [min(room, count) for count in tokens]


REAL_TEXTS = [
    f"Instruction {i}: explain why {topic} matters, in {i % 9 + 1} steps. " * (1 + i % 13 * (i % 3))
    for i, topic in enumerate(["matrix units", "even selection", "the weather", "a proof", "tea"] * 8)
]


def test_bfloat16_is_near_float32_and_changes_no_bit_with_its_neighbours(minilm: Encoder) -> None:
    exact = load_encoder("minilm", device="cpu", precision="float32")
    some = REAL_TEXTS[:10]
    together = vectors_of(some, minilm)
    cosine_error = 1 - np.sum(together * vectors_of(some, exact), axis=1)
    assert 0 < np.max(cosine_error) <= 1e-3
    assert np.array_equal(vectors_of(some[3::4], minilm), together[3::4])


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(minilm_folder: Path, minilm: Encoder) -> None:
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True).encode(
        REAL_TEXTS
    )
    assert np.max(1 - np.sum(vectors_of(REAL_TEXTS, minilm) * theirs, axis=1)) <= 1e-3
    exact = load_encoder("minilm", device="cpu", precision="float32")
    assert np.max(np.abs(vectors_of(REAL_TEXTS, exact) - theirs)) <= 1e-5
