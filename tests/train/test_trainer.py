"""One arm trained for real: the same curve twice, through interruptions, and up to a divergence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.train.examples import Examples, encode
from evenly.train.models import load_model, load_tokenizer, load_trainable, memory_remedy
from evenly.train.order import micro_batches
from evenly.train.plan import Run
from evenly.train.recipes import make_request
from evenly.train.settings import Lora, Training
from evenly.train.trainer import DivergedError, last_checkpoint, train_run


@pytest.fixture(scope="module")
def examples(model_folder: Path, rows: list) -> Examples:
    return encode(rows, load_tokenizer(str(model_folder)), 64)


def make_run(model_folder: Path, folder: Path, **training: object) -> Run:
    values = {"rate": 5e-3, "window": 64, "micro_batch": 4, **training}
    samples = {"own": np.arange(12), "random-test": np.arange(70, 90)}
    return Run(
        "run",
        str(model_folder),
        np.arange(60),
        3,
        9,
        12,
        Training(**values),
        folder,
        measure_at=(0, 5, 12),
        arm_at=(7, 12),
        samples=samples,
    )


def tables(folder: Path) -> list[dict[str, list]]:
    curve = pq.read_table(folder / "curve.parquet").drop(["seconds"])
    return [curve.to_pydict(), pq.read_table(folder / "rows.parquet").to_pydict()]


def assert_same(first: list[dict[str, list]], second: list[dict[str, list]]) -> None:
    for one, other in zip(first, second, strict=True):
        for name in one:
            np.testing.assert_array_equal(
                np.array(one[name], dtype=object), np.array(other[name], dtype=object)
            )


class Killed(Exception):
    """Stands for the end of the process."""


def test_resumed_run_is_the_uninterrupted_run(model_folder: Path, examples: Examples, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    whole = make_run(model_folder, tmp_path / "whole")
    train_run(whole, examples, tokenizer)
    broken = make_run(model_folder, tmp_path / "broken")

    def kill(stage: str, done: int, total: int) -> None:
        if done == 9:
            raise Killed

    with pytest.raises(Killed):
        train_run(broken, examples, tokenizer, progress=kill)
    assert last_checkpoint(broken.folder) == broken.folder / "checkpoint-8"
    assert pq.read_table(broken.folder / "curve.parquet")["step"].to_pylist()[-1] == 9
    # A checkpoint whose writing was interrupted does not count.
    (broken.folder / "checkpoint-10").mkdir()
    train_run(broken, examples, tokenizer)
    assert_same(tables(whole.folder), tables(broken.folder))
    assert not list(whole.folder.glob("checkpoint-*"))

    curve = pq.read_table(whole.folder / "curve.parquet").to_pylist()
    own = [row["loss"] for row in curve if row["part"] == "own"]
    assert own[-1] < own[0] - 0.5
    lengths = examples.lengths()
    assert curve[-1]["tokens"] == pytest.approx(12 * 9 * lengths[:60].mean(), rel=0.05)
    assert curve[-1]["epoch"] == pytest.approx(12 * 9 / 60)


def test_divergence_stops_the_run_and_keeps_the_curve(
    model_folder: Path, examples: Examples, tmp_path: Path
) -> None:
    run = make_run(model_folder, tmp_path, optimizer="sgd", rate=1e30, clip=0.0, loss="l2", warmup_steps=0)
    with pytest.raises(DivergedError, match=r"at step [23]; lower the `rate`"):
        train_run(run, examples, load_tokenizer(str(model_folder)))
    assert 0 in pq.read_table(tmp_path / "curve.parquet")["step"].to_pylist()


def test_adapters_train_and_start_at_the_model(
    model_folder: Path, examples: Examples, tmp_path: Path
) -> None:
    run = make_run(model_folder, tmp_path, lora=Lora(rank=2))
    train_run(run, examples, load_tokenizer(str(model_folder)))
    curve = pq.read_table(tmp_path / "curve.parquet").to_pylist()
    own = [row["loss"] for row in curve if row["part"] == "own"]
    assert own[-1] < own[0]
    adapted = load_trainable(str(model_folder), Training(lora=Lora(rank=2)))
    trainable = sum(weights.numel() for weights in adapted.parameters() if weights.requires_grad)
    assert 0 < trainable < adapted.num_parameters() / 2


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_last_blocks_alone_change(
    precision: str, model_folder: Path, examples: Examples, tmp_path: Path
) -> None:
    run = replace(make_run(model_folder, tmp_path, last_blocks=1, precision=precision), save_model=True)
    train_run(run, examples, load_tokenizer(str(model_folder)))
    before, after = (load_model(str(folder)).state_dict() for folder in (model_folder, tmp_path / "model"))
    frozen = torch.bfloat16 if precision == "bf16" else torch.float32
    for name, weights in before.items():
        same = torch.equal(weights.to(frozen).float(), after[name])
        assert same == (".layers." not in name), name
    held = {weights.dtype for weights in load_trainable(str(model_folder), run.training).parameters()}
    assert held == {torch.float32, frozen}
    with pytest.raises(InputError, match="`last_blocks` 2 is more than the 1 blocks"):
        load_trainable(str(model_folder), Training(last_blocks=2))


def test_micro_batches_by_tokens_change_no_step(
    model_folder: Path, examples: Examples, tmp_path: Path
) -> None:
    tokenizer, curves = load_tokenizer(str(model_folder)), []
    for name, named in (("rows", {"micro_batch": 9}), ("tokens", {"micro_tokens": 64})):
        train_run(make_run(model_folder, tmp_path / name, precision="fp32", **named), examples, tokenizer)
        table = pq.read_table(tmp_path / name / "curve.parquet").to_pylist()
        curves.append([(row["step"], row["tokens"], row["loss"]) for row in table if row["part"] == "own"])
    np.testing.assert_allclose(*curves, rtol=1e-4)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.lists(st.integers(1, 50), min_size=6, max_size=6), min_size=1, max_size=5),
    most=st.integers(1, 200),
    world=st.integers(1, 3),
)
def test_micro_batches_hold_all_rows_and_few_tokens(lengths: list, most: int, world: int) -> None:
    steps = -np.sort(-np.array(lengths), axis=1)
    parts = micro_batches(steps, most, world)
    assert len({len(step) for step in parts}) == 1
    assert len(parts[0]) % world == 0 or len(parts[0]) == 6
    for step, cuts in zip(steps, parts, strict=True):
        assert np.concatenate([step[cut] for cut in cuts]).tolist() == step.tolist()
        assert all(len(step[cut]) for cut in cuts)
        assert all(len(step[cut]) * step[cut][0] <= most for cut in cuts if len(step[cut]) > 1)


def test_checkpoint_without_its_last_file_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((2, "{}"), (4, '{"half'), (10, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-2"
    assert json.loads((found / "trainer_state.json").read_text()) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": -1.0}, "rate must be above 0"),
        ({"momentum": 0.9}, "momentum is for sgd"),
        ({"epochs": 0}, "epochs: Input should be greater than 0"),
        ({"loss": "hinge"}, "loss: Input should be 'cross-entropy'"),
        ({"speed": 3}, "speed: Extra inputs are not permitted"),
    ],
)
def test_options_that_cannot_be_are_one_line(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_request({}, **values)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no causal language model could be loaded"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_memory_that_ran_out_names_the_remedy(error: Exception, found: bool) -> None:
    remedy = memory_remedy(error, Training(micro_batch=5))
    assert (remedy is not None) == found
    assert remedy is None or "lower `micro_batch` (now 5)" in remedy
