"""`evenly demo`: the main job on real text that is already on the machine."""

from __future__ import annotations

import json
from pathlib import Path

from evenly.controls.choice import Choice
from evenly.files import one_line_errors, write_atomically
from evenly.request import PoolRequest
from evenly.rows.documentation import documentation_rows
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded, run_selection
from evenly.types import Progress, silent

POOL_FILE = "documentation.jsonl"
KEPT_FILE = "kept.jsonl"


def run_demo(folder: Path, *, limit: int, progress: Progress = silent) -> Recorded:
    """Writes documentation strings as instruction rows and keeps the even half of them.

    Args:
        folder: where everything goes; made if it is not there.
        limit: rows to collect at most.
        progress: called as each stage goes on.
    """
    rows = documentation_rows(limit, progress)
    with one_line_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / POOL_FILE, "".join(json.dumps(row) + "\n" for row in rows))
    pool, out = PoolRequest([str(folder / POOL_FILE)]), str(folder / KEPT_FILE)
    request = SelectRequest(pool, Choice.of(keep="50%"), out)
    return run_selection(request, progress=progress)
