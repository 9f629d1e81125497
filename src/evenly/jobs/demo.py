"""`evenly demo`: the main job on real text that is already on the machine."""

from __future__ import annotations

import json
from pathlib import Path

from evenly.controls.choice import Choice
from evenly.files import one_line_errors, write_atomically
from evenly.folder.selection import SelectionFolder
from evenly.outputs import check_place
from evenly.request import PoolRequest
from evenly.rows.documentation import documentation_rows
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded, run_selection
from evenly.types import Progress, silent

POOL_FILE = "documentation.jsonl"
KEPT_FILE = "kept.jsonl"


def run_demo(folder: Path, *, limit: int, overwrite: bool = False, progress: Progress = silent) -> Recorded:
    """Writes documentation strings as instruction rows and keeps the even half of them.

    Args:
        folder: where everything goes; made if it is not there.
        limit: rows to collect at most.
        overwrite: whether files that evenly did not write may be replaced.
        progress: called as each stage goes on.
    """
    place, kept = folder / POOL_FILE, str(folder / KEPT_FILE)
    text = "".join(json.dumps(row) + "\n" for row in documentation_rows(limit, progress))
    check_place(place, overwrite=overwrite or _is_own(place, text))
    with one_line_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(place, text)
    request = SelectRequest(PoolRequest([str(place)]), Choice.of(keep="50%"), kept, overwrite=overwrite)
    return run_selection(request, progress=progress)


def _is_own(place: Path, text: str) -> bool:
    """Whether an earlier demo wrote a pool: its selection is beside it, or it was killed before that."""
    if not place.is_file():
        return False
    made = SelectionFolder.find(place.with_name(KEPT_FILE))
    if made is not None:
        return [Path(source.name).name for source in made.manifest.sources] == [POOL_FILE]
    return place.read_bytes() == text.encode()
