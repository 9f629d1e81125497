"""measures.json: how even pool, kept rows and random subsets are, the certificate, and what the controls did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evenly.errors import InputError
from evenly.files import file_sha256, write_atomically

MEASURES_FILE = "measures.json"


def write_measures(measures: dict[str, Any], folder: Path) -> str:
    """Writes the measures as `evenly.measures` returns them. Returns the file's SHA-256."""
    path = folder / MEASURES_FILE
    write_atomically(path, json.dumps(measures, indent=1, allow_nan=False) + "\n")
    return file_sha256(path)


def read_measures(folder: Path) -> dict[str, Any]:
    """The measures of a selection folder; empty where it has none.

    Raises:
        InputError: the file was changed.
    """
    path = folder / MEASURES_FILE
    try:
        measures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not JSON ({error}); it was changed since select wrote it") from None
    if not isinstance(measures, dict):
        raise InputError(f"{path} must hold a JSON object; found a {type(measures).__name__}")
    return measures
