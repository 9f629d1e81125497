"""Evaluating a model with lm-evaluation-harness: its tasks by name, or the same tests from local files."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evenly.errors import InputError, MissingExtraError, first_line
from evenly.files import file_sha256, write_atomically
from evenly.records import Frozen
from evenly.train.models import (
    base_model,
    check_model,
    context_window,
    load_tokenizer,
    model_identity,
)
from evenly.train.questions import Questions, read_questions

BATCH_SIZE = 8
"""Pinned: padding changes the last bits of a score, so the same batches are needed for the same numbers."""


ANSWER_TOKENS = 256
"""Of a generated answer, as the harness has it: room for a sum worked out step by step."""


class Score(Frozen):
    """One number of one task."""

    task: str
    metric: str
    value: float
    standard_error: float | None
    questions: int

    def line(self) -> str:
        """The score as one line of text."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.4f}"
        return f"{self.task} {self.metric} {self.value:.4f}{error} ({self.questions} questions)"


EVALUATION_FILE = "evaluation.json"


class Evaluation(Frozen):
    """The scores of a model, tied to its bytes."""

    model: str
    identity: str  # hash of the model folder's files
    tasks: dict[str, str | None]  # as asked for; of a file its SHA-256
    batch_size: int
    limit: int | None  # questions per task, None for all
    answer_tokens: int | None = None  # of a generated answer at most, where the window has no room for 256
    scores: list[Score]
    versions: dict[str, str]


def evaluate_model(
    model: str,
    tasks: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    limit: int | None = None,
    out: Path | None = None,
) -> Evaluation:
    """Evaluates a model.

    Args:
        model: folder or hub id of a causal language model, or a folder of adapters of one.
        tasks: names that lm-evaluation-harness knows (arc_challenge, truthfulqa_mc1, mmlu, gsm8k: their data
            come from the hub), or files as `read_questions` takes them.
        batch_size: questions per pass.
        limit: take only so many questions of each task, from the start.
        out: where to write the result as JSON.

    Raises:
        MissingExtraError: without the extra ``eval``.
        InputError: no model or tokenizer, a task that is no file and not known, a file without answers.
    """
    tokenizer = load_tokenizer(model)  # says in one line what the harness would say in thirty
    check_model(model)
    base = base_model(model)
    adapters = {"peft": model} if base else {}
    manager = check_tasks(tasks)
    window = context_window(base or model, tokenizer)
    answer_tokens = window // 2 if window is not None and window <= ANSWER_TOKENS else None
    with tempfile.TemporaryDirectory() as place:
        loaded = [one for task in tasks for one in _loaded(task, Path(place), manager)]
        found = _scored(
            {"pretrained": base or model, "tokenizer": model, **adapters},
            tasks=loaded,
            batch_size=batch_size,
            limit=limit,
            task_manager=manager,
            gen_kwargs=answer_tokens and {"max_gen_toks": answer_tokens},
        )
    evaluation = Evaluation(
        model=model,
        identity=model_identity(model),
        tasks=_named(tasks),
        batch_size=batch_size,
        limit=limit,
        answer_tokens=answer_tokens,
        scores=_scores(found),
        versions={name: version(name) for name in ("lm-eval", "transformers", "torch")},
    )
    if out is not None:
        write_atomically(out, evaluation.model_dump_json(indent=2) + "\n")
    return evaluation


def _scored(model: dict[str, str], **asked: Any) -> dict[str, Any]:
    """What the harness finds; what it raises in the middle of a run is one line."""
    import lm_eval

    try:
        found: dict[str, Any] = lm_eval.simple_evaluate(
            model="hf",
            model_args={**model, "dtype": "float32", "device": _device()},
            log_samples=False,
            bootstrap_iters=1000,  # standard errors of means are exact; 0 would leave them out
            **asked,
        )
    except (AssertionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"lm-evaluation-harness cannot score {model['tokenizer']}: {first_line(error)}"
        ) from None
    return found


def evaluate_runs(folder: Path, tasks: Sequence[str]) -> dict[str, Evaluation]:
    """Evaluates the trained model of every run of a comparison, unless that is done already.

    Args:
        folder: of a comparison whose models were saved.
        tasks: as for `evaluate_model`.

    Returns:
        The evaluations by the names of the runs; each is kept in ``runs/NAME/evaluation.json``.
    """
    found = {}
    for model in sorted(folder.glob("runs/*/model")):
        path = model.parent / EVALUATION_FILE
        known = Evaluation.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None
        if known is None or (known.identity, known.tasks) != (model_identity(str(model)), _named(tasks)):
            known = evaluate_model(str(model), tasks, out=path)
        found[model.parent.name] = known
    return found


def check_tasks(tasks: Sequence[str]) -> Any:
    """Checks tasks before anything is computed for them.

    Returns:
        The harness's manager of its own tasks.

    Raises:
        MissingExtraError: without the extra ``eval``.
        InputError: a task that is no file and not known, or a file without answers.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise MissingExtraError("evenly evaluate", "eval") from None
    files = [task for task in tasks if Path(task).is_file()]
    for file in files:
        read_questions(Path(file))
    # Reading the harness's own tasks takes tens of seconds; local files need none of them.
    manager = TaskManager(include_defaults=len(files) < len(tasks))
    for task in tasks:
        if task not in files and task not in manager.all_tasks:
            raise InputError(
                f"task {task!r} is neither a file nor a task of lm-evaluation-harness; see: lm_eval ls tasks"
            )
    return manager


def _named(tasks: Sequence[str]) -> dict[str, str | None]:
    return {task: file_sha256(Path(task)) if Path(task).is_file() else None for task in tasks}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _loaded(task: str, folder: Path, manager: Any) -> list[Any]:
    """The harness's own objects of a task: one, a group as one, or those that carry a tag."""
    if Path(task).is_file():
        return list(manager.load([_local_task(read_questions(Path(task)), folder)])["tasks"].values())
    noise = logging.getLogger("huggingface_hub")
    level = noise.level
    noise.setLevel(logging.CRITICAL)  # it tells of every try to reach the hub
    try:
        found = manager.load([task])
    # What loads the data raises whatever its readers and network layers raise.
    except Exception as error:
        raise InputError(
            f"the data of the task {task} cannot be loaded from the hub ({first_line(error)}); without a "
            "network, give the questions as a file"
        ) from None
    finally:
        noise.setLevel(level)
    return [found["groups"][task]] if task in found["groups"] else list(found["tasks"].values())


def _local_task(questions: Questions, folder: Path) -> dict[str, Any]:
    """The harness's configuration of a test whose questions are written to a file in ``folder``."""
    # As Parquet, for the types are said: read as JSON, texts that look like dates would become dates.
    path = folder / f"{questions.name}.parquet"
    pq.write_table(pa.Table.from_pylist(questions.rows), path)
    common = {
        "task": questions.name,
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "Question: {{question}}\nAnswer:",
    }
    if questions.kind == "choice":
        metrics = [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")
        ]
        return {
            **common,
            "output_type": "multiple_choice",
            "doc_to_target": "label",
            "doc_to_choice": "choices",
            "metric_list": metrics,
        }
    return {
        **common,
        "output_type": "generate_until",
        "doc_to_target": "{{answer.split('####')[-1].strip()}}",
        "generation_kwargs": {"until": ["Question:"], "do_sample": False, "max_gen_toks": ANSWER_TOKENS},
        "filter_list": [
            {
                "name": "last-number",
                "filter": [
                    {
                        "function": "regex",
                        "group_select": -1,
                        "regex_pattern": "(-?[0-9][0-9,]*(?:\\.[0-9]+)?)",
                    },
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "regexes_to_ignore": [",", "\\$"],
            }
        ],
    }


def _scores(found: dict[str, Any]) -> list[Score]:
    scores = []
    for task, values in found["results"].items():
        questions = found["n-samples"].get(task, {}).get("effective", 0)
        for key, value in values.items():
            metric, _, name = key.partition(",")
            if not name or metric.endswith("_stderr") or not isinstance(value, float | int):
                continue
            error = values.get(f"{metric}_stderr,{name}")
            known = float(error) if isinstance(error, float | int) else None
            label = metric if name == "none" else f"{metric} ({name})"
            scores.append(
                Score(task=task, metric=label, value=float(value), standard_error=known, questions=questions)
            )
    return scores
