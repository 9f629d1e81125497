"""The commands: options reach the request, answers come as tables and JSON, failures as one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evenly.cli.compare import compare
from evenly.cli.evaluate import evaluate
from evenly.cli.train import train
from evenly.errors import InputError
from tests.train.test_compare import with_vectors


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    for command in (compare, evaluate, train):
        app.command()(command)
    return app


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, rows: list) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return path


def test_dry_run_names_every_run(app: typer.Typer, source: Path, model_folder: Path, tmp_path: Path) -> None:
    options = [
        "--model",
        str(model_folder),
        "--test",
        "8",
        "--batch",
        "4,8",
        "--seeds",
        "2",
        "--epochs",
        "1.5",
    ]
    options += ["--arms", "random,uniform", "--window", "40", "--keep", "30", "--workers", "1", "--dry-run"]
    out = tmp_path / "out"
    told = CliRunner().invoke(app, ["compare", str(source), *options, "--json", "--out", str(out)])
    assert told.exit_code == 0, told.output
    plan = json.loads(told.stdout)
    both = ["batch 4, shuffled"] * 2 + ["batch 8, shuffled"] * 2
    assert [(run["seed"], run["variant"]) for run in plan["runs"]] == [
        (s, name) for s in (0, 1) for name in both
    ]
    assert plan["keep"] == 30
    assert plan["truncated"] + plan["dropped"] > 0
    assert all(run["steps"] == (12 if "4" in run["variant"] else 6) for run in plan["runs"])
    assert not out.exists()
    shown = CliRunner().invoke(app, ["compare", str(source), *options])
    assert "minutes of training" in shown.output
    assert "Loading weights" not in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare"], "no source was named"),
        (["compare", "{source}", "--lr", "fast"], "training.rate"),
        (["compare", "{source}", "--schedule", "sorted"], "training.schedule: Input should be 'shuffled'"),
        (["compare", "{source}", "--pool", "1000000", "--dry-run"], "must lie between 1 and the 90 rows"),
        (
            ["compare", "{source}", "--test", "40", "--dry-run"],
            "too small for tests of 40 rows; `test` may be 9",
        ),
        (
            ["compare", "{source}", "--test", "40", "--out", "c"],
            "too small for tests of 40 rows; `test` may be 9",
        ),
        (
            ["compare", "{source}", "--recipe", "none.yaml"],
            "recipe none.yaml is neither a file nor one of those in",
        ),
        (["train", "{source}", "--model", "{folder}", "--out", "x"], "holds no tokenizer"),
        (["evaluate", "{folder}", "--tasks", "arc"], "holds no tokenizer"),
    ],
)
def test_what_cannot_be_is_one_line(
    app: typer.Typer,
    source: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [argument.format(source=source, folder=tmp_path) for argument in arguments]
    failure = CliRunner().invoke(app, filled).exception
    assert isinstance(failure, InputError)
    assert message in str(failure)
    assert "\n" not in str(failure)


def test_train_says_what_it_left_out(
    app: typer.Typer, source: Path, model_folder: Path, tmp_path: Path
) -> None:
    options = [
        "--model",
        str(model_folder),
        "--out",
        str(tmp_path / "one"),
        "--lr",
        "0.005",
        "--window",
        "40",
    ]
    told = CliRunner().invoke(app, ["train", str(source), *options, "--epochs", "0.5", "--batch", "16"])
    assert told.exit_code == 0, told.output
    assert "rows were cut at 40 tokens" in told.output
    assert (tmp_path / "one" / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_what_is_typed_wins_over_a_recipe_and_nothing_else_does(
    app: typer.Typer, model_folder: Path, rows: list, tmp_path: Path
) -> None:
    """Defaults of options must not overrule what a recipe says of reading rows; an option typed as its default must."""
    source = with_vectors(tmp_path, rows)
    (tmp_path / "recipe.yaml").write_text(
        f"sources: [{source}]\nencoder: column:v\nmetric: euclidean\npart: response\n"
    )
    command = [
        "compare",
        "--recipe",
        str(tmp_path / "recipe.yaml"),
        "--model",
        str(model_folder),
        "--test",
        "8",
    ]
    command += [
        "--part",
        "all",
        "--seeds",
        "1",
        "--window",
        "40",
        "--epochs",
        "1",
        "--lr",
        "1e-3",
        "--workers",
        "1",
    ]
    told = CliRunner().invoke(app, [*command, "--json", "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    asked = json.loads(told.stdout)["request"]
    assert (asked["metric"], asked["encoder"], asked["part"]) == ("euclidean", "column:v", "all")
    assert asked["sources"] == [str(source)]
