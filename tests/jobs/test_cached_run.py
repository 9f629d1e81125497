"""A run whose vectors are all in the cache loads nothing to embed with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from tests.vectors.models import WORDS, save_tiny_model, write_sentence_settings

ROWS = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, an encoder, a cache that holds its vectors, and a selection."""
    place = tmp_path_factory.mktemp("cached")
    words = [word.removeprefix("##") for word in WORDS]
    draws = np.random.default_rng(0).integers(0, len(words), (ROWS, 6))
    lines = [
        json.dumps({"id": str(row), "text": " ".join(words[w] for w in drawn)})
        for row, drawn in enumerate(draws)
    ]
    (place / "rows.jsonl").write_text("\n".join(lines) + "\n")
    save_tiny_model(place)
    write_sentence_settings(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENLY_CACHE", str(place / "cache"))
        select_sources(request(place, "first.jsonl"))
    return place


def request(place: Path, out: str) -> SelectRequest:
    return SelectRequest(
        PoolRequest([str(place / "rows.jsonl")], encoder=str(place), device="cpu"),
        Choice.of(keep="50%"),
        str(place / out),
    )


def test_transformers_is_never_loaded(place: Path) -> None:
    code = (
        "import sys; from evenly.cli import main\n"
        f"sys.argv = ['evenly', 'select', {str(place / 'rows.jsonl')!r}, '--keep', '50%', '--device', 'cpu',\n"
        f"            '--out', {str(place / 'second.jsonl')!r}, '--encoder', {str(place)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([name for name in ('transformers', 'tokenizers', 'huggingface_hub') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        env={"EVENLY_CACHE": str(place / "cache"), "PATH": ""},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"
    assert (place / "second.jsonl").read_bytes() == (place / "first.jsonl").read_bytes()
