"""Every command as a person types it, on fifty rows: what it says, what it writes, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from evenly.cli.app import app
from tests.conftest import Run, Said
from tests.train.models import save_tiny_causal_model

ROWS = 50
GIVEN = ("--encoder", "column:v")


def records(first: int, count: int) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(first).standard_normal((count, 4)).round(3)
    return [
        {"instruction": f"add {n} and 1", "input": "", "output": f"{n + 1} is the sum", "v": vector.tolist()}
        for n, vector in enumerate(vectors, start=first)
    ]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pool and new rows, and this process in it."""
    write_lines(tmp_path / "pool.jsonl", records(0, ROWS))
    write_lines(tmp_path / "new.jsonl", records(ROWS, 10))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def kept(place: Path, run: Run) -> Path:
    """A selection of half of the pool."""
    succeed(run("select", "pool.jsonl", "--keep", "50%", "--out", "kept.jsonl", *GIVEN))
    return Path("kept.evenly")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A causal language model of a few thousand parameters."""
    texts = [
        [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
        for row in records(0, ROWS)
    ]
    folder = tmp_path_factory.mktemp("model")
    save_tiny_causal_model(folder, texts)
    return str(folder)


def succeed(said: Said) -> str:
    """Standard output of a command that must have gone well."""
    assert said.status == 0, said.out + said.errors
    return said.out


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def ranks(folder: str | Path) -> list[int | None]:
    return pq.read_table(Path(folder) / "order.parquet")["rank"].to_pylist()


def test_demo(place: Path, run: Run) -> None:
    said = succeed(run("demo", "--rows", str(ROWS), "--out", "demo"))
    assert f"kept {ROWS // 2} of {ROWS} rows" in said
    assert (place / "demo").is_dir()
    assert "all checks passed" in succeed(run("verify", next(map(str, Path("demo").glob("*.evenly")))))


def test_plan(place: Path, run: Run) -> None:
    before = sorted(place.iterdir())
    assert "memory" in succeed(run("plan", "pool.jsonl", "--keep", "50%", *GIVEN))
    planned = json.loads(succeed(run("plan", "pool.jsonl", "--keep", "50%", "--json", *GIVEN)))
    assert planned["rows"] == ROWS
    assert sorted(place.iterdir()) == before


def test_select(kept: Path, run: Run) -> None:
    assert len(lines("kept.jsonl")) == ROWS // 2
    assert set(lines("kept.jsonl")) <= set(lines("pool.jsonl"))
    assert (kept / "report.html").read_text().startswith("<!")


@pytest.mark.parametrize("details", [(), ("--details",)])
@pytest.mark.parametrize("anchors", [(), ("--anchors", "new.jsonl")])
def test_a_single_kept_row_has_no_closest_pair(
    details: tuple[str, ...], anchors: tuple[str, ...], place: Path, run: Run
) -> None:
    said = run("select", "pool.jsonl", "--keep", "1", "--out", "one.jsonl", *GIVEN, *details, *anchors)
    assert "the closest two kept rows" not in succeed(said)
    assert "evenly slice" not in said.out


@pytest.mark.parametrize(
    "options",
    [
        ("--keep", "30"),
        ("--keep", "4"),
        ("--keep", "30", "--must", "output=9 is the sum", "--must", "output=8 is the sum"),
        ("--keep", "30", "--anchors", "new.jsonl"),
        ("--keep", "30", "--guard", "10%"),
        ("--dedup", "0.3"),
        ("--keep", "10", "--refine"),
        ("--keep", "10", "--strategy", "kmeans"),
        ("--by", "input", "--quota", "6"),
    ],
)
def test_the_other_size_that_is_named_can_be_cut(options: tuple[str, ...], place: Path, run: Run) -> None:
    said = succeed(run("select", "pool.jsonl", *options, "--out", "kept.jsonl", *GIVEN))
    asked = re.search(r"evenly slice (.*) --keep (\S+) --out\s+smaller/", said)
    assert (asked is None) == (options[-1] in ("--refine", "kmeans", "6"))
    if asked:
        succeed(run("slice", asked[1], "--keep", asked[2], "--out", "smaller/"))


def test_what_was_left_out_adds_up(place: Path, run: Run) -> None:
    near = [{**row, "instruction": f"near {row['instruction']}"} for row in records(0, ROWS)]
    write_lines(place / "pool.jsonl", records(0, ROWS) + near)
    said = succeed(
        run("select", "pool.jsonl", "--keep", "20", "--guard", "30%", "--out", "kept.jsonl", *GIVEN)
    )
    left, parts = re.search(r"left out (\d+): ((?:.|\n  )*)", said).groups()  # type: ignore[union-attr]
    assert int(left) == 80 == sum(map(int, re.findall(r"(?:^|, )(\d+) ", parts.replace("\n  ", " "))))


def test_terminal_and_page_say_the_same_of_noise(place: Path, run: Run) -> None:
    """Broken rows whose excerpts look sound: the verdict is on whole texts, made once."""
    rows = records(0, ROWS)
    for row in rows[:30]:
        row["output"] = "sound words " * 100 + "\ufffd" * 3
    write_lines(place / "pool.jsonl", rows)
    said = succeed(run("select", "pool.jsonl", "--keep", "25", "--out", "kept.jsonl", *GIVEN))
    found = re.search(r"warning: (\d+ of the first 20 picks) look like noise", said)
    assert found
    succeed(run("report", "kept.evenly"))
    page = Path("kept.evenly/report.html").read_text()
    assert f"{found[1]} look like noise" in page
    assert page.count("Looks like noise:") == int(found[1].split()[0])


def test_slice(kept: Path, run: Run) -> None:
    said = succeed(run("slice", str(kept), "--keep", "7", "--out", "short.jsonl"))
    assert "the first 7 of 25 picks" in said
    assert "wrote short.jsonl (7 rows)" in said
    first = [row for row, rank in enumerate(ranks(kept)) if rank is not None and rank < 7]
    assert lines("short.jsonl") == [lines("pool.jsonl")[row] for row in first]


def test_extend(kept: Path, run: Run) -> None:
    said = succeed(run("extend", str(kept), "new.jsonl", "--keep", "30", "--out", "more.jsonl"))
    assert "kept 25 as before" in said
    assert set(lines("kept.jsonl")) < set(lines("more.jsonl"))
    assert len(lines("more.jsonl")) == 30
    assert succeed(run("verify", "more.evenly"))


def test_split(place: Path, run: Run) -> None:
    said = succeed(run("split", "pool.jsonl", "--test", "10", "--gap", "0", "--out", "parts/", *GIVEN))
    assert "test: 10 rows" in said
    assert "wrote parts/test.jsonl (10 rows)" in said
    parts = [set(lines(f"parts/{part}.jsonl")) for part in ("test", "train")]
    assert len(parts[0]) == 10
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(lines("pool.jsonl"))


def test_strategies(place: Path, run: Run) -> None:
    names = [one["name"] for one in json.loads(succeed(run("strategies", "--json")))]
    assert {"maxmin", "kmeans", "random"} <= set(names)
    assert all(name in succeed(run("strategies")) for name in names)


def test_select_by_all_strategies(place: Path, run: Run) -> None:
    said = succeed(run("select", "pool.jsonl", "--keep", "10", "--strategy", "all", "--out", "arms/", *GIVEN))
    assert "maxmin" in said
    assert all(len(lines(str(file))) == 10 for file in Path("arms").glob("*.jsonl"))
    assert "maxmin" in Path("arms/strategies.json").read_text()


def test_verify(kept: Path, run: Run) -> None:
    assert "all checks passed" in succeed(run("verify", str(kept)))
    Path("kept.jsonl").write_text("\n".join(lines("kept.jsonl")[:-1]) + "\n")
    said = run("verify", str(kept))
    assert said.status == 1
    assert "FAILED" in said.out


def test_measure(kept: Path, run: Run) -> None:
    said = succeed(run("measure", "pool.jsonl", "--subset", "kept.jsonl", *GIVEN))
    assert "25 of 50 rows, 4 dimensions" in said
    found = json.loads(succeed(run("measure", "pool.jsonl", "--subset", "kept.jsonl", "--json", *GIVEN)))
    saved = json.loads((kept / "manifest.json").read_text())
    assert found["exact"]["h_min"] == saved["h_min"]


def test_report(kept: Path, run: Run) -> None:
    (kept / "report.html").unlink()
    assert "report.html" in succeed(run("report", str(kept)))
    assert (kept / "report.html").stat().st_size > 100_000


def test_score(place: Path, model: str, run: Run) -> None:
    said = succeed(
        run("score", "pool.jsonl", "--model", model, "--with", "loss,ifd", "--out", "scores.parquet")
    )
    assert "scored 50 rows (100 texts) by a plain template" in said
    assert "use it:  evenly select … --quality scores.parquet:ifd" in said
    said = succeed(run("score", "pool.jsonl", "--model", model, "--out", "scores.parquet", "--json"))
    assert json.loads(said)["rows"] == 50
    asked = ("--quality", "scores.parquet:loss", "--within", "0.1", "--keep", "20%", "--out", "good.jsonl")
    assert "quality: mean scores.parquet:loss" in succeed(run("select", "pool.jsonl", *asked, *GIVEN))


def test_atlas(kept: Path, run: Run) -> None:
    succeed(run("atlas", str(kept), "--out", "atlas.parquet"))
    table = pq.read_table("atlas.parquet")
    assert table.num_rows == ROWS
    assert {"text", "x", "y", "neighbors"} <= set(table.column_names)


def test_again(kept: Path, run: Run) -> None:
    before = Path("kept.jsonl").read_bytes()
    succeed(run("again", str(kept)))
    assert Path("kept.jsonl").read_bytes() == before
    succeed(run("again", "kept.jsonl", "--on", "new.jsonl", "--out", "half.jsonl"))
    assert len(lines("half.jsonl")) == 5
    config = Path("half.evenly/config.yaml").read_text().splitlines()[1:]
    assert config == ["sources:", "- new.jsonl", "encoder: column:v", "keep: 50%", "out: half.jsonl"]


def test_push(kept: Path, run: Run) -> None:
    said = succeed(run("push", str(kept), "--to", "someone/kept", "--dry-run", "hub"))
    assert "would push" in said
    assert Path("hub/kept.jsonl").read_bytes() == Path("kept.jsonl").read_bytes()


@pytest.mark.parametrize("target", ["trl", "axolotl", "llama-factory", "unsloth"])
def test_export(target: str, kept: Path, run: Run) -> None:
    succeed(run("export", str(kept), "--to", target, "--out", "export"))
    rows = [json.loads(line) for line in lines("export/kept.jsonl")]
    answers = [(row.get("messages") or row["completion"])[-1]["content"] for row in rows]
    assert answers == [json.loads(line)["output"] for line in lines("kept.jsonl")]
    assert len(list(Path("export").iterdir())) > 1


@pytest.mark.slow
def test_compare(place: Path, model: str, run: Run) -> None:
    tiny = ("--model", model, "--arms", "random,uniform", "--seeds", "1", "--test", "4", "--lr", "0.005")
    tiny += ("--window", "64", "--epochs", "1", "--batch", "8", "--workers", "1")
    said = succeed(run("compare", "pool.jsonl", *tiny, "--out", "compare"))
    assert "uniform" in said
    assert list(Path("compare").glob("*.html"))
    again = succeed(run("compare", "pool.jsonl", *tiny, "--out", "compare", "--json"))
    assert json.loads(again)["variants"]


def test_train(place: Path, model: str, run: Run) -> None:
    said = succeed(run("train", "pool.jsonl", "--model", model, "--out", "run", "--window", "64"))
    assert f"trained on {ROWS} rows" in said
    assert Path("run/model/model.safetensors").exists()
    assert pq.read_table("run/curve.parquet").num_rows > 0


def test_evaluate(place: Path, model: str, run: Run) -> None:
    pytest.importorskip("lm_eval")
    questions = [
        {"question": f"add {n} and 1", "choices": ["no", f"{n + 1}"], "answer": "B"} for n in range(9)
    ]
    Path("sums.json").write_text(json.dumps(questions))
    said = succeed(run("evaluate", model, "--tasks", "sums.json", "--out", "scores.json"))
    assert "sums acc" in said
    assert json.loads(Path("scores.json").read_text())["scores"][0]["questions"] == 9


def test_lab(place: Path, run: Run) -> None:
    said = succeed(run("lab", "depth", "--quick", "--seeds", "1", "--out", "lab"))
    assert "depth: " in said
    assert json.loads(Path("lab/depth.json").read_text())["name"] == "depth"


def test_cache(place: Path, run: Run) -> None:
    succeed(run("select", "pool.jsonl", "--keep", "5", "--out", "kept.jsonl"))
    assert f"{ROWS} vectors" in succeed(run("cache"))
    assert json.loads(succeed(run("cache", "--clear", "--json")))["vectors"] == ROWS
    assert json.loads(succeed(run("cache", "--json")))["vectors"] == 0


def test_every_command_is_run_here() -> None:
    commands: Any = get_command(app)
    names = commands.list_commands(None)
    assert len(names) > 10
    assert [name for name in names if f"test_{name}" not in globals()] == []


REFUSED = {
    "plan": ("missing.jsonl", "--keep", "5", *GIVEN),
    "select": ("missing.jsonl", "--keep", "5", "--out", "out", *GIVEN),
    "slice": ("missing.evenly", "--keep", "5", "--out", "out"),
    "extend": ("missing.evenly", "new.jsonl", "--keep", "5", "--out", "out"),
    "split": ("missing.jsonl", "--test", "5", "--out", "out/", *GIVEN),
    "verify": ("missing.evenly",),
    "measure": ("missing.jsonl", *GIVEN),
    "report": ("missing.evenly",),
    "score": ("missing.jsonl", "--model", "missing", "--out", "scores.parquet"),
    "atlas": ("missing.evenly", "--out", "out.parquet"),
    "export": ("missing.evenly", "--to", "trl", "--out", "out"),
    "again": ("missing.evenly",),
    "push": ("missing.evenly", "--to", "someone/kept", "--dry-run", "out"),
    "compare": ("missing.jsonl", "--model", "missing", "--out", "out"),
    "train": ("missing.jsonl", "--model", "missing", "--out", "out"),
    "evaluate": ("missing", "--tasks", "missing.json", "--out", "out"),
    "lab": ("forecast", "missing.jsonl", "--out", "out"),
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_missing_is_one_line_and_writes_nothing(command: str, place: Path, run: Run) -> None:
    before = sorted(place.rglob("*"))
    said = run(command, *REFUSED[command])
    assert (said.status, said.out) == (2, "")
    assert said.errors.startswith("evenly: ")
    assert "missing" in said.errors
    assert said.errors.count("\n") == 1
    assert sorted(place.rglob("*")) == before


def test_as_a_process_of_its_own(place: Path) -> None:
    call = [sys.executable, "-m", "evenly", "select", "pool.jsonl", "--out", "kept.jsonl", *GIVEN]
    done = subprocess.run([*call, "--keep", "5"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kept 5 of 50 rows" in done.stdout
    done = subprocess.run([*call, "--keep", "none"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("evenly: ")
    assert done.stderr.count("\n") == 1
