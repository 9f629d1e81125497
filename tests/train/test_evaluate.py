"""Test questions in their public forms, and a score that belongs to a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from evenly.cli.compare import compare
from evenly.errors import InputError
from evenly.train.models import check_model
from evenly.train.questions import read_questions


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_form_of_a_choice_gives_question_choices_and_label(tmp_path: Path) -> None:
    expected = [{"question": "2 + 2?", "choices": ["3", "4"], "label": 1}]
    lists = [{"question": "2 + 2?", "choices": ["3", "4"], "answer": answer} for answer in ("B", 1, "4", "b")]
    lists.append(
        {"question": "2 + 2?", "choices": {"text": ["3", "4"], "label": ["1", "2"]}, "answerKey": "2"}
    )
    numbered = "Please choose the correct answer to the question: 2 + 2?\n\nAnswer1: 3 Answer2: 4\n\nAnswer format: x"
    lists.append({"instruction": numbered, "answer": "answer2"})
    for number, record in enumerate(lists):
        path = write(tmp_path / f"{number}.json", json.dumps([record]))
        assert read_questions(path).rows == expected
    assert read_questions(write(tmp_path / "mmlu.csv", "2 + 2?,3,4,B\n")).rows == expected
    truthful = "Type,Question,Best Answer,Correct Answers,Incorrect Answers\nx,2 + 2?,4,4; four,3; 5\n"
    rows = read_questions(write(tmp_path / "truthful.csv", truthful)).rows
    assert rows == [{"question": "2 + 2?", "choices": ["4", "3", "5"], "label": 0}]


@pytest.mark.parametrize(
    ("choices", "answer", "texts", "label"),
    [
        ([3, 4], "B", ["3", "4"], 1),
        ([3, 4], 4, ["3", "4"], 1),
        ([3, 4], "4", ["3", "4"], 1),
        ([1.5, 2], 1, ["1.5", "2"], 1),
        ([True, False], 0, ["True", "False"], 0),
        (["2024-01-01", "2023-05-06"], "2023-05-06", ["2024-01-01", "2023-05-06"], 1),
    ],
)
def test_choices_that_are_numbers_or_look_like_dates(
    choices: list, answer: object, texts: list[str], label: int, tmp_path: Path
) -> None:
    record = {"question": 2, "choices": choices, "answer": answer}
    path = write(tmp_path / "a.json", json.dumps([record]))
    assert read_questions(path).rows == [{"question": "2", "choices": texts, "label": label}]


def test_generated_answers(tmp_path: Path) -> None:
    line = json.dumps({"question": "2 + 2?", "answer": "It is 4.\n#### 4"})
    found = read_questions(write(tmp_path / "GSM8K-mini.jsonl", line + "\n"))
    assert (found.name, found.kind) == ("gsm8k_mini", "answer")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "2 + 2?", "choices": ["3", "4"]}, "question 1 of .* has no answer"),
        ({"question": "2 + 2?", "choices": ["3", "4"], "answer": "C"}, "question 1 of .* has no answer"),
        ({"question": "2 + 2?", "answer": "four"}, "question 1 of .* has no answer"),
        ({"text": "hello"}, "found: text"),
        ({"question": "2?", "choices": ["3", " "], "answer": "A"}, "question 1 of .* has an empty choice"),
        ({"question": "2?", "choices": ["3", None], "answer": "A"}, "question 1 of .* has no answer"),
    ],
)
def test_a_question_without_answer_is_named(record: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(write(tmp_path / "bad.json", json.dumps([record])))


def test_a_file_that_is_no_test(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a list of questions"):
        read_questions(write(tmp_path / "bad.json", "{}"))
    with pytest.raises(InputError, match="holds no question"):
        read_questions(write(tmp_path / "none.json", "[]"))


@pytest.mark.slow
def test_scores_with_errors_tied_to_the_model(model_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    from evenly.train.evaluate import evaluate_model
    from evenly.train.models import model_identity

    choice = [
        {"question": f"add {n} and 1", "choices": [f"{n + 1} is the sum", "no"], "answer": "A"}
        for n in range(8)
    ]
    choice.append({"question": "when?", "choices": ["2024-01-01", 4], "answer": "A"})
    answer = [{"question": f"add {n} and 1", "answer": f"#### {n + 1}"} for n in range(2)]
    files = [
        write(tmp_path / f"{name}.json", json.dumps(rows)) for name, rows in (("c", choice), ("a", answer))
    ]
    out = tmp_path / "scores.json"
    result = evaluate_model(str(model_folder), [str(path) for path in files], out=out)
    assert {(score.task, score.questions) for score in result.scores} == {("c", 9), ("a", 2)}
    assert all(score.standard_error is not None for score in result.scores if score.task == "c")
    assert result.identity == model_identity(str(model_folder)) == json.loads(out.read_text())["identity"]
    again = evaluate_model(str(model_folder), [str(files[0])])
    assert again.scores == [score for score in result.scores if score.task == "c"]
    with pytest.raises(InputError, match="neither a file nor a task"):
        evaluate_model(str(model_folder), ["no_such_task"])
    assert result.answer_tokens is None
    short = shutil.copytree(model_folder, tmp_path / "short")
    config = json.loads((short / "config.json").read_text()) | {"max_position_embeddings": 256}
    (short / "config.json").write_text(json.dumps(config))
    dates = write(tmp_path / "d.json", json.dumps(choice[-1:] * 2))
    scored = evaluate_model(str(short), [str(files[1]), str(dates)])
    assert scored.answer_tokens == 128
    assert {score.questions for score in scored.scores} == {2}


@pytest.mark.slow
def test_without_the_hub_a_task_is_refused_in_a_line(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lm_eval")
    import datasets

    from evenly.train.evaluate import evaluate_model

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="the data of the task arc_challenge cannot be loaded from the hub"):
        evaluate_model(str(model_folder), ["arc_challenge"])
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [[], ["--lora", "2"]], ids=["whole", "lora"])
def test_compare_scores_every_arm_once(
    model_folder: Path, rows: list, tmp_path: Path, adapters: list[str]
) -> None:
    pytest.importorskip("lm_eval")
    from evenly.train.models import model_identity

    vectors = np.random.default_rng(0).normal(size=(90, 12)).tolist()
    lines = [json.dumps({"messages": row, "v": v}) for row, v in zip(rows, vectors, strict=True)]
    source = write(tmp_path / "rows.jsonl", "\n".join(lines) + "\n")
    questions = [
        {"question": f"add {n} and 1", "choices": ["no", f"{n + 1}"], "answer": "B"} for n in range(9)
    ]
    task = write(tmp_path / "sums.json", json.dumps(questions))
    out = tmp_path / "out"
    options = [str(source), "--model", str(model_folder), "--arms", "random,uniform", "--seeds", "1"]
    options += ["--encoder", "column:v"]
    options += ["--test", "6", "--lr", "0.005", "--window", "64", "--epochs", "1", "--workers", "1"]
    options += [*adapters, "--out", str(out), "--tasks", str(task)]
    app = typer.Typer()
    app.command()(compare)
    told = CliRunner().invoke(app, [*options, "--json"])
    assert told.exit_code == 0, told.output
    scores = json.loads(told.stdout)["evaluations"]
    assert set(scores) == {"random-s0-b32-shuffled", "uniform-s0-b32-shuffled"}
    for run, scored in scores.items():
        assert scored["identity"] == model_identity(str(out / "runs" / run / "model"))
        assert all(score["standard_error"] is not None for score in scored["scores"])
    assert len({scored["identity"] for scored in scores.values()}) == 2

    written = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/evaluation.json")}
    assert len(written) == 2
    shown = CliRunner().invoke(app, options)
    assert {path: path.stat().st_mtime_ns for path in written} == written  # nothing is scored a second time
    assert shown.exit_code == 0, shown.output
    for scored in scores.values():
        assert f"model {scored['identity'][:12]}: sums acc " in shown.output
    assert " ± " in shown.output

    write(task, json.dumps([{"question": "add 1 and 1", "choices": ["1", "2"]}]))
    refused = CliRunner().invoke(app, [*options[:-3], str(tmp_path / "new"), "--tasks", str(task)])
    assert "question 1 of" in str(refused.exception)
    assert not (tmp_path / "new").exists()  # said before anything is trained


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "no causal language model could be loaded from .*other"),
        ({"base_model_name_or_path": "gone/base"}, "from gone/base for the adapters in .*other"),
        ({}, "does not say which model its adapters belong to"),
        ({"base_model_name_or_path": None}, "does not say which model its adapters belong to"),
    ],
    ids=["no model", "no base", "no record", "no name"],
)
def test_a_model_that_cannot_be_loaded_is_one_line(
    model_folder: Path, tmp_path: Path, record: dict | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = tmp_path / "other"
    other.mkdir()
    for file in model_folder.glob("tokenizer*"):
        (other / file.name).write_bytes(file.read_bytes())
    if record is not None:
        write(other / "adapter_config.json", json.dumps(record))
    with pytest.raises(InputError, match=said):
        check_model(str(other))
