"""A model without the tokens that no row holds, and the whole one again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evenly.train.compare import EXAMPLES_FILE, prepare
from evenly.train.examples import Examples, encode
from evenly.train.models import load_model, load_tokenizer
from evenly.train.recipes import make_request
from evenly.train.row_losses import pad_batch
from evenly.train.settings import Lora
from evenly.train.smaller import as_model_takes, padding_of
from evenly.train.trainer import train_run
from evenly.train.vocabulary import read_trimmed
from tests.train.test_trainer import make_run

SOME = 40


@pytest.fixture(scope="module")
def trimmed(model_folder: Path, rows: list, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of some rows that hold a part of the vocabulary."""
    folder = tmp_path_factory.mktemp("trimmed")
    request = make_request({}, window=64, precision="fp32", trim_vocabulary=True)
    prepare(folder, rows[:SOME], str(model_folder), request)
    return folder


def test_a_trimmed_model_has_the_logits_of_the_kept_tokens(
    trimmed: Path, model_folder: Path, rows: list
) -> None:
    record = read_trimmed(trimmed / "trimmed")
    assert record is not None
    whole, small = load_model(str(model_folder)), load_model(str(trimmed / "trimmed"))
    tokenizer = load_tokenizer(str(model_folder))
    examples = encode(rows[:SOME], tokenizer, 64)
    assert set(record.tokens) == {*np.concatenate(examples.tokens).tolist(), *tokenizer.all_special_ids}
    assert small.num_parameters() < whole.num_parameters()
    assert padding_of(tokenizer, str(trimmed / "trimmed")) == record.tokens.index(tokenizer.pad_token_id)
    fewer = as_model_takes(Examples.load(trimmed / EXAMPLES_FILE), str(trimmed / "trimmed"))
    with torch.no_grad():
        logits = [
            model(input_ids=pad_batch(given, range(9), pad)["input_ids"]).logits
            for model, given, pad in (
                (whole, examples, tokenizer.pad_token_id),
                (small, fewer, record.tokens.index(tokenizer.pad_token_id)),
            )
        ]
    torch.testing.assert_close(logits[0][..., record.tokens], logits[1])
    # The mass of what was left out, by the definition, over all response tokens.
    batch = pad_batch(examples, range(SOME), 0)
    with torch.no_grad():
        found = whole(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    chosen = found[:, :-1][batch["labels"][:, 1:] != -100].softmax(-1)
    mass = 1.0 - chosen[:, record.tokens].sum(-1)
    assert record.mass == pytest.approx(float(mass.mean()), rel=0.1)


@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
def test_what_was_trained_is_written_whole_again(
    lora: Lora | None, trimmed: Path, model_folder: Path, rows: list, tmp_path: Path
) -> None:
    small, tokenizer = str(trimmed / "trimmed"), load_tokenizer(str(model_folder))
    examples = as_model_takes(Examples.load(trimmed / EXAMPLES_FILE), small)
    run = make_run(Path(small), tmp_path, lora=lora, precision="fp32")
    run = replace(
        run, rows=np.arange(30), samples={"own": np.arange(30)}, save_model=True, arm_at=(), measure_at=(12,)
    )
    train_run(run, examples, tokenizer)
    after = load_model(str(tmp_path / "model"))
    batch = pad_batch(encode(rows[:SOME], tokenizer, 64), range(9), tokenizer.pad_token_id)
    with torch.no_grad():
        logits = after(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        before = load_model(str(model_folder))(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
    assert logits.shape == before.shape
    assert not torch.allclose(logits, before)
    if lora is None:
        record = read_trimmed(small)
        assert record is not None
        embedding, old = (
            model.get_input_embeddings().weight for model in (after, load_model(str(model_folder)))
        )
        others = np.setdiff1d(np.arange(record.of), record.tokens)
        assert torch.equal(embedding[others], old[others])
    assert not (tmp_path / "model" / "vocabulary.json").exists()
    shutil.rmtree(tmp_path / "model")
