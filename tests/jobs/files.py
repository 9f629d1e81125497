"""Small files with vectors in them: pools on which every control has something to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def records(count: int, seed: int, width: int = 4) -> list[dict[str, Any]]:
    """Alpaca records with a vector, a group, a score, a flag, and copies among them."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, width)).round(3)
    if count > 10:
        vectors[count - 3 :] = vectors[:3]
    return [
        {
            "instruction": f"question {number}",
            "output": "word " * int(rng.integers(1, 9)),
            "vec": vectors[number].tolist(),
            "lang": str(rng.choice(["en", "de", "fr"])),
            "score": int(rng.integers(1, 6)),
            "half": number % 6 / 2,
            "low": -1.0,
            "gold": bool(rng.random() < 0.1),
        }
        for number in range(count)
    ]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
