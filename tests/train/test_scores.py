"""Scores of rows: against one row at a time by the book, whole from the command, and read back as quality."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.jobs.score import ScoreRequest, score_sources
from evenly.jobs.select import select_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, RowsRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.train.models import save_tiny_causal_model, tiny_rows

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% if m['role'] == 'assistant' %}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def records() -> list[dict[str, Any]]:
    rows = [
        {
            "prompt": one[0]["content"],
            "chosen": one[1]["content"],
            "rejected": f"no {number}",
            "vec": [number, 1.0],
        }
        for number, one in enumerate(tiny_rows()[:24], start=1)
    ]
    return [*rows, {**rows[0], "vec": [0.5, 1.0]}]  # the last is the first again


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    save_tiny_causal_model(folder / "model", tiny_rows())
    lines(folder / "pairs.jsonl", records())
    lines(folder / "many.jsonl", [{"prompt": f"add {at}", "completion": f"{at} it is"} for at in range(150)])
    lines(folder / "texts.jsonl", [{"text": f"{number} is the sum of it"} for number in range(5)])
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def score(files: Path, source: str, out: Path, *scores: str, **options: Any) -> dict[str, list[Any]]:
    asked = {"model": str(files / "model"), "precision": "fp32", "device": "cpu", **options}
    score_sources(ScoreRequest(RowsRequest([str(files / source)]), out=str(out), scores=scores, **asked))
    assert not Path(f"{out}.part").exists()
    return dict(pq.read_table(out).to_pydict())


class ByHand:
    """One text at a time, all logits, -log softmax at each token of the answer."""

    def __init__(self, model: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def loss(self, prompt: list[int], answer: list[int]) -> float:
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
        spent = torch.log_softmax(logits, -1)
        places = range(len(prompt), len(prompt) + len(answer))
        return -float(sum(spent[at - 1, (prompt + answer)[at]] for at in places)) / len(answer)

    def of(self, row: dict[str, Any], answer: str) -> tuple[float, float]:
        prompt = self.ids(f"### Instruction:\n{row['prompt']}\n\n### Response:\n")
        tokens = self.ids(f"{answer}</s>")
        return self.loss([1, *prompt], tokens), self.loss([1], tokens)


def test_every_score_is_that_of_one_row_at_a_time(files: Path, tmp_path: Path) -> None:
    found = score(files, "pairs.jsonl", tmp_path / "s.parquet", "loss", "ppl", "ifd", "margin", "length")
    book = ByHand(files / "model")
    for place, row in enumerate(records()):
        given, alone = book.of(row, row["chosen"])
        other, _ = book.of(row, row["rejected"])
        assert found["loss"][place] == pytest.approx(given, rel=1e-4)
        assert found["ppl"][place] == pytest.approx(math.exp(given), rel=1e-4)
        assert found["ifd"][place] == pytest.approx(given / alone, rel=1e-4)
        assert found["margin"][place] == pytest.approx(other - given, rel=1e-3, abs=1e-4)
        assert found["answer_tokens"][place] == len(book.ids(f"{row['chosen']}</s>"))
    assert found["id"][:2] == ["pairs.jsonl:1", "pairs.jsonl:2"]
    assert found["hash"][0] == found["hash"][-1] != found["hash"][1]


def test_the_models_own_template_is_used_unless_it_is_left_aside(files: Path, tmp_path: Path) -> None:
    save_tiny_causal_model(tmp_path / "model", tiny_rows())
    path = tmp_path / "model" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": TEMPLATE}))
    own = score(files, "pairs.jsonl", tmp_path / "a.parquet", "loss", model=str(tmp_path / "model"))
    plain = score(
        files,
        "pairs.jsonl",
        tmp_path / "b.parquet",
        "loss",
        model=str(tmp_path / "model"),
        plain_template=True,
    )
    book, row = ByHand(tmp_path / "model"), records()[3]
    answer = book.ids(f"{row['chosen']}</s>")
    assert own["loss"][3] == pytest.approx(
        book.loss(book.ids(f"<|user|>{row['prompt']}<|assistant|>"), answer), rel=1e-4
    )
    assert plain["loss"][3] == pytest.approx(book.of(row, row["chosen"])[0], rel=1e-4)
    about = pq.read_schema(tmp_path / "a.parquet").metadata[b"evenly"]
    assert json.loads(about)["template"] == "the model's chat template"


def test_a_soft_cap_behind_the_head_counts(tmp_path: Path, files: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    save_tiny_causal_model(tmp_path / "model", tiny_rows())
    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=256, final_logit_softcapping=0.5,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "model")
    found = score(files, "pairs.jsonl", tmp_path / "s.parquet", "loss", model=str(tmp_path / "model"))
    book = ByHand(tmp_path / "model")
    for place, row in enumerate(records()[:5]):
        assert found["loss"][place] == pytest.approx(book.of(row, row["chosen"])[0], rel=1e-4)


def test_a_run_that_was_stopped_goes_on(files: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "score" and done == 1:
            raise Stopped

    request = ScoreRequest(
        RowsRequest([str(files / "many.jsonl")]), str(files / "model"), str(tmp_path / "s.parquet"),
        ("loss", "ifd"), precision="fp32", device="cpu",
    )  # fmt: skip
    with pytest.raises(Stopped):
        score_sources(request, stop)
    part = Path(f"{request.out}.part")
    with part.open("a") as stream:
        stream.write("[[3, 1.2")  # the line that was being written
    assert not Path(request.out).exists()
    found = score_sources(request)
    assert 0 < found.known < found.texts
    assert not part.exists()
    whole = score(files, "many.jsonl", tmp_path / "again.parquet", "loss", "ifd")
    assert pq.read_table(request.out)["ifd"].to_pylist() == whole["ifd"]
    # Another model, or other rows, is another run: what lies there is of no use.
    with pytest.raises(Stopped):
        score_sources(request, stop)
    other = ScoreRequest(
        RowsRequest([str(files / "texts.jsonl")]),
        str(files / "model"),
        request.out,
        ("loss",),
        precision="fp32",
    )
    assert score_sources(other).known == 0


def test_rows_that_have_no_score(files: Path, tmp_path: Path) -> None:
    found = score(files, "texts.jsonl", tmp_path / "s.parquet", "loss", "ifd")
    assert found["ifd"] == [None] * 5  # plain text has no prompt
    assert all(value > 0 for value in found["loss"])
    book = ByHand(files / "model")
    before = [1 + len(book.ids(f"### Instruction:\n{row['prompt']}\n\n### Response:\n")) for row in records()]
    window = int(np.median(before))
    narrow = score(files, "pairs.jsonl", tmp_path / "n.parquet", "loss", window=window)
    assert any(narrow["truncated"])
    assert [value is None for value in narrow["loss"]] == [length >= window for length in before]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"scores": ("los",)},
            "`with` takes loss, ppl, ifd, margin, length, with commas between them; got 'los'",
        ),
        ({"scores": ()}, "got nothing"),
        ({"scores": ("margin",), "source": "texts.jsonl"}, "margin needs pairs"),
        ({"out": "s.csv"}, "`out` must be a .parquet file"),
        ({"out": "no/s.parquet"}, "does not exist; make it first"),
        ({"out": "taken.parquet"}, "was not written by evenly"),
        ({"model": "nothing"}, "no causal language model could be loaded"),
        ({"window": 1}, "window"),
        ({"window": 3}, "has a response within 3 tokens"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    files: Path, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    pq.write_table(pa.table({"mine": [1]}), tmp_path / "taken.parquet")
    asked: dict[str, Any] = {
        "model": str(files / "model"),
        "scores": ("loss",),
        "out": "s.parquet",
        **options,
    }
    reading = RowsRequest([str(files / asked.pop("source", "pairs.jsonl"))])
    with pytest.raises(InputError, match=match) as error:
        score_sources(ScoreRequest(reading, **{**asked, "out": str(tmp_path / asked["out"])}))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "s.parquet").exists()


def test_a_loss_that_is_no_number_names_the_row(files: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_tiny_causal_model(tmp_path / "model", tiny_rows())
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    model.lm_head.weight.data[:] = torch.nan
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="the loss of row 1 is nan"):
        score(files, "pairs.jsonl", tmp_path / "s.parquet", "loss", model=str(tmp_path / "model"))


class TestAsQuality:
    def select(self, source: Path, out: Path, quality: str, **options: Any) -> Recorded:
        outcome = select_sources(
            SelectRequest(
                PoolRequest([str(source)], encoder="column:vec", use_cache=False),
                Choice.of(quality=quality, **options),
                str(out / "kept.jsonl"),
                random_draws=0,
            )
        )
        assert verify_folder(SavedPoolRequest(outcome.folder, use_cache=False)).passed
        return outcome

    def test_scores_belong_to_rows_of_the_same_text(self, files: Path, tmp_path: Path) -> None:
        table = tmp_path / "s.parquet"
        scores = score(files, "pairs.jsonl", table, "loss")["loss"]
        floor = float(np.median(scores))
        wanted = [row for row in range(25) if scores[row] >= floor]
        found = self.select(files / "pairs.jsonl", tmp_path, f"{table}:loss", floor=floor)
        assert sorted(found.selection.rows.tolist()) == wanted
        shuffled = [records()[place] for place in reversed(range(10, 25))]
        (tmp_path / "other").mkdir()
        found = self.select(
            lines(tmp_path / "other.jsonl", shuffled), tmp_path / "other", f"{table}:loss", floor=floor
        )
        assert sorted(24 - row for row in found.selection.rows) == [row for row in wanted if row >= 10]

    def test_public_files_by_their_texts_or_by_order(self, files: Path, tmp_path: Path) -> None:
        whole = [
            {**{name: row[name] for name in ("prompt", "chosen", "rejected")}, "reward": float(place)}
            for place, row in enumerate(records()[:24])
        ]
        by_text = lines(tmp_path / "rewards.jsonl", list(reversed(whole)))
        found = self.select(files / "pairs.jsonl", tmp_path, f"{by_text}:reward", floor=20.0)
        assert sorted(found.selection.rows.tolist()) == [20, 21, 22, 23]
        (tmp_path / "plain.csv").write_text("reward\n" + "".join(f"{place}\n" for place in range(25)))
        found = self.select(files / "pairs.jsonl", tmp_path, f"{tmp_path / 'plain.csv'}:reward", floor=22.0)
        assert sorted(found.selection.rows.tolist()) == [22, 23, 24]

    def test_scores_of_other_rows_are_one_line(self, files: Path, tmp_path: Path) -> None:
        table = tmp_path / "s.parquet"
        score(files, "texts.jsonl", table, "loss", "ifd")
        (tmp_path / "short.csv").write_text("reward\n1\n2\n")
        for quality, match in (
            (
                f"{table}:loss",
                "holds scores of other rows: 25 of 25 rows have none, the first is pairs.jsonl:1",
            ),
            (f"{table}:lost", "has no field 'lost'; it holds id, hash, loss"),
            (f"{tmp_path / 'short.csv'}:reward", "holds 2 scores and the pool 25 rows"),
            (f"{tmp_path / 'gone.csv'}:reward", "no record has a field"),
        ):
            with pytest.raises(InputError, match=match):
                self.select(files / "pairs.jsonl", tmp_path, quality, floor=0.0)
