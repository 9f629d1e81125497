"""One core per test process, a cache of its own, and no network."""

from __future__ import annotations

import os

# Before torch is imported anywhere: two test processes with two threads each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from evenly.cli import main

# Property tests: `ci` tries the same examples on every machine, many of them; `development`, the default, tries new
# ones in every run, fewer, and keeps those that failed. Neither times an example: cores are shared, and torch is
# loaded in the first of them. EVENLY_EXAMPLES chooses; `make test` takes ci. A costly test bounds its own number.
SLOW = [HealthCheck.too_slow]
settings.register_profile("ci", derandomize=True, max_examples=200, deadline=None, suppress_health_check=SLOW)
settings.register_profile("development", max_examples=50, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("EVENLY_EXAMPLES", "ci" if "CI" in os.environ else "development"))


class Said(NamedTuple):
    """What a command ended with."""

    status: int
    out: str
    errors: str


Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EVENLY_CACHE", str(folder))
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``evenly`` with the arguments given, and bytes on standard input, in this process."""

    def call(*arguments: str, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = 0
        try:
            main(arguments)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return call
