"""The forecast and the spectrum on one's own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evenly.errors import InputError
from evenly.lab import designs, kernel, language_model, running, userdata
from evenly.lab.setup import Setup

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "mat", "log", "a", "red", "blue", "big"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with random weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 1, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def training_file(tmp_path: Path) -> Path:
    random = designs.generator(0)
    path = tmp_path / "train.jsonl"
    with path.open("w") as stream:
        for _ in range(12):
            prompt, response = (" ".join(random.choice(WORDS, 4)) for _ in range(2))
            stream.write(json.dumps({"prompt": prompt, "completion": response}) + "\n")
    return path


@pytest.mark.slow
def test_spectrum_of_a_model_keeps_the_theorems(
    model_folder: Path, training_file: Path, tmp_path: Path
) -> None:
    result = language_model.spectrum_of_model(str(model_folder), [str(training_file)], 6, None, Setup())
    running.write(result, language_model.draw, tmp_path / "out")
    assert result.outcome == "holds"
    assert result.settings["gradients"] == "whole gradients"
    assert result.numbers["lambda_min"] <= result.numbers["least pair bound"]
    assert len(result.tables[2].rows) == 3  # the embedding and two layers
    assert (tmp_path / "out" / "spectrum-model.png").exists()


@pytest.fixture
def loaded(model_folder: Path, training_file: Path) -> tuple[Any, list[language_model.Example]]:
    """The tiny model in float64 and five examples."""
    network, tokenizer = language_model._load(str(model_folder), "cpu")
    texts = [json.loads(line) for line in training_file.read_text().splitlines()]
    examples, long = language_model._examples(
        tokenizer, [t["prompt"] for t in texts], [t["completion"] for t in texts], np.arange(12), 5
    )
    assert long == 0
    return network, examples


@pytest.mark.slow
def test_sketched_gradients_keep_distances(loaded: tuple[Any, list[language_model.Example]]) -> None:
    whole, losses, error = language_model.gradients(*loaded)
    assert error == 0.0
    assert (losses > 0).all()
    sketched, _, error = language_model.gradients(*loaded, most=0, sketch=4096)
    assert sketched.shape == (5, 4096)
    ratio = kernel.pair_bounds(sketched) / kernel.pair_bounds(whole)
    assert np.abs(ratio - 1).max() < 5 * error


@pytest.mark.slow
def test_gradients_of_the_last_block_are_those_of_backward(
    loaded: tuple[Any, list[language_model.Example]],
) -> None:
    network, examples = loaded
    everything = kernel.eigenvalues(language_model.gradients(network, examples)[0])
    expected = []
    for example in examples:  # the library's own loss, with the prompt masked out
        tokens = torch.tensor([example.tokens])
        targets = torch.where(torch.arange(tokens.shape[1]) < example.start, -100, tokens)
        network.zero_grad()
        network(input_ids=tokens, labels=targets).loss.backward()
        block = network.model.layers[-1]
        expected.append(torch.cat([parameter.grad.reshape(-1) for parameter in block.parameters()]))
    language_model.train_last_blocks(network, 1)
    rows, _, error = language_model.gradients(network, examples)
    assert error == 0.0
    torch.testing.assert_close(rows, torch.stack(expected))
    assert (kernel.eigenvalues(rows) <= everything * (1 + 1e-12)).all()  # K minus a part has no negative mode


@pytest.mark.slow
def test_last_blocks_that_do_not_fit(model_folder: Path, training_file: Path) -> None:
    arguments = (str(model_folder), [str(training_file)])
    with pytest.raises(InputError, match=r"`last_blocks` is a number from 1 to 2, .*; got 3"):
        language_model.spectrum_of_model(*arguments, 32, 3, Setup())
    with pytest.raises(InputError, match=r"4 exact gradients of .* lower `last_blocks` or `rows`"):
        language_model.check_whole(4, 1000, most=31_999)
    language_model.check_whole(4, 1000, most=32_000)


@pytest.mark.slow
def test_models_that_cannot_be_used(training_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no causal language model"):
        language_model.spectrum_of_model(str(tmp_path), [str(training_file)], 32, None, Setup())
    told = r"a gradient of big \(1,000 parameters, float64\) needs 24 kB, 20 kB are free"
    with pytest.raises(InputError, match=told):
        language_model.check_fits(1000, "big", free=20_000)
    language_model.check_fits(1000, "big", free=None)


def test_trapped_share_of_mutual_pairs() -> None:
    prompts = np.array([[0.0], [0.001], [1.0], [2.0], [3.0], [10.0]])
    responses = np.array([[1.0], [-1.0], [0.5], [0.5], [0.0], [-1.0]])
    rows = userdata.trapped_shares(prompts, responses)
    total = responses.var() * len(responses)
    assert list(rows[0].values()) == ["copies", 0, 0.0, 0.0]
    assert (rows[1]["pairs P"], rows[1]["P / N"]) == (1, 1 / 6)
    assert rows[1]["trapped share"] == pytest.approx(2.0 / total)


@pytest.mark.slow
def test_forecast_from_vectors() -> None:
    random = designs.generator(0)
    prompts = designs.clusters(random, 60, 5, 6, 0.2)
    setup = Setup(seeds=1, quick=True)
    result = userdata.forecast_vectors(prompts, random.standard_normal((60, 3)), "60 rows", setup)
    assert 0.8 < result.numbers["roughness"] < 1.2
    assert {f"forecast, {name}" for name in ("MLP", "residual MLP", "transformer")} <= set(result.numbers)
    same = prompts.copy()
    same[1] = same[0]
    assert userdata.trapped_shares(same, random.standard_normal((60, 3)))[0]["pairs P"] == 1


def test_forecast_needs_prompts_and_responses(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text('{"text": "only one part"}\n' * 9)
    with pytest.raises(InputError, match="holds 0 rows with both a prompt and a response"):
        userdata.forecast_source([str(path)], "minilm", 1000, Setup())
