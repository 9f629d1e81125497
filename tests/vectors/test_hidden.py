"""Hidden states as vectors: against one row at a time in transformers, in every way of pooling and every layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenly import select_rows
from evenly.errors import InputError
from evenly.opened import open_pool
from evenly.vectors.registry import pool_request
from tests.conftest import Run
from tests.vectors.causal_models import CHATML, ROWS, PlainCausal, save_causal, save_rows


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_causal(tmp_path_factory.mktemp("causal"))


def opened(source: Path, encoder: str, **options: Any) -> tuple[np.ndarray, str]:
    """Vectors of a file's rows and the note on them."""
    asked = {"device": "cpu", "precision": "float32", "use_cache": False, "metric": "euclidean", **options}
    with open_pool(pool_request([str(source)], encoder=encoder, **asked)) as pool:
        return np.array(pool.points.vectors), pool.note


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_rows(tmp_path / "rows.jsonl")


def pooled(states: np.ndarray, wanted: np.ndarray, pool: str) -> np.ndarray:
    """The definition: over the wanted tokens."""
    chosen = states[wanted]
    weights = {
        "mean": np.ones(len(chosen)),
        "weighted": np.arange(1, len(chosen) + 1),
        "last": np.arange(len(chosen)) == len(chosen) - 1,
    }[pool]
    return np.asarray((chosen * weights[:, None]).sum(0) / weights.sum())


@pytest.mark.parametrize("pooling", ["mean", "weighted", "last"])
@pytest.mark.parametrize("part", ["all", "prompt", "response"])
def test_every_pooling_is_what_it_says(causal_folder: Path, source: Path, pooling: str, part: str) -> None:
    found, _ = opened(source, f"hidden:{causal_folder}@2", pooling=pooling, part=part)
    plain = PlainCausal(causal_folder)
    for row, vector in zip(ROWS, found, strict=True):
        ids, answer = plain.read(row)
        wanted = {"all": np.ones(len(ids), bool), "response": np.array(answer), "prompt": ~np.array(answer)}[
            part
        ]
        np.testing.assert_allclose(
            vector, pooled(plain.states(ids, 2), wanted, pooling), rtol=2e-4, atol=2e-5
        )


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "mamba"])
@pytest.mark.parametrize("layer", ["0", "1", "3", "34%", "1.0"])
def test_layers_are_counted_by_blocks(kind: str, layer: str, tmp_path: Path, source: Path) -> None:
    """Mamba has no entry for what its first block is given, so that transformers' numbers lie one lower."""
    folder = save_causal(tmp_path / "model", kind)
    number = {"34%": 1, "1.0": 3}.get(layer) if layer in ("34%", "1.0") else int(layer)
    shift = 1 if kind == "mamba" else 0
    if kind == "mamba" and number == 0:
        return
    found, note = opened(source, f"hidden:{folder}@{layer}")
    assert f"layer {number} of 3" in note
    plain = PlainCausal(folder)
    ids, _ = plain.read(ROWS[5])
    expected = plain.states(ids, -1 if number == 3 else number - shift).mean(0)
    np.testing.assert_allclose(found[5], expected, rtol=2e-4, atol=2e-5)


def test_a_rows_vector_does_not_depend_on_others(causal_folder: Path, source: Path, tmp_path: Path) -> None:
    name = f"hidden:{causal_folder}"
    whole, _ = opened(source, name)
    part, _ = opened(save_rows(tmp_path / "part.jsonl", ROWS[3:6]), name)
    assert np.array_equal(whole[3:6], part)


def test_the_tokenizers_padding_side_changes_nothing(
    causal_folder: Path, source: Path, tmp_path: Path
) -> None:
    import shutil

    left = tmp_path / "left"
    shutil.copytree(causal_folder, left)
    settings = json.loads((left / "tokenizer_config.json").read_text())
    (left / "tokenizer_config.json").write_text(json.dumps({**settings, "padding_side": "left"}))
    assert np.array_equal(opened(source, f"hidden:{left}")[0], opened(source, f"hidden:{causal_folder}")[0])


def test_the_chat_template_is_used_where_there_is_one(
    causal_folder: Path, source: Path, tmp_path: Path
) -> None:
    assert "no chat template: a plain one is used" in opened(source, f"hidden:{causal_folder}")[1]
    folder = save_causal(tmp_path / "chat", template=CHATML)
    found, note = opened(source, f"hidden:{folder}@3", part="response")
    assert "template" not in note
    plain = PlainCausal(folder)
    row = ROWS[4]
    asked = "\n".join(filter(None, [row["instruction"], row["input"]]))
    prompt = plain.tokenizer(f"<user>{asked}</user><assistant>", add_special_tokens=False)["input_ids"]
    answer = plain.tokenizer(f"{row['output']}</assistant>", add_special_tokens=False)["input_ids"]
    expected = plain.states([*prompt, *answer], -1)[len(prompt) :].mean(0)
    np.testing.assert_allclose(found[4], expected, rtol=2e-4, atol=2e-5)


def test_whitened_vectors_have_no_mean_and_equal_spread(causal_folder: Path, tmp_path: Path) -> None:
    many = [{"instruction": f"{n} {n * n}", "input": "", "output": f"{n * 31 % 17}"} for n in range(400)]
    source = save_rows(tmp_path / "many.jsonl", many)
    encoder = f"hidden:{causal_folder}@50%"
    raw, _ = opened(source, encoder)
    found, note = opened(source, encoder, whiten=True)
    assert "whitened on the pool's 400 rows" in note
    assert "few" not in note
    assert (
        "that is few for 24 numbers"
        in opened(save_rows(tmp_path / "few.jsonl", many[:60]), encoder, whiten=True)[1]
    )
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    centred = raw.astype(np.float64) - raw.astype(np.float64).mean(0)
    values, directions = np.linalg.eigh(centred.T @ centred / len(raw))
    root = directions @ np.diag(1 / np.sqrt(values + 1e-3 * values.mean())) @ directions.T
    np.testing.assert_allclose(found, centred @ root, rtol=1e-3, atol=2e-3)


def test_rows_from_outside_pass_the_pools_whitening(causal_folder: Path, tmp_path: Path, run: Run) -> None:
    many = [{"instruction": f"{n} {n * n}", "input": "", "output": f"{n * 31 % 17}"} for n in range(60)]
    source = save_rows(tmp_path / "many.jsonl", many)
    asked = {
        "encoder": f"hidden:{causal_folder}",
        "whiten": True,
        "dim": 8,
        "metric": "euclidean",
        "device": "cpu",
    }
    with open_pool(pool_request([str(source)], use_cache=False, **asked)) as pool:
        again = pool.outside(str(save_rows(tmp_path / "some.jsonl", many[7:9])), "anchors")
        assert np.array_equal(again.vectors, pool.points.vectors[7:9])


def test_a_projection_keeps_distances_as_far_as_it_says(causal_folder: Path, source: Path) -> None:
    raw, _ = opened(source, f"hidden:{causal_folder}")
    found, note = opened(source, f"hidden:{causal_folder}", dim=2048)
    assert found.shape == (12, 2048)
    assert "projected to 2048 numbers (distances within 3.1% for 95 in 100 pairs)" in note
    true, projected = (
        np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(12, 1)] for x in (raw, found)
    )
    assert (np.abs(projected / true - 1) < 0.031).mean() > 0.9


def test_options_reach_record_verify_and_python(
    causal_folder: Path, source: Path, tmp_path: Path, run: Run
) -> None:
    out = str(tmp_path / "kept.jsonl")
    flags = ["--pooling", "last", "--dim", "6", "--whiten", "--precision", "float32"]
    encoder = f"hidden:{causal_folder}@1"
    done = run("select", str(source), "--keep", "5", "--encoder", encoder, *flags, "--out", out)
    assert done.status == 0, done.errors
    record = json.loads((tmp_path / "kept.evenly" / "manifest.json").read_text())["encoder"]
    assert record["options"] == {"dim": 6, "pooling": "last", "whiten": True}
    assert "layer 1 of 3" in record["notes"]
    assert "whitened on the pool's 12 rows" in record["notes"]
    verified = run("verify", out)
    assert "all checks passed" in verified.out
    assert "bit for bit" in verified.out
    found = select_rows(ROWS, 5, encoder=encoder, pooling="last", dim=6, whiten=True, precision="float32")
    kept = [json.loads(line) for line in Path(out).read_text().splitlines()]
    assert [ROWS[row] for row in found.sorted_rows()] == kept
    plan = run("plan", str(source), "--keep", "5", "--encoder", encoder, *flags)
    assert "12 rows of 6 numbers; 0 distinct texts to embed, 12 in the cache" in plan.out


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "pair": ({"part": "pair"}, "reads one conversation; use chosen or rejected"),
    "long": ({"long": "mean"}, "is for encoders of texts"),
    "stripped": ({"strip_shared": True}, "is for encoders of texts"),
    "layer": ({"encoder": "@7"}, "the layer must be at most 3"),
    "dim": ({"dim": 0}, "`dim` must be at least 1; got 0"),
    "whiten": (
        {"whiten": True},
        "`whiten` needs more rows than the 24 numbers of a vector, and the pool has 12",
    ),
    "warmup": ({"warmup": 3}, "`warmup` is an option of gradients:MODEL, and hidden:.* does not have it"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_used_is_said_in_one_line(
    causal_folder: Path, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    name = f"hidden:{causal_folder}{options.pop('encoder', '')}"
    pairs = [{**row, "prompt": row["instruction"], "chosen": "a", "rejected": "b"} for row in ROWS]
    rows = pairs if options.get("part") == "pair" else ROWS
    with pytest.raises(InputError, match=said):
        select_rows(rows, 3, encoder=name, use_cache=False, **options)


def test_a_model_that_is_none_is_refused(plain_folder: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks .* of the model's weights"):
        opened(source, f"hidden:{plain_folder}")
    with pytest.raises(InputError, match="names no model; use hidden:MODEL"):
        opened(source, "hidden:")
    with pytest.raises(InputError, match="neither a folder nor a model"):
        opened(source, f"hidden:{tmp_path / 'none'}@4")
