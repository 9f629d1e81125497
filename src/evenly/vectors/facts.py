"""What only a loaded model can say of itself, kept in the cache: a run whose vectors are all there loads none."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evenly.files import write_atomically


@dataclass(frozen=True)
class ModelFacts:
    """A model's dimension d, and the most tokens of a window, special tokens included."""

    dimension: int
    window: int


def facts_file(folder: Path, decided_by: dict[str, Any]) -> Path:
    """Where the facts of a model are kept, by everything that decides them: files, settings, library."""
    return folder / f"{hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:32]}.json"


def read_facts(path: Path) -> ModelFacts | None:
    """The facts kept there, or None."""
    try:
        facts = ModelFacts(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    whole = all(type(number) is int and number > 0 for number in (facts.dimension, facts.window))
    return facts if whole else None


def keep_facts(path: Path, facts: ModelFacts) -> None:
    """Keeps facts for the next run. A cache that cannot be written costs that run some seconds, no more."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(facts)) + "\n")
