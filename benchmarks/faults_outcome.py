"""What a run has written, in a form in which two runs can be compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

VOLATILE = {"created", "digest", "files", "versions", "total", "thresholds", "answers", "verdict"}
"""Fields of records, besides those named after seconds, that differ from run to run: times, hashes of what holds
times, and what a comparison concludes from times."""


def outcome(folder: Path) -> dict[str, Any]:
    """By name: the hash of every file, the fields of every JSON record that do not differ from run to run.

    Pages and figures hold times; that they are there is what counts. Checkpoints and models of a comparison are left
    out, and so are temporary files.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in Path(name).parts):
            continue
        if path.suffix in (".html", ".png", ".svg"):
            found[name] = "there"
        elif "runs" in Path(name).parts or "run" in path.suffix:
            continue
        elif path.suffix == ".parquet" and b"seconds" in path.read_bytes():  # in a name or in its metadata
            found[name] = _lasting(pq.read_table(path).to_pydict())
        elif path.suffix == ".json":
            found[name] = _lasting(json.loads(path.read_text()))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _lasting(one)
            for name, one in value.items()
            if name not in VOLATILE and "second" not in name
        }
    return [_lasting(one) for one in value] if isinstance(value, list) else value


def differences(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Where two outcomes differ: names of files, and of fields within."""
    if found == wanted:
        return []
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted(found.keys() | wanted.keys())
        return [
            one for name in names for one in differences(found.get(name), wanted.get(name), f"{place}/{name}")
        ]
    return [place.removeprefix("/")]


def temporary_names(*folders: Path) -> list[str]:
    """Temporary files and folders in them."""
    return [
        path.name
        for folder in folders
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.suffix in (".tmp", ".old")
    ]
