"""Every loss against the plain formula, value and gradient, alone and through the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.train.examples import encode
from evenly.train.head import predict
from evenly.train.losses import IGNORED, TOKEN_LOSSES
from evenly.train.models import load_model, load_tokenizer
from evenly.train.row_losses import pad_batch, row_losses
from evenly.train.settings import Training


def plain(name: str, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The definition: build the one-hot label, take the mean over the vocabulary."""
    one_hot = torch.nn.functional.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    if name == "cross-entropy":
        return -(one_hot * torch.log_softmax(logits, -1)).sum(-1)
    values = torch.softmax(logits, -1) if name == "l2-probabilities" else logits
    return ((values - one_hot) ** 2).mean(-1)


@pytest.mark.parametrize("name", TOKEN_LOSSES)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    tokens=st.integers(1, 9),
    vocabulary=st.integers(2, 40),
    scale=st.floats(0.1, 30),
)
def test_loss_equals_its_formula(name: str, seed: int, tokens: int, vocabulary: int, scale: float) -> None:
    torch.manual_seed(seed)
    logits = (scale * torch.randn(tokens, vocabulary, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(vocabulary, (tokens,))
    ours, expected = TOKEN_LOSSES[name](logits, labels), plain(name, logits, labels)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(loss.mean(), logits, retain_graph=True)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_head_on_responses_alone_changes_nothing(model_folder: Path, rows: list) -> None:
    tokenizer, model = load_tokenizer(str(model_folder)), load_model(str(model_folder))
    batch = pad_batch(encode(rows, tokenizer, 64), range(7), tokenizer.pad_token_id)
    found = predict(model, **batch)
    whole = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    chosen = batch["labels"][:, 1:] != IGNORED
    torch.testing.assert_close(found.predicted, whole[chosen])
    assert found.labels.equal(batch["labels"][:, 1:][chosen])


@pytest.mark.parametrize("name", TOKEN_LOSSES)
@pytest.mark.parametrize("changed", [None, "final_logit_softcapping", "logit_scale", "logits_scaling"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_head_in_parts_gives_the_plain_loss_and_gradient(
    name: str, changed: str | None, frozen: bool, model_folder: Path, rows: list
) -> None:
    """With a few logits at a time as with all of them, for models that change their logits too."""
    tokenizer = load_tokenizer(str(model_folder))
    batch = pad_batch(encode(rows, tokenizer, 64), range(7), tokenizer.pad_token_id)
    found = []
    for most in (1 << 24, 3000):
        model = load_model(str(model_folder))
        if changed:
            changing(model, changed, 3.0)
        if frozen:
            model.get_output_embeddings().weight.requires_grad_(False)
        predicted = predict(model, **batch, most_logits=most)
        assert isinstance(predicted.predicted, tuple) == (most == 3000)
        loss = predicted.loss(name, 50)
        (2.0 * loss).backward()
        slopes = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
        found.append((loss.detach(), *predicted.losses(name), slopes))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    assert (len(found[0][3]) < len(list(model.parameters()))) == frozen


def changing(model: Any, name: str, value: float) -> None:
    """Lets a model do to its logits what models with this setting do, and say so in its configuration."""
    what = {
        "final_logit_softcapping": lambda logits: value * torch.tanh(logits / value),
        "logit_scale": lambda logits: value * logits,
        "logits_scaling": lambda logits: logits / value,
        "unheard_of": lambda logits: logits + value,
    }[name]
    setattr(model.config, name, value)

    def after(_: Any, __: Any, output: Any) -> Any:
        output.logits = what(output.logits)
        return output

    model.register_forward_hook(after)


def test_a_model_that_does_something_unknown_to_its_logits_keeps_its_own_head(
    model_folder: Path, rows: list
) -> None:
    tokenizer, model = load_tokenizer(str(model_folder)), load_model(str(model_folder))
    batch = pad_batch(encode(rows, tokenizer, 64), range(7), tokenizer.pad_token_id)
    changing(model, "unheard_of", 2.0)
    in_parts, whole = (predict(model, **batch, most_logits=most) for most in (3000, 1 << 24))
    torch.testing.assert_close(in_parts.predicted, whole.predicted)


@pytest.mark.parametrize("name", TOKEN_LOSSES)
def test_trainer_steps_along_the_formulas_gradient(
    name: str, model_folder: Path, rows: list, tmp_path: Path
) -> None:
    """One SGD step of the whole machinery moves the weights by -rate times the plain gradient."""
    from evenly.train.plan import Run
    from evenly.train.trainer import train_run

    tokenizer = load_tokenizer(str(model_folder))
    examples = encode(rows, tokenizer, 64)
    numbers = np.arange(10)
    training = Training(
        loss=name,
        optimizer="sgd",
        rate=0.5,
        clip=0.0,
        warmup_steps=0,
        micro_batch=4,
        precision="fp32",
    )
    run = Run(
        "one",
        str(model_folder),
        numbers,
        0,
        10,
        1,
        training,
        tmp_path,
        measure_at=(0,),
        arm_at=(1,),
        samples={"own": numbers},
        save_model=True,
    )
    train_run(run, examples, tokenizer)
    start, moved = load_model(str(model_folder)), load_model(str(tmp_path / "model"))
    batch = pad_batch(examples, numbers, tokenizer.pad_token_id)
    logits = start(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    chosen = batch["labels"][:, 1:] != IGNORED
    expected = plain(name, logits[chosen], batch["labels"][:, 1:][chosen]).mean()
    expected.backward()
    loss = expected.item()
    for before, after in zip(start.parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(before.data - 0.5 * before.grad, after.data, rtol=0, atol=1e-6)

    import pyarrow.parquet as pq

    curve = pq.read_table(tmp_path / "curve.parquet").to_pylist()
    assert curve[1]["part"] == "batch"
    assert curve[1]["loss"] == pytest.approx(loss, abs=1e-6)
    assert curve[0]["part"] == "own"
    assert curve[0]["loss"] == pytest.approx(loss, abs=1e-6)


def test_row_losses_do_not_depend_on_company(model_folder: Path, rows: list) -> None:
    tokenizer, model = load_tokenizer(str(model_folder)), load_model(str(model_folder))
    examples = encode(rows, tokenizer, 64)
    numbers = np.array([5, 80, 3, 41])
    together = row_losses(model, examples, numbers, "cross-entropy", "fp32", 0)
    alone = [row_losses(model, examples, numbers[at : at + 1], "cross-entropy", "fp32", 0) for at in range(4)]
    np.testing.assert_allclose(together.loss_sum, [float(one.loss_sum[0]) for one in alone], rtol=1e-5)
    assert together.tokens.tolist() == examples.response_tokens[numbers].tolist()
    assert together.mean() == pytest.approx(together.loss_sum.sum() / together.tokens.sum())
