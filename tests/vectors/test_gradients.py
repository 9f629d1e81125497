"""Gradients of rows as vectors: against `backward()` of one row at a time through adapters written out, and the dense
matrix of the projection."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evenly.errors import InputError
from evenly.vectors.adapters import SCALE
from evenly.vectors.projection import Sketch, check_fits
from evenly.vectors.registry import load_encoder
from evenly.vectors.warmup import BETAS, EPSILON, RATE, ROWS_PER_STEP
from tests.conftest import Run
from tests.vectors.causal_models import CHATML, ROWS, PlainCausal, save_causal, save_rows
from tests.vectors.test_hidden import opened

DIM = 4096


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_rows(tmp_path / "rows.jsonl")


class LowRank(torch.nn.Module):
    """A linear layer with an adapter, written out."""

    def __init__(self, layer: torch.nn.Module, down: torch.Tensor, outputs: int) -> None:
        super().__init__()
        self.layer, self.weight = layer, layer.weight
        self.down = torch.nn.Parameter(down.clone())
        self.up = torch.nn.Parameter(torch.zeros(outputs, len(down)))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.layer(given) + SCALE * (given @ self.down.T) @ self.up.T


class PlainGradients(PlainCausal):
    """One row's loss backward at a time."""

    def __init__(
        self,
        folder: Path,
        layers: str | None = None,
        chosen: Callable[[int, str], bool] = lambda block, name: True,
    ) -> None:
        super().__init__(folder)
        self.model.requires_grad_(False)
        asked = {"device": "cpu", "precision": "float32", "dim": DIM, "layers": layers}
        encoder: Any = load_encoder(f"gradients:{folder}", **asked)
        encoder.begin()
        starts = iter(adapter.down for adapter in encoder.ready.adapters.each)
        self.adapters: list[LowRank] = []
        blocks = next(
            one for one in self.model.modules() if isinstance(one, torch.nn.ModuleList) and len(one) == 3
        )
        for number, block in enumerate(blocks):
            for path, layer in list(block.named_modules()):
                fits = type(layer).__name__ in ("Linear", "Conv1D")
                if fits and chosen(number, path.rpartition(".")[2]):
                    outputs = layer.weight.shape[0 if isinstance(layer, torch.nn.Linear) else 1]
                    adapter = LowRank(layer, next(starts), outputs)
                    parent, _, name = path.rpartition(".")
                    setattr(block.get_submodule(parent), name, adapter)
                    self.adapters.append(adapter)
        assert next(starts, None) is None

    def gradient(self, row: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Of a row's mean loss, by `NUMBER.up` and `NUMBER.down`."""
        self.model.zero_grad()
        self.loss(*self.read(row)).backward()
        return {
            f"{number}.{side}": getattr(adapter, side).grad.clone()
            for number, adapter in enumerate(self.adapters)
            for side in ("up", "down")
        }


def matrix(numbers: int, part: int, dim: int = DIM) -> np.ndarray:
    """(D, n): what a sketch multiplies with, made by showing it one number at a time."""
    sums = torch.zeros(numbers, dim)
    Sketch(numbers, dim, part).add(torch.eye(numbers), sums)
    return np.asarray(sums.T.numpy())


def projected(parts: list[torch.Tensor]) -> np.ndarray:
    total = sum(matrix(part.numel(), number) @ part.numpy().ravel() for number, part in enumerate(parts))
    return np.asarray(total / np.linalg.norm(total))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "cohere"])
def test_a_batch_is_one_row_backward_at_a_time(kind: str, tmp_path: Path, source: Path) -> None:
    """GPT-2 has its weights the other way round and a bias, Gemma 2 caps its logits, Cohere scales them."""
    folder = save_causal(tmp_path / "model", kind)
    found, note = opened(source, f"gradients:{folder}", dim=DIM)
    assert f"projected to {DIM} numbers" in note
    plain = PlainGradients(folder)
    for row, vector in zip(ROWS, found, strict=True):
        gradient = plain.gradient(row)
        assert all(not gradient[f"{number}.down"].any() for number in range(len(plain.adapters)))
        ups = [gradient[f"{number}.up"] for number in range(len(plain.adapters))]
        np.testing.assert_allclose(vector, projected(ups), atol=2e-5)


def test_the_default_attention_is_exact_with_padding(causal_folder: Path, source: Path) -> None:
    """Rows of one batch differ in length and are masked; torch's vmap raises under sdpa with a mask."""
    encoder: Any = load_encoder(f"gradients:{causal_folder}", device="cpu", precision="float32")
    assert encoder.model.network.config._attn_implementation == "sdpa"
    lengths = {len(PlainCausal(causal_folder).read(row)[0]) for row in ROWS}
    assert len(lengths) > 4


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        ("1", lambda block, name: block == 2),
        ("q_proj, v_proj", lambda block, name: name in ("q_proj", "v_proj")),
    ],
    ids=["last block", "names"],
)
def test_layers_are_the_last_blocks_or_named_ones(
    causal_folder: Path, source: Path, layers: str, chosen: Callable[[int, str], bool]
) -> None:
    found, _ = opened(source, f"gradients:{causal_folder}", dim=DIM, layers=layers)
    plain = PlainGradients(causal_folder, layers, chosen)
    for row, vector in list(zip(ROWS, found, strict=True))[:3]:
        gradient = plain.gradient(row)
        ups = [gradient[f"{number}.up"] for number in range(len(plain.adapters))]
        np.testing.assert_allclose(vector, projected(ups), atol=2e-5)


def test_a_warm_up_is_adam_over_random_rows_and_steps_are_preconditioned(
    causal_folder: Path, source: Path, tmp_path: Path
) -> None:
    count = ROWS_PER_STEP // 2
    found, note = opened(source, f"gradients:{causal_folder}", dim=DIM, warmup=count)
    assert f"gradients of an Adam step after {count} random rows" in note
    plain = PlainGradients(causal_folder)
    chosen = np.random.default_rng(0).permutation(np.arange(len(ROWS)))[:count]
    gradients = [plain.gradient(ROWS[row]) for row in chosen.tolist()]
    first, second = BETAS
    mean, square = {}, {}
    for name in gradients[0]:
        total = torch.stack([one[name] for one in gradients]).mean(0)
        mean[name], square[name] = (1 - first) * total, (1 - second) * total**2
        step = (mean[name] / (1 - first)) / ((square[name] / (1 - second)).sqrt() + EPSILON)
        number, side = name.split(".")
        getattr(plain.adapters[int(number)], side).data -= RATE * step
    for row, vector in list(zip(ROWS, found, strict=True))[:4]:
        parts = []
        for name, gradient in plain.gradient(row).items():
            m = (first * mean[name] + (1 - first) * gradient) / (1 - first**2)
            v = (second * square[name] + (1 - second) * gradient**2) / (1 - second**2)
            parts.append(m / (v.sqrt() + EPSILON))
        expected = projected(parts)
        assert vector @ expected > 0.999


def test_a_sketch_keeps_inner_products_as_well_as_dense_signs() -> None:
    """Its variance over draws is at most that of dense signs, (|x|^2 |y|^2 + (x y)^2 - 2 sum x^2 y^2) / D."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 300)).astype(np.float32)
    errors = []
    for part in range(400):
        sums = torch.zeros(2, 64)
        Sketch(300, 64, part).add(torch.from_numpy(np.stack([x, y])), sums)
        errors.append(float(sums[0] @ sums[1]) - float(x @ y))
    dense = ((x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x**2 * y**2).sum()) / 64
    assert abs(np.mean(errors)) < 4 * np.sqrt(dense / 400)
    assert np.var(errors) < 1.25 * dense


def test_vectors_are_unit_cached_and_the_same_beside_other_rows(
    causal_folder: Path, source: Path, tmp_path: Path
) -> None:
    name = f"gradients:{causal_folder}"
    whole, note = opened(source, name, use_cache=True, dim=64)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    again, note = opened(source, name, use_cache=True, dim=64)
    assert "0 texts embedded" in note
    assert np.array_equal(whole, again)
    part, note = opened(save_rows(tmp_path / "part.jsonl", ROWS[3:6]), name, dim=64)
    assert "3 texts embedded" in note
    assert np.array_equal(whole[3:6], part)


def test_select_and_verify_with_a_warm_up(
    causal_folder: Path, source: Path, tmp_path: Path, run: Run
) -> None:
    out = str(tmp_path / "kept.jsonl")
    flags = ["--encoder", f"gradients:{causal_folder}", "--dim", "64", "--warmup", "4", "--layers", "2"]
    done = run("select", str(source), "--keep", "5", *flags, "--out", out)
    assert done.status == 0, done.errors
    record = json.loads((tmp_path / "kept.evenly" / "manifest.json").read_text())["encoder"]
    assert record["options"] == {"dim": 64, "layers": "2", "warmup": 4}
    verified = run("verify", out)
    assert "all checks passed" in verified.out
    assert "bit for bit" in verified.out
    anchored = run(
        "select", str(source), "--keep", "7", *flags, "--anchors", out, "--out", str(tmp_path / "b.jsonl")
    )
    assert anchored.status == 0, anchored.errors


def test_tokens_of_prompt_and_answer_are_told_apart(tmp_path: Path, source: Path) -> None:
    """They are tokenised apart: a token that would span both would hide where the answer begins."""
    folder = save_causal(tmp_path / "chat", template=CHATML)
    encoder: Any = load_encoder(f"gradients:{folder}", device="cpu", precision="float32")
    text = json.dumps({"turns": [{"role": "user", "content": "a "}, {"role": "assistant", "content": " b"}]})
    row = encoder.read_row(text, 0)
    tokenizer = encoder.model.tokenizer
    assert tokenizer.decode(row.ids[row.answer]) == " b</assistant>"
    assert tokenizer.decode(row.ids[~row.answer]) == "<user>a </user><assistant>"


def test_a_row_longer_than_the_window_keeps_some_of_its_answer(tmp_path: Path) -> None:
    folder = save_causal(tmp_path / "short", max_position_embeddings=64)
    encoder: Any = load_encoder(f"gradients:{folder}", device="cpu", precision="float32")
    for prompt, answer in (("p" * 200, "answer"), ("p", "a" * 200)):
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        row = encoder.read_row(json.dumps({"turns": turns}), 0)
        assert (len(row.ids), row.answer.any(), row.whole > 200) == (64, True, True)


def test_a_gradient_that_is_not_finite_names_its_row(tmp_path: Path, source: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_causal(tmp_path / "broken", tie_word_embeddings=False)
    weights = load_file(folder / "model.safetensors")
    seven = PlainCausal(folder).tokenizer("7", add_special_tokens=False)["input_ids"][0]
    weights["model.embed_tokens.weight"][seven] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    rows = [{"instruction": text, "input": "", "output": "b"} for text in ("one", "two 7", "three")]
    with pytest.raises(InputError, match=r"the vector of row 1 from gradients:.* is not finite"):
        opened(save_rows(tmp_path / "rows.jsonl", rows), f"gradients:{folder}", dim=16)


def test_a_tokenizer_without_an_end_token_is_said(tmp_path: Path, source: Path) -> None:
    folder = save_causal(tmp_path / "endless", end=False)
    assert "has no end token, so answers end without one" in opened(source, f"gradients:{folder}", dim=16)[1]
    rows = [{"instruction": "a", "input": "", "output": ""}]
    with pytest.raises(InputError, match="row 0 has no token of an answer, so no loss"):
        opened(save_rows(tmp_path / "empty.jsonl", rows), f"gradients:{folder}", dim=16)


def test_plan_says_what_it_holds_and_refuses_what_does_not_fit(
    causal_folder: Path, source: Path, run: Run
) -> None:
    asked = ("plan", str(source), "--keep", "5", "--encoder", f"gradients:{causal_folder}", "--no-cache")
    planned = run(*asked)
    assert "12 rows of 8192 numbers; 12 distinct texts to embed" in planned.out
    assert "; embedding holds about" in planned.out
    assert json.loads(run(*asked, "--json").out)["embedding_memory"] > 8192 * 12
    with pytest.raises(InputError, match=r"the projection to 9,999 numbers takes .* are free; lower `dim`"):
        check_fits(10**18, 9_999)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "prompt": ({"part": "prompt"}, "has no loss to take gradients of"),
    "blocks": ({"layers": "9"}, "`layers` must be from 1 to 3"),
    "name": ({"layers": "z_proj"}, "no linear layer z_proj to adapt; it has q_proj, k_proj"),
    "names": ({"layers": "q_proj,,"}, "must be a number of blocks or names"),
    "warm-up": ({"warmup": 99}, "`warmup` asks for 99 rows and the pool has 12"),
    "pooling": ({"pooling": "last"}, "`pooling` is an option of hidden:"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_used_is_said(
    causal_folder: Path, source: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        opened(source, f"gradients:{causal_folder}", **options)
