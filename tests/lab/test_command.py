"""`evenly lab` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evenly.cli.lab import lab
from evenly.errors import InputError

app = typer.Typer()
app.command()(lab)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["laws"], "experiment 'laws' is not known"),
        (["law", "train.jsonl"], r"experiment 'law' takes no source \(train.jsonl\)"),
        (["spectrum", "--model", "somewhere"], "--model and --data belong together"),
        (["law", "--model", "somewhere", "--data", "x"], "--model and --data belong together"),
        (["spectrum", "--last-blocks", "2"], "--last-blocks is for a model"),
        (["law", "--rows", "9"], "--rows is for your own data"),
        (["law", "--encoder", "minilm"], "--encoder is for your own data"),
        (["forecast", "train.jsonl", "--quick"], "on your own data leave them out"),
        (["law", "--device", "abacus"], "device 'abacus' does not compute in float64 here"),
    ],
)
def test_one_clear_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_no_seeds_is_refused() -> None:
    assert CliRunner().invoke(app, ["law", "--seeds", "0"]).exit_code == 2


@pytest.mark.slow
def test_json_and_files(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["depth", "--quick", "--seeds", "1", "--json", "--out", str(tmp_path)])
    assert run.exit_code == 0
    assert json.loads(run.stdout) == json.loads((tmp_path / "depth.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["depth.json", "depth.png", "depth.svg"]
    shown = CliRunner().invoke(app, ["depth", "--quick", "--seeds", "1", "--out", str(tmp_path)])
    assert "depth: " in shown.stdout
    assert "rank of K" in " ".join(shown.stdout.split())
