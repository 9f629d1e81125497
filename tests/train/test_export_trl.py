"""Exports read by TRL itself: its configuration by its parser, its rows by its trainers, token by token.

What should be trained on is written out by hand for each row, and never rendered by the template or by evenly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenly.errors import InputError
from evenly.train.models import load_tokenizer
from tests.train.test_export import AGENT, CHATS, PAIRS, RECORDS, SHAREGPT, TEMPLATE, TOOLS, lines_for

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.slow

ASKED = "<user>what of bread</user>"
CALLED = '{"name": "look_up", "arguments": {"topic": "bread", "n": 2}}'
SHORT_CALL = '{"name": "look_up", "arguments": {"topic": "bread"}}'
MIXED = [
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]},
    {"prompt": "when", "completion": "2024-01-02", "id": 4},
    {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]},
]

ANSWERS: dict[str, tuple[list[Any], list[tuple[str, str]]]] = {
    "alpaca": (
        RECORDS[:2],
        [(f"<user>add {n} and 1</user>", f"{n + 1} – done") for n in range(2)],
    ),
    "messages": (CHATS[:2], [(f"<user>add {n} and 1</user>", str(n + 1)) for n in range(2)]),
    "calls": (
        [AGENT],
        [
            (ASKED, CALLED),
            (f'{ASKED}<assistant>{CALLED}</assistant><tool>{{"hits": 1}}</tool>', "one hit"),
        ],
    ),
    "sharegpt": (
        [SHAREGPT],
        [
            (f"<system>be brief</system>{ASKED}", SHORT_CALL),
            (
                f"<system>be brief</system>{ASKED}<assistant>{SHORT_CALL}</assistant><tool>one</tool>",
                "one hit",
            ),
        ],
    ),
    "mixed": (
        MIXED,
        [
            ("<user>a</user>", ""),
            ("<user>when</user>", "2024-01-02"),
            ("<system>s</system><user>a</user>", "b"),
            ("<system>s</system><user>a</user><assistant>b</assistant><user>c</user>", "d"),
        ],
    ),
}


@pytest.fixture
def tokenizer(model_folder: Path) -> Any:
    loaded = load_tokenizer(str(model_folder))
    loaded.chat_template = TEMPLATE
    return loaded


def prepared(folder: Path, records: list, model: Path, tokenizer: Any, method: str) -> Any:
    """The rows as the trainer for a method has them, loaded as its configuration says; what it cannot read raises."""
    _, _, out = lines_for(folder, records, "trl")
    text = (out / "trl.yaml").read_text()
    assert text.startswith(f"# trl {method} --config trl.yaml")
    trainer, settings = {
        "sft": (trl.SFTTrainer, trl.SFTConfig),
        "dpo": (trl.DPOTrainer, trl.DPOConfig),
        "kto": (trl.KTOTrainer, trl.KTOConfig),
    }[method]
    parser = trl.TrlParser((trl.ScriptArguments, settings, trl.ModelConfig, trl.DatasetMixtureConfig))
    given = ["--config", str(out / "trl.yaml"), "--bf16", "false", "--use_cpu", "true", "--report_to", "none"]
    # Batches of one give KTO no other answer to hold an answer against.
    given += ["--output_dir", str(folder / "trained"), "--per_device_train_batch_size", "2"]
    _, arguments, about, mixture = parser.parse_args_and_config(given)
    assert about.model_name_or_path == "MODEL"
    assert arguments.max_length == yaml.safe_load(text)["max_length"]
    (data,) = mixture.datasets
    rows = datasets.load_dataset(
        data.path,
        data_files={"train": str(out / data.data_files["train"])},
        split=data.split,
        cache_dir=str(folder / "cache"),
    )
    made = trainer(str(model), args=arguments, train_dataset=rows, processing_class=tokenizer)
    return made.train_dataset


def pieces(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Token ids before an answer and of it, told apart by where each token begins in the text."""
    text = f"{prompt}<assistant>{answer}</assistant>"
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    border = len(prompt) + len("<assistant>")
    starts = [start for start, _ in found["offset_mapping"]]
    cut = next(place for place, start in enumerate(starts) if start >= border)
    return found["input_ids"][:cut], found["input_ids"][cut:]


@pytest.mark.parametrize("form", ANSWERS)
def test_answers_are_trained_on_and_nothing_else(
    form: str, tmp_path: Path, model_folder: Path, tokenizer: Any
) -> None:
    records, said = ANSWERS[form]
    rows = prepared(tmp_path, records, model_folder, tokenizer, "sft")
    assert len(rows) == len(said)
    for row, (prompt, answer) in zip(rows, said, strict=True):
        before, trained = pieces(tokenizer, prompt, answer)
        assert row["input_ids"] == before + trained
        assert row["labels"] == [-100] * len(before) + trained


def test_a_text_is_trained_on_whole_with_its_end(tmp_path: Path, model_folder: Path, tokenizer: Any) -> None:
    (row,) = prepared(tmp_path, [{"text": "add 1 and 2"}], model_folder, tokenizer, "sft")
    ids = tokenizer("add 1 and 2", add_special_tokens=False)["input_ids"]
    bos = [token for token in row["input_ids"][:1] if token == tokenizer.bos_token_id]
    assert row["input_ids"] == [*bos, *ids, tokenizer.eos_token_id]
    assert row["labels"] == row["input_ids"]


@pytest.mark.parametrize("record", PAIRS, ids=["texts", "sharegpt", "implicit prompt"])
def test_both_answers_of_a_pair(
    record: dict[str, Any], tmp_path: Path, model_folder: Path, tokenizer: Any
) -> None:
    (row,) = prepared(tmp_path, [record], model_folder, tokenizer, "dpo")
    for side, text in (("chosen", "good"), ("rejected", "bad")):
        before, answer = pieces(tokenizer, "<user>ask</user>", text)
        assert (row["prompt_ids"], row[f"{side}_ids"]) == (before, answer)


def test_a_pair_of_calls_with_tools(tmp_path: Path, model_folder: Path, tokenizer: Any) -> None:
    called = [AGENT["messages"][0], AGENT["messages"][1]]
    plain = [AGENT["messages"][0], {"role": "assistant", "content": "no"}]
    record = {"chosen": called, "rejected": plain, "tools": TOOLS}
    (row,) = prepared(tmp_path, [record], model_folder, tokenizer, "dpo")
    for side, text in (("chosen", CALLED), ("rejected", "no")):
        assert (row["prompt_ids"], row[f"{side}_ids"]) == pieces(tokenizer, ASKED, text)


@pytest.mark.parametrize("name", ["label", "kto_tag"])
def test_labels_of_answers(name: str, tmp_path: Path, model_folder: Path, tokenizer: Any) -> None:
    records = [{**chat, name: place % 2 == 0} for place, chat in enumerate(CHATS[:4])]
    rows = prepared(tmp_path, records, model_folder, tokenizer, "kto")
    assert list(rows["label"]) == [True, False, True, False]
    for place, row in enumerate(rows):
        before, answer = pieces(tokenizer, f"<user>add {place} and 1</user>", str(place + 1))
        assert (row["prompt_ids"], row["completion_ids"]) == (before, answer)


def test_answers_that_are_all_dates_are_lost_and_said_to_be(
    tmp_path: Path, model_folder: Path, tokenizer: Any
) -> None:
    """What the export says of them holds: when this fails, the note can go."""
    records = [{"prompt": "when", "completion": f"2024-01-0{day}"} for day in (1, 2)]
    rows = prepared(tmp_path, records, model_folder, tokenizer, "sft")
    assert [row["labels"][-9:] for row in rows] == [pieces(tokenizer, "", "<datetime>")[1][-9:]] * 2


def test_the_first_rows_alone(tmp_path: Path) -> None:
    """``split: train[:2]``, as docs/trainers.md says."""
    _, _, out = lines_for(tmp_path, CHATS, "trl")
    settings = yaml.safe_load((out / "trl.yaml").read_text())["datasets"][0]
    settings |= {"split": "train[:2]", "data_files": {"train": str(out / "kept.jsonl")}}
    mixture = trl.DatasetMixtureConfig(datasets=[settings])
    rows = trl.get_dataset(mixture)["train"]
    lines = [json.loads(line) for line in (out / "kept.jsonl").read_text().splitlines()]
    assert list(rows["prompt"]) == [line["prompt"] for line in lines[:2]]


def test_steps_have_no_trainer_in_trl(tmp_path: Path) -> None:
    assert not hasattr(trl, "PRMTrainer")
    steps = {"prompt": "p", "completions": ["a", "b"], "labels": [True, False]}
    with pytest.raises(InputError, match="the kept rows hold labelled steps: name another trainer"):
        lines_for(tmp_path, [steps], "trl")
