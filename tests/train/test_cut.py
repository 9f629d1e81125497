"""A model whose lower blocks are run once for every row trains as the whole one with these blocks frozen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from evenly.errors import InputError
from evenly.train.compare import EXAMPLES_FILE, prepare
from evenly.train.examples import Examples, encode
from evenly.train.models import load_model, load_tokenizer
from evenly.train.recipes import make_request
from evenly.train.smaller import as_model_takes
from evenly.train.trainer import train_run
from tests.train.models import Messages
from tests.train.test_trainer import make_run

NAMED = {"window": 64, "precision": "fp32", "last_blocks": 2}


@pytest.fixture(scope="module")
def deep(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of five blocks with the tokenizer of the small one, and one whose blocks learn their positions."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    folder, tokenizer = tmp_path_factory.mktemp("deep"), load_tokenizer(str(model_folder))
    torch.manual_seed(1)
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    llama = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=5,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.2,
        **sizes,
    )
    gpt2 = GPT2Config(n_embd=32, n_layer=5, n_head=2, n_positions=128, initializer_range=0.2, **sizes)
    for name, model in (("llama", LlamaForCausalLM(llama)), ("gpt2", GPT2LMHeadModel(gpt2))):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("trim", [False, True])
def test_training_the_upper_part_is_training_the_last_blocks(
    trim: bool, deep: Path, rows: list[Messages], tmp_path: Path
) -> None:
    model, tokenizer = str(deep / "llama"), load_tokenizer(str(deep / "llama"))
    request = make_request({}, cache_frozen=True, trim_vocabulary=trim, **NAMED)
    (tmp_path / "c").mkdir()
    prepared = prepare(tmp_path / "c", rows, model, request)
    assert load_model(prepared.model).config.num_hidden_layers == 2
    plain = prepare_plain(tmp_path, rows, model, trim)
    np.testing.assert_allclose(prepared.initial.loss_sum, plain.initial.loss_sum, rtol=1e-4)
    curves: list[Any] = []
    for name, given in (("cut", prepared), ("plain", plain)):
        run = replace(
            make_run(Path(given.model), tmp_path / name, precision="fp32", last_blocks=2), save_model=True
        )
        examples = as_model_takes(Examples.load(tmp_path / "c" / EXAMPLES_FILE), given.model)
        train_run(run, examples, tokenizer)
        curves.append(pq.read_table(tmp_path / name / "curve.parquet")["loss"].to_numpy())
    np.testing.assert_allclose(*curves, rtol=2e-4)
    saved = [load_model(str(tmp_path / name / "model")).state_dict() for name in ("cut", "plain")]
    assert saved[0].keys() == saved[1].keys() == load_model(model).state_dict().keys()
    for name, weights in saved[0].items():
        torch.testing.assert_close(weights, saved[1][name], rtol=2e-3, atol=2e-4)


def prepare_plain(tmp_path: Path, rows: list[Messages], model: str, trim: bool) -> Any:
    (tmp_path / "p").mkdir()
    return prepare(tmp_path / "p", rows, model, make_request({}, trim_vocabulary=trim, **NAMED))


def test_a_model_that_does_more_than_run_its_blocks_is_refused(
    deep: Path, rows: list[Messages], tmp_path: Path
) -> None:
    """GPT-2 would add its positions a second time."""
    request = make_request({}, cache_frozen=True, **NAMED)
    with pytest.raises(InputError, match="gpt2 cannot be run apart, for it does more than run them in turn"):
        prepare(tmp_path, rows, str(deep / "gpt2"), request)
    with pytest.raises(InputError, match="`cache_frozen` needs `last_blocks`"):
        prepare(tmp_path, rows, str(deep / "llama"), make_request({}, cache_frozen=True, window=64))


def test_states_of_rows_are_those_of_the_model(deep: Path, rows: list[Messages], tmp_path: Path) -> None:
    model = str(deep / "llama")
    prepared = prepare(tmp_path, rows, model, make_request({}, cache_frozen=True, **NAMED))
    states = prepared.examples.states
    assert states is not None
    examples = encode(rows, load_tokenizer(model), 64)
    whole = load_model(model)
    for row in (0, 17, 89):
        ids = torch.from_numpy(examples.tokens[row])[None]
        with torch.no_grad():
            expected = whole(input_ids=ids, output_hidden_states=True).hidden_states[3][0]
        torch.testing.assert_close(states.batch([row], len(ids[0]))[0], expected, rtol=1e-4, atol=1e-5)
